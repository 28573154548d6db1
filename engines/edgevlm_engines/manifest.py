"""The manifest of a bundle: export writes it, engines and server read it. Knows the format, not the files."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edgevlm_engines.names import Device, Precision, VisionPrecision

FORMAT: Literal[3] = 3

MOST_SLOTS = 64
"""The most slots that a bundle may allow. Graphs take any number; this keeps a typing error from asking for
terabytes."""

Flavour = Literal["ort", "trt-native", "trt-split"]
"""What runs the graphs: ONNX Runtime; TensorRT with operators for attention and cache, or without them."""
Projector = Literal["ldpnet", "ldpnetv2"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Decoder(_Part):
    """Shape of the LLM. `head_dim` is stated because 3B's 80 is not what common defaults would give."""

    hidden_size: int = Field(gt=0)
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    kv_heads: int = Field(gt=0)
    head_dim: int = Field(gt=0)
    intermediate_size: int = Field(gt=0)
    vocab_size: int = Field(gt=0)
    rms_norm_eps: float = Field(gt=0)
    rope_theta: float = Field(gt=0)


class Vision(_Part):
    """Shape of the vision encoder and its projector; one image becomes `image_tokens` decoder positions."""

    hidden_size: int = Field(gt=0)
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    patch_size: int = Field(gt=0)
    projector: Projector
    image_tokens: int = Field(gt=0)


class Preprocessing(_Part):
    """From an RGB picture to the encoder's input: pad to a square, resize to `size` pixels, normalise."""

    size: int = Field(gt=0)
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    pad_colour: tuple[int, int, int]


class Prompt(_Part):
    """How a conversation becomes token ids. `legacy` is the tokenizer's flag: how text right after </s> is cut."""

    template: Literal["v1"]
    system: str
    legacy: bool
    bos_id: int = Field(ge=0)
    eos_id: int = Field(ge=0)
    stop_ids: tuple[int, ...]


class Source(_Part):
    """A folder that weights came from, with the digest of its files."""

    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class File(_Part):
    """Size in bytes and digest of one file of the bundle."""

    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(_Part):
    """The content of `manifest.json`. `max_length` counts positions of one slot, images included.

    `device` is what the bundle was made for, `precision` that of the decoder's matmuls.
    """

    format: Literal[3] = FORMAT
    model: str = Field(min_length=1)
    family: Literal["mobilevlm", "mobilevlm_v2"]
    flavour: Flavour
    device: Device
    precision: Precision
    vision_precision: VisionPrecision
    max_slots: int = Field(gt=0, le=MOST_SLOTS)
    max_length: int = Field(gt=0)
    decoder: Decoder
    vision: Vision
    preprocessing: Preprocessing
    prompt: Prompt
    exporter: str
    sources: tuple[Source, ...]
    files: dict[str, File]
