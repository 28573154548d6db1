"""The memory plan: what a server takes, computed from a manifest and what was asked for. Reads and allocates nothing.

No part shrinks when a field of the demand grows: `memory_advice.py` relies on that.
"""

from dataclasses import dataclass
from typing import Literal

from edgevlm_engines.bundle import DECODER_WEIGHTS, VISION_WEIGHTS
from edgevlm_engines.manifest import Manifest
from edgevlm_engines.names import Provider
from edgevlm_engines.plan_cache import CHUNK as TRT_CHUNK
from edgevlm_engines.plan_cache import capacity
from edgevlm_engines.sizes import size_text

MIB = 2**20
CHUNK: dict[Provider, int] = {"cpu": 32, "cuda": TRT_CHUNK}
"""Positions in one prefill call of ONNX Runtime. A CPU takes time for each: few enough not to hold up other slots'
next token. Here, because `ort/` cannot be imported without its runtime."""

Place = Literal["cpu", "arm-cpu", "shared", "gpu", "nowhere"]
"""Where a model lies: the host's memory for its CPU, whose kernels differ on Arm, memory that CPU and GPU share, a
GPU's own, or there is none."""

_ON_CPU: tuple[Place, ...] = ("cpu", "arm-cpu")

# Anonymous memory of a loaded graph over the size of its weights' file, at most, measured with ONNX Runtime 1.32 on
# x86-64 for layers of the 1.7B shape and a whole ViT-L/14-336. fp32 is repacked in the same size; fp16 is computed
# with fp32 copies, 2.27 to 2.39; matmuls in blocks get a float32 sum for each block, 1.03 in int8 and 1.06 in int4.
_HELD_ON_CPU: dict[str, float] = {"fp32": 1.0, "fp16": 2.4, "int8": 1.1, "int4": 1.1}

# A plan for the decoder over its weights, as TensorRT-RTX builds it: in fp16, prompts and steps have some matrices in
# layouts of their own, 3.85 GB of 2.60 for 1.7B (`python -m tests.tensorrt.full_depth`).
_HELD_BY_TENSORRT: dict[str, float] = {"fp16": 1.5, "int8": 1.05, "int4": 1.05}

# Slots are filled up to a multiple of these at most, where kernels would round one that is left over differently;
# `ort/invariance.py` finds that out when a model is loaded, after this plan. Seen for up to 10 slots, on x86-64 with
# VNNI and on emulated Arm with dot products: there only if a matrix is not whole blocks wide, as in the demo model.
_SLOT_MULTIPLES: dict[Place, dict[str, int]] = {"cpu": {"int8": 2, "int4": 2}, "arm-cpu": {"int4": 4}}

# What stays when weights and caches are taken away, measured with the demo bundle: 112 MiB for Python, the server and
# ONNX Runtime with their libraries, 2 x 20 MiB for processes that decode pictures. Each of these takes up to 150 MiB
# while it decodes 16 megapixels without transparency, as cameras write them; with it 460 MiB, for as short a moment.
_RUNTIME = 448 * MIB

# CUDA's context and the code of cuBLAS and cuDNN: not measured, a guess on the safe side.
_CUDA = 1024 * MIB

# A waiting request holds its body's text and the picture's file, three quarters as long; beside that, bodies on their
# way have a quarter of a body for each place, and at least one (`runtime/bodies.py`). One at a time is parsed, and a
# text of it has two copies then. `python -m benchmarks.bodies` sends the worst ones, and prints what they take.
_BODIES_A_REQUEST = 2
_BODIES_PARSED = 4

# What `guided/compiler.py` lets all compiled grammars take, and what the heap keeps of those that are gone.
GRAMMARS = 64 * MIB

# Work buffers: fitted to what ONNX Runtime's arena, which grows in powers of two, held after many calls. Vision: 102
# MiB measured, 117 by this rule. Decoder, in chunks of 256 positions: 52, 104 and 118 MiB for layers 1024, 2048 and
# 4096 wide, 52, 103 and 201 by this rule; in chunks of 32: 12 and 13. Neither slots nor past nor precision matter.
#
# TensorRT's work memory is known once a plan is built. Until then: the same rule for values of 2 bytes. Not measured.
_VISION_BUFFERS = 4
_DECODER_BUFFERS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What was asked for. Lengths in positions of one slot, sizes in bytes.

    `queue` requests may wait beside `slots` that run; `audit` is what may wait to be written down.
    """

    slots: int
    max_length: int
    image_cache: int
    prefix_cache: int
    queue: int
    max_body: int
    audit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """Bytes of the host's memory, by what takes them."""

    demand: Demand
    weights: int
    kv_cache: int
    image_cache: int
    prefix_cache: int
    requests: int
    work: int

    @property
    def total(self) -> int:
        """All of it, in bytes."""
        return self.weights + self.kv_cache + self.image_cache + self.prefix_cache + self.requests + self.work

    def __str__(self) -> str:
        slots = f"{self.demand.slots} slots" if self.demand.slots > 1 else "1 slot"
        parts = {
            "weights": self.weights,
            f"KV cache {slots} x {self.demand.max_length} =": self.kv_cache,
            "image cache": self.image_cache,
            "prefix cache": self.prefix_cache,
            f"{_places(self.demand)} requests": self.requests,
            "runtime and work buffers": self.work,
        }
        named = ", ".join(f"{name} {size_text(size)}" for name, size in parts.items() if size)
        return f"{named}, total {size_text(self.total)}"


