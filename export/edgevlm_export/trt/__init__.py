"""From graphs to TensorRT plans, on the device that will run them."""
