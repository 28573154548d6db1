"""Names of devices, precisions and engines, as manifests and commands state them. Imports nothing of ours.

The command line's help lists them, and must not wait for numpy.
"""

from typing import Literal

Device = Literal["cpu", "cuda", "jetpack6", "jetpack7", "rtx"]
Precision = Literal["fp32", "fp16", "int8", "int4"]
VisionPrecision = Literal["fp32", "fp16", "int8"]
EngineName = Literal["ort", "trt", "echo"]
Provider = Literal["cpu", "cuda"]
"""Where ONNX Runtime runs."""
