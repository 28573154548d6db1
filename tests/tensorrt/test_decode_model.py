"""The decoder on kernels of our own, on the stand-in machine: uploads, captures, steps, gives back."""

from typing import Any

import numpy as np
import pytest
from edgevlm_engines.manifest import Decoder
from numpy.typing import NDArray

from benchmarks.decode_reference import Stack, draw_stack, step
from tests.tensorrt.standin import Machine

pytestmark = pytest.mark.slow

MODEL = Decoder(
    hidden_size=64,
    layers=2,
    heads=2,
    kv_heads=1,
    head_dim=64,
    intermediate_size=96,
    vocab_size=72,
    rms_norm_eps=1e-5,
    rope_theta=10000.0,
)
SLOTS, CAPACITY = 3, 80
NAMES = {
    "input_norm": "input_layernorm",
    "qkv": "self_attn.qkv_proj",
    "output": "self_attn.o_proj",
    "post_norm": "post_attention_layernorm",
    "gate_up": "mlp.gate_up_proj",
    "down": "mlp.down_proj",
}


def by_name(stack: Stack) -> dict[str, NDArray[Any]]:
    """As export names them."""
    layers = {
        f"model.layers.{index}.{name}.weight": getattr(layer, own)
        for index, layer in enumerate(stack.layers)
        for own, name in NAMES.items()
    }
    tables = {"rope.cos": stack.cosines, "rope.sin": stack.sines}
    return {**layers, **tables, "model.norm.weight": stack.norm, "lm_head.weight": stack.head}


@pytest.mark.parametrize("compute", [(8, 7), (9, 0)])
def test_steps_match_numpy_and_kernels_overlap_where_they_can(machine: Machine, compute: tuple[int, int]) -> None:
    from edgevlm_engines.cuda.decode_model import DecodeModel
    from edgevlm_engines.cuda.kv_cache import CudaCache

    machine.compute = compute
    stack = draw_stack(MODEL, CAPACITY, np.random.default_rng(0))
    shape = (SLOTS, MODEL.kv_heads, CAPACITY, MODEL.head_dim)
    cache = CudaCache(2 * MODEL.layers, shape, np.dtype(np.float16))
    decoder = DecodeModel(MODEL, by_name(stack), cache)
    own = [(np.zeros(shape, np.float16), np.zeros(shape, np.float16)) for _ in range(MODEL.layers)]
    random = np.random.default_rng(1)
    lengths = np.array([0, 1, 2])
    for rows in (3, 2, 3, 3):
        hidden = random.standard_normal((rows, MODEL.hidden_size), np.float32).astype(np.float16)
        logits = decoder.decode(hidden, lengths[:rows])
        wanted = step(MODEL, stack, own, hidden, lengths[:rows])
        assert np.linalg.norm(logits - wanted) < 2e-3 * np.linalg.norm(wanted)
        lengths[:rows] += 1
    launches = machine.named("cuLaunchKernelEx")
    step_launches = 2 + 5 * MODEL.layers
    # for each number of rows one step plainly and one that is captured
    assert len(launches) == 4 * step_launches
    overlapping = step_launches - 1 if compute >= (9, 0) else 0
    assert sum(launch["overlaps"] for launch in launches) == 4 * overlapping
    decoder.free()
    cache.free()
