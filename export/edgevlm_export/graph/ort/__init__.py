"""What ONNX Runtime does in its own way."""
