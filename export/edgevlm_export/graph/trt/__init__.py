"""What TensorRT does in its own way, and which operators it takes."""
