"""Which matmuls a model has, and where a scale for their inputs' channels can be folded in. Knows names alone.

Multiplying the columns of a matmul's weight and dividing what feeds it leaves the model as it is. That works through
norms, through attention (which mixes positions, not the channels of a value) and through a gate's linear side; not
through a GELU.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from edgevlm_export.checkpoint.config import ModelConfig
from edgevlm_export.model_source import VISION_TOWER

Part = Literal["vision", "decoder", "head"]


class Group(NamedTuple):
    """A matmul, as the graphs name it, with the tensors that it multiplies with.

    `fed_by` are the tensors that can be divided by a scale of its inputs; without any, there can be none.
    """

    part: Part
    layer: int
    role: str
    matmul: str
    tensors: tuple[str, ...]
    fed_by: tuple[str, ...]


def groups(config: ModelConfig) -> Iterator[Group]:
    """All matmuls that a precision may round, in the order in which they run."""
    tower = VISION_TOWER if config.tower_in_checkpoint else ""
    for layer in range(config.vision.layers_run):
        yield from _vision_layer(layer, f"{tower}vision_model.encoder.layers.{layer}.")
    for layer in range(config.layers):
        yield from _decoder_layer(layer, f"model.layers.{layer}.", shared=config.kv_heads != config.heads)
    yield Group("head", config.layers, HEAD, "lm_head.weight", ("lm_head.weight",), ())


LAYER_ROLES = ("q, k, v", "attention out", "MLP in", "MLP out")
HEAD = "head"
ROLES = (*LAYER_ROLES, HEAD)
"""The matmuls of a layer, and the last one."""


def _vision_layer(layer: int, at: str) -> Iterator[Group]:
    attention = f"{at}self_attn."
    qkv = tuple(f"{attention}{name}_proj.weight" for name in "qkv")
    matmuls = (
        (f"{attention}qkv_proj.weight", qkv, _both(f"{at}layer_norm1")),
        (f"{attention}out_proj.weight", (f"{attention}out_proj.weight",), _both(f"{attention}v_proj")),
        (f"{at}mlp.fc1.weight", (f"{at}mlp.fc1.weight",), _both(f"{at}layer_norm2")),
        (f"{at}mlp.fc2.weight", (f"{at}mlp.fc2.weight",), ()),
    )
    for role, matmul in zip(LAYER_ROLES, matmuls, strict=True):
        yield Group("vision", layer, role, *matmul)


def _decoder_layer(layer: int, at: str, *, shared: bool) -> Iterator[Group]:
    """`shared`: several heads read one value, whose channels then have one scale for all of them."""
    attention, mlp = f"{at}self_attn.", f"{at}mlp."
    qkv = tuple(f"{attention}{name}_proj.weight" for name in "qkv")
    gate, up, down = (f"{mlp}{name}_proj.weight" for name in ("gate", "up", "down"))
    out = f"{attention}o_proj.weight"
    matmuls = (
        (f"{attention}qkv_proj.weight", qkv, (f"{at}input_layernorm.weight",)),
        (out, (out,), () if shared else (f"{attention}v_proj.weight",)),
        (f"{mlp}gate_up_proj.weight", (gate, up), (f"{at}post_attention_layernorm.weight",)),
        (down, (down,), (up,)),
    )
    for role, matmul in zip(LAYER_ROLES, matmuls, strict=True):
        yield Group("decoder", layer, role, *matmul)


def _both(layer: str) -> tuple[str, str]:
    return f"{layer}.weight", f"{layer}.bias"
