"""A run's model behind HTTP: the OpenAI-compatible API."""