def model_place(engine: str, provider: str, machine: str) -> Place:
    """`machine` names the processor's architecture: on an Arm board, as Jetson, CPU and GPU share one memory.

    In other computers a GPU has its own. CUDA hands that out at start or refuses, so nothing need be foreseen there.
    """
    if engine == "echo":
        return "nowhere"
    arm = machine in ("aarch64", "arm64")
    if engine == "ort" and provider == "cpu":
        return "arm-cpu" if arm else "cpu"
    return "shared" if arm else "gpu"


def plan_memory(manifest: Manifest, demand: Demand, place: Place) -> MemoryPlan:
    """What a server takes at most of the host's memory, with a bundle loaded and all caches and places full."""
    on_host, cuda = place in (*_ON_CPU, "shared"), place in ("shared", "gpu")
    return MemoryPlan(
        demand=demand,
        weights=_weights(manifest, place) if on_host else 0,
        kv_cache=_kept_positions(manifest, demand, place) * position_bytes(manifest) if on_host else 0,
        image_cache=demand.image_cache,
        # its copies stay where the slots are
        prefix_cache=demand.prefix_cache if on_host else 0,
        requests=_places(demand) * int(demand.max_body * _BODIES_A_REQUEST)
        + _BODIES_PARSED * demand.max_body
        + demand.audit,
        work=_RUNTIME
        + GRAMMARS
        + (_CUDA if cuda else 0)
        + (_work_buffers(manifest, demand, place) if on_host else 0),
    )


def position_bytes(manifest: Manifest) -> int:
    """Bytes of keys and values of one position, in all layers."""
    shape = manifest.decoder
    # on TensorRT int8 and int4 are weights alone, and all else is fp16
    half = manifest.precision == "fp16" or _on_tensorrt(manifest)
    return 2 * shape.layers * shape.kv_heads * shape.head_dim * (2 if half else 4)


def graph_weights(manifest: Manifest) -> int:
    """Bytes of both graphs' weights as they are stored; an engine takes no fewer."""
    return sum(manifest.files[name].size for name in (DECODER_WEIGHTS, VISION_WEIGHTS))


def _weights(manifest: Manifest, place: Place) -> int:
    """Every file of a bundle is read into memory or mapped, and what is mapped must stay in memory to be quick."""
    precisions = {DECODER_WEIGHTS: manifest.precision, VISION_WEIGHTS: manifest.vision_precision}
    if place in _ON_CPU:
        held = {name: _HELD_ON_CPU[precision] for name, precision in precisions.items()}
    elif _on_tensorrt(manifest):
        held = {DECODER_WEIGHTS: _HELD_BY_TENSORRT[manifest.precision]}
    else:
        # ONNX Runtime prefills with one copy, and kernels of our own decode with another (`ort/own_decode.py`)
        held = {DECODER_WEIGHTS: 2.0}
    return sum(int(file.size * held.get(name, 1)) for name, file in manifest.files.items())


def _kept_positions(manifest: Manifest, demand: Demand, place: Place) -> int:
    """Positions of cache that an engine holds at most for the slots that were asked for."""
    if _on_tensorrt(manifest):
        return demand.slots * capacity(demand.max_length)
    multiple = _SLOT_MULTIPLES.get(place, {}).get(manifest.precision, 1) if demand.slots > 1 else 1
    return -(-demand.slots // multiple) * multiple * demand.max_length


def _work_buffers(manifest: Manifest, demand: Demand, place: Place) -> int:
    """Values between the operators of one layer: of a picture, of a chunk of a prompt; and the logits, float32."""
    eye, text = manifest.vision, manifest.decoder
    patches = (manifest.preprocessing.size // eye.patch_size) ** 2 + 1
    vision = patches * (patches * eye.heads + 4 * eye.hidden_size)
    position = 3 * text.hidden_size + 2 * text.intermediate_size
    logits = 4 * demand.slots * text.vocab_size
    if _on_tensorrt(manifest):
        # a chunk is at least as much as a step of all slots
        values = _VISION_BUFFERS * vision + _DECODER_BUFFERS * TRT_CHUNK * position
        # keys and values wait there to be appended
        return 2 * values + logits + TRT_CHUNK * position_bytes(manifest)
    chunk = min(CHUNK["cpu" if place in _ON_CPU else "cuda"], demand.max_length)
    return 4 * (_VISION_BUFFERS * vision + _DECODER_BUFFERS * chunk * position) + logits


def _on_tensorrt(manifest: Manifest) -> bool:
    return manifest.flavour != "ort"


def _places(demand: Demand) -> int:
    return demand.slots + demand.queue
