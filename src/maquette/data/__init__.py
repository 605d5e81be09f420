"""Data: sources, preparation, batches."""
