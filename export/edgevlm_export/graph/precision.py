"""What each name of a precision means for a graph, and which one a device gets if none is named."""

from typing import Any, NamedTuple, get_args

import numpy as np
from edgevlm_engines.manifest import Flavour
from edgevlm_engines.names import Device, Precision, VisionPrecision

from edgevlm_export.graph.matmul import MatmulWriter, blockwise_matmul, int8_matmul, plain_matmul
from edgevlm_export.graph.rounding import Rounding, blockwise, per_call, weights_in_int4, weights_in_int8
from edgevlm_export.graph.trt.matmul import dequantised_int4_matmul, dequantised_int8_matmul


class Linear(NamedTuple):
    """How matmuls with stored weights are written, and what that rounds; `None` where it is nothing."""

    write: MatmulWriter
    rounding: Rounding | None


class DecoderPrecision(NamedTuple):
    """Type of activations and cache; the layers' matmuls and that of the head; opset."""

    dtype: type[np.floating[Any]]
    matmul: Linear
    head: Linear
    opset: int


class EncoderPrecision(NamedTuple):
    """Type of activations; the encoder's matmuls; opset."""

    dtype: type[np.floating[Any]]
    matmul: Linear
    opset: int


class Pair(NamedTuple):
    """Names of the two precisions of a bundle."""

    decoder: Precision
    vision: VisionPrecision


ORT, NATIVE, SPLIT = 20, 24, 18
"""Opsets. `SPLIT` is what TensorRT 10.3 surely reads; what needs a later one takes the first that has it."""

PLAIN = Linear(plain_matmul, None)
INT8, INT4 = (Linear(blockwise_matmul(bits), blockwise(bits)) for bits in (8, 4))
TRT_INT8 = Linear(dequantised_int8_matmul, weights_in_int8(np.float16))
TRT_INT4 = Linear(dequantised_int4_matmul, weights_in_int4(np.float16))

DECODER_PRECISIONS: dict[Flavour, dict[Precision, DecoderPrecision]] = {
    "ort": {
        "fp32": DecoderPrecision(np.float32, PLAIN, PLAIN, ORT),
        "fp16": DecoderPrecision(np.float16, PLAIN, PLAIN, ORT),
        "int8": DecoderPrecision(np.float32, INT8, INT8, ORT),
        # the head is a twentieth of what a step reads, and its rounding goes straight into the logits
        "int4": DecoderPrecision(np.float32, INT4, INT8, ORT),
    },
    "trt-native": {
        "fp16": DecoderPrecision(np.float16, PLAIN, PLAIN, NATIVE),
        "int8": DecoderPrecision(np.float16, TRT_INT8, TRT_INT8, NATIVE),
        "int4": DecoderPrecision(np.float16, TRT_INT4, TRT_INT8, NATIVE),
    },
    "trt-split": {
        "fp16": DecoderPrecision(np.float16, PLAIN, PLAIN, SPLIT),
        # scales in float16, scales for blocks
        "int8": DecoderPrecision(np.float16, TRT_INT8, TRT_INT8, 19),
        "int4": DecoderPrecision(np.float16, TRT_INT4, TRT_INT8, 21),
    },
}
VISION_PRECISIONS: dict[Flavour, dict[VisionPrecision, EncoderPrecision]] = {
    "ort": {
        "fp32": EncoderPrecision(np.float32, PLAIN, ORT),
        "fp16": EncoderPrecision(np.float16, PLAIN, ORT),
        "int8": EncoderPrecision(np.float32, Linear(int8_matmul, per_call()), ORT),
    },
    "trt-native": {
        "fp16": EncoderPrecision(np.float16, PLAIN, NATIVE),
        "fp32": EncoderPrecision(np.float32, PLAIN, NATIVE),
    },
    "trt-split": {
        "fp16": EncoderPrecision(np.float16, PLAIN, SPLIT),
        "fp32": EncoderPrecision(np.float32, PLAIN, SPLIT),
    },
}
FLAVOURS: dict[Device, Flavour] = {
    "cpu": "ort",
    "cuda": "ort",
    "jetpack6": "trt-split",
    "jetpack7": "trt-native",
    "rtx": "trt-native",
}
"""JetPack 6 has TensorRT 10.3, which knows no operator for attention; JetPack 7 has 10.16, which does, and so does
TensorRT-RTX."""

RUNS: dict[Device, tuple[tuple[Precision, ...], tuple[VisionPrecision, ...]]] = {
    "cpu": (("fp32", "fp16", "int8", "int4"), ("fp32", "fp16", "int8")),
    # attention over the cache and quantised matmuls with a scale per output exist there for these alone
    "cuda": (("fp16",), ("fp16", "fp32")),
    # TensorRT has its attention kernels for fp16; int8 and int4 are weights that become fp16 where they are used
    "jetpack6": (("fp16", "int8", "int4"), ("fp16", "fp32")),
    "jetpack7": (("fp16", "int8", "int4"), ("fp16", "fp32")),
    "rtx": (("fp16", "int8", "int4"), ("fp16", "fp32")),
}
"""What runs on a device: precisions of the decoder, of the vision encoder."""

DEFAULTS: dict[Device, Pair] = {
    "cpu": Pair("int8", "fp32"),
    "cuda": Pair("fp16", "fp16"),
    "jetpack6": Pair("fp16", "fp16"),
    "jetpack7": Pair("fp16", "fp16"),
    "rtx": Pair("fp16", "fp16"),
}

assert set(FLAVOURS) == set(RUNS) == set(DEFAULTS) == set(get_args(Device))
assert set(DECODER_PRECISIONS) == set(VISION_PRECISIONS) == set(get_args(Flavour))
