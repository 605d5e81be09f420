"""The spec: what a person writes."""
