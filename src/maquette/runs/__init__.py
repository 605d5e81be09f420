"""Runs: directories that anyone can read."""
