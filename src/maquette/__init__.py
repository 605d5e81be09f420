"""From a short YAML spec to a small model you trained, understand and own."""
