"""Rescales a model so that rounding costs less, after what its matmuls were given to multiply."""
