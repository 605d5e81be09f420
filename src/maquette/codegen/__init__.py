"""Standalone projects out of the library's own text."""
