"""Models, assembled from parts that take numbers."""
