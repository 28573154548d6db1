"""A checkpoint in the published layout: its files, its configuration, its tensors."""
