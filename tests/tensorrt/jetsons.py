"""The systems that bundles are made for, and what of them can be tried here. Knows no engines."""

import onnxruntime

NATIVE_NEEDS = (1, 24)
"""The first ONNX Runtime that loads opset 24; the last one for Python 3.10, and so for JetPack 6, is 1.23."""

_HERE = tuple(int(part) for part in onnxruntime.__version__.split(".")[:2])

JETSONS = {"jetpack6": "10.3.0", **({"jetpack7": "10.16.0"} if _HERE >= NATIVE_NEEDS else {})}
"""Device and its version of TensorRT: those whose graphs ONNX Runtime can run here."""

RTX = {"rtx": "1.4.0.76"} if _HERE >= NATIVE_NEEDS else {}
"""The same for TensorRT-RTX, whose graphs are those of JetPack 7: tried where the library makes a difference."""

ALL = {**JETSONS, **RTX}
