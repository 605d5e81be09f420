"""The search for a better spec: short trainings of equal time, beside that of the spec itself."""
