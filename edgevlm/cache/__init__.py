"""What edgevlm made for itself and keeps: bundles of checkpoints and of the demo model, and TensorRT plans."""
