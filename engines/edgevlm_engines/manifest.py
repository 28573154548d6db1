"""The manifest of a bundle: export writes it, engines and server read it. Knows the format, not the files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgevlm_engines.names import Device, Precision, VisionPrecision

FORMAT: Literal[5] = 5

MOST_SLOTS = 64
"""The most slots that a bundle may allow. Graphs take any number; this keeps a typing error from asking for
terabytes."""

Flavour = Literal["ort", "trt-native", "trt-split"]
"""What runs the graphs: ONNX Runtime; TensorRT with operators for attention and cache, or without them."""
Projector = Literal["ldpnet", "ldpnetv2"]

# Bounds far beyond any model of this kind, small enough that arrays of such sizes can be asked for.
_Width = Annotated[int, Field(gt=0, le=1 << 20)]
_Layers = Annotated[int, Field(gt=0, le=1 << 10)]
_Positions = Annotated[int, Field(gt=0, le=1 << 20)]
_Pixels = Annotated[int, Field(gt=0, le=1 << 11)]
_Token = Annotated[int, Field(ge=0)]
_Colour = Annotated[int, Field(ge=0, le=255)]
_Fraction = Annotated[float, Field(ge=0, le=1)]
_Spread = Annotated[float, Field(ge=1e-3, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Decoder(_Part):
    """Shape of the LLM. `head_dim` is stated because 3B's 80 is not what common defaults would give."""

    hidden_size: _Width
    layers: _Layers
    heads: _Width
    kv_heads: _Width
    head_dim: _Width
    intermediate_size: _Width
    vocab_size: _Width
    rms_norm_eps: float = Field(gt=0)
    rope_theta: float = Field(gt=0)

    @model_validator(mode="after")
    def _check_heads(self) -> "Decoder":
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads cannot share {self.kv_heads} of keys")
        return self


class Vision(_Part):
    """Shape of the vision encoder and its projector; one image becomes `image_tokens` decoder positions."""

    hidden_size: _Width
    layers: _Layers
    heads: _Width
    patch_size: _Pixels
    projector: Projector
    image_tokens: _Positions


class Preprocessing(_Part):
    """From an RGB picture to the encoder's input: pad to a square, resize to `size` pixels, normalise."""

    size: _Pixels
    mean: tuple[_Fraction, _Fraction, _Fraction]
    std: tuple[_Spread, _Spread, _Spread]
    pad_colour: tuple[_Colour, _Colour, _Colour]


class Prompt(_Part):
    """How a conversation becomes token ids. `legacy` is the tokenizer's flag: how text right after </s> is cut."""

    template: Literal["v1"]
    system: str
    legacy: bool
    bos_id: _Token
    eos_id: _Token
    stop_ids: tuple[_Token, ...] = Field(min_length=1)


class RefusalWords(_Part):
    """How the model says that it cannot tell: its answer, and the sentence behind a question that makes it say so.

    No `instruction`: it does so by itself.
    """

    text: str = Field(min_length=1, max_length=200, pattern=r"\S")
    instruction: str = Field(max_length=1000)


VIZWIZ = RefusalWords(
    text="Unanswerable",
    instruction="When the provided information is insufficient, respond with 'Unanswerable'.",
)
"""What LLaVA, and MobileVLM after it, learnt to say to VizWiz, whose pictures often cannot be read."""


class About(_Part):
    """What a model's maker says of it, in `edgevlm.json` beside the weights."""

    description: str = Field(default="", max_length=2000)
    """What it can read, for people."""
    refusal: RefusalWords = VIZWIZ
    confidence_temperature: float = Field(default=1.0, ge=0.05, le=20)
    """What its logits are divided by, so that how sure it is agrees with how often it is right."""
    writes_json: bool = True
    """Whether it can write JSON by itself."""


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

    format: Literal[5] = FORMAT
    model: str = Field(min_length=1)
    family: Literal["mobilevlm", "mobilevlm_v2"]
    flavour: Flavour
    device: Device
    precision: Precision
    vision_precision: VisionPrecision
    max_slots: int = Field(gt=0, le=MOST_SLOTS)
    max_length: _Positions
    decoder: Decoder
    vision: Vision
    preprocessing: Preprocessing
    prompt: Prompt
    about: About = About()
    exporter: str
    sources: tuple[Source, ...]
    files: dict[str, File]

    @model_validator(mode="after")
    def _check_parts(self) -> "Manifest":
        """What one part says of another."""
        prompt, model, vocabulary = self.prompt, self.decoder, self.decoder.vocab_size
        if model.heads * model.head_dim != model.hidden_size:
            raise ValueError(f"{model.heads} heads of {model.head_dim} channels are not {model.hidden_size}")
        if max(prompt.bos_id, prompt.eos_id, *prompt.stop_ids) >= vocabulary:
            raise ValueError(f"the prompt has a token that is not among the {vocabulary} of the vocabulary")
        if self.preprocessing.size % self.vision.patch_size:
            raise ValueError(f"{self.preprocessing.size} pixels are not whole patches of {self.vision.patch_size}")
        if self.vision.image_tokens >= self.max_length:
            raise ValueError(f"an image of {self.vision.image_tokens} positions leaves no room in {self.max_length}")
        if (self.flavour == "ort") != (self.device in ("cpu", "cuda")):
            raise ValueError(f"the flavour {self.flavour} does not run on {self.device}")
        return self


@contextmanager
def faults(refusal: Callable[[str], Exception]) -> Iterator[None]:
    """What is wrong in a manifest, or a part of one, becomes an error of the caller's.

    `refusal` gets what stands where, as in `decoder.layers: Input should be greater than 0`.
    """
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or error.title
        raise refusal(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None
