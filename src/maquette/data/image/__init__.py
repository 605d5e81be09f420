"""Images: sources, preparation, batches, augmentation."""
