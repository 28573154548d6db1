"""The model as ONNX graphs: one walk over the layers, and what runtimes do differently."""
