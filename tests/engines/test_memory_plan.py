"""The memory plan: its arithmetic by hand, and against what an engine allocates."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from edgevlm_engines import (
    Demand,
    Manifest,
    model_place,
    open_bundle,
    plan_memory,
    read_manifest,
    size_text,
)
from edgevlm_engines.kv_cache import Copied
from edgevlm_engines.memory_plan import MIB, Place, position_bytes
from edgevlm_engines.names import Precision
from edgevlm_engines.ort.engine import OrtEngine
from edgevlm_export.exporter import export_bundle

from tests.conftest import GOLDEN

GIB = 1024 * MIB
NO_DIGEST = "0" * 64
DEMAND = Demand(slots=8, max_length=2048, image_cache=64 * MIB, prefix_cache=256 * MIB, queue=32, max_body=10 * MIB)
NOTHING_KEPT = {"image_cache": 0, "prefix_cache": 0, "queue": 0, "max_body": 0}

Bundles = Callable[[str], Path]


def test_the_17b_shape_by_hand(small: Manifest) -> None:
    assert position_bytes(small) == 393_216
    plan = plan_memory(small, DEMAND, "cpu")
    assert plan.weights == 6_131_072_128
    assert plan.kv_cache == 8 * 2048 * 393_216 == 6 * GIB
    assert (plan.image_cache, plan.prefix_cache) == (67_108_864, 268_435_456)
    assert plan.requests == (40 * 2 + 4) * 10 * MIB == 840 * MIB
    vision = 4 * 577 * (577 * 16 + 4 * 1024) * 4
    chunk = 6 * 32 * (3 * 2048 + 2 * 5632) * 4
    assert plan.work == (448 + 64) * MIB + vision + chunk + 8 * 32_000 * 4
    assert plan.total == sum(
        (plan.weights, plan.kv_cache, plan.image_cache, plan.prefix_cache, plan.requests, plan.work)
    )


def test_half_the_bytes_in_fp16(small: Manifest) -> None:
    half = small.model_copy(update={"precision": "fp16", "vision_precision": "fp16"})
    assert position_bytes(half) == 196_608
    assert plan_memory(half, DEMAND, "shared").weights == 11_131_072_128, "the decoder lies there twice"
    # the CPU computes them with copies in fp32
    assert plan_memory(half, DEMAND, "cpu").weights == 2.4 * 6_000_000_000 + 131_072_128


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_quantised_products_keep_an_exact_cache(small: Manifest, precision: str) -> None:
    assert position_bytes(small.model_copy(update={"precision": precision})) == 393_216


@pytest.mark.parametrize("precision", ["fp16", "int8", "int4"])
@pytest.mark.parametrize("flavour", ["trt-native", "trt-split"])
def test_on_tensorrt_the_cache_is_fp16_and_slots_have_whole_blocks(
    small: Manifest, precision: str, flavour: str
) -> None:
    made = {"device": "jetpack6", "flavour": flavour, "precision": precision, "vision_precision": "fp16"}
    manifest = small.model_copy(update=made)
    assert position_bytes(manifest) == 196_608
    plan = plan_memory(manifest, replace(DEMAND, max_length=1000), "shared")
    held = {"fp16": 1.5, "int8": 1.05, "int4": 1.05}[precision]
    assert plan.weights == 6_131_072_128 + int(manifest.files["decoder.data"].size * (held - 1))
    assert plan.kv_cache == 8 * 1024 * 196_608
    assert "KV cache 8 slots x 1000 = 1.5 GiB" in str(plan)
    vision = 4 * 577 * (577 * 16 + 4 * 1024) * 2
    chunk = 6 * 256 * (3 * 2048 + 2 * 5632) * 2
    assert plan.work == (448 + 64 + 1024) * MIB + vision + chunk + 8 * 32_000 * 4 + 256 * 196_608


def test_the_demo_model_by_hand(demo_model: Path) -> None:
    manifest = read_manifest(demo_model)
    shape = manifest.decoder
    plan = plan_memory(manifest, replace(DEMAND, slots=3, max_length=512), "cpu")
    assert plan.kv_cache == 3 * 512 * 2 * shape.layers * shape.kv_heads * shape.head_dim * 4
    assert plan.weights < 1.2 * sum(file.size for file in manifest.files.values())
    assert plan.work < 576 * MIB


def test_where_the_model_lies_and_what_that_means(small: Manifest) -> None:
    assert model_place("echo", "cuda", "aarch64") == "nowhere"
    assert model_place("ort", "cpu", "x86_64") == "cpu"
    assert model_place("ort", "cpu", "aarch64") == model_place("ort", "cpu", "arm64") == "arm-cpu"
    assert model_place("ort", "cuda", "aarch64") == "shared"
    assert model_place("ort", "cuda", "x86_64") == "gpu"
    assert model_place("trt", "cpu", "aarch64") == "shared", "the provider is ONNX Runtime's"
    assert model_place("trt", "cpu", "x86_64") == "gpu"
    without: tuple[Place, ...] = ("nowhere", "gpu")
    for place in without:
        plan = plan_memory(small, DEMAND, place)
        assert (plan.weights, plan.kv_cache, plan.prefix_cache) == (0, 0, 0)
        assert (plan.image_cache, plan.requests) == (64 * MIB, 840 * MIB)
    extra = plan_memory(small, DEMAND, "shared").total - plan_memory(small, DEMAND, "cpu").total
    longer = 6 * (256 - 32) * (3 * 2048 + 2 * 5632) * 4
    assert extra == GIB + longer + 5_000_000_000, "CUDA, longer chunks, and the decoder's weights a second time"


def test_how_a_plan_reads(small: Manifest) -> None:
    plan = plan_memory(small, DEMAND, "cpu")
    assert str(plan) == (
        "weights 5.71 GiB, KV cache 8 slots x 2048 = 6 GiB, image cache 64 MiB, prefix cache 256 MiB, 40 requests "
        f"840 MiB, runtime and work buffers {size_text(plan.work)}, total {size_text(plan.total)}"
    )
    nothing = replace(DEMAND, slots=1, **NOTHING_KEPT)
    assert str(plan_memory(small, nothing, "nowhere")) == "runtime and work buffers 512 MiB, total 512 MiB"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1536, "1.5 KiB"),
        (10 * MIB, "10 MiB"),
        (1000 * MIB, "1000 MiB"),
        (6 * GIB, "6 GiB"),
        (7_945_689_498, "7.4 GiB"),
        (2000 * GIB, "2000 GiB"),
    ],
)
def test_sizes_as_people_read_them(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize("precision", get_args(Precision))
def test_the_engine_allocates_what_the_plan_says(precision: Precision, tmp_path: Path) -> None:
    case = GOLDEN / "v2"
    export_bundle(case / "checkpoint", tmp_path / "b", vision_tower=case / "clip", precision=precision)
    bundle = open_bundle(tmp_path / "b")
    demand = replace(DEMAND, slots=4, max_length=300)
    engine = OrtEngine(bundle, slots=demand.slots, max_length=demand.max_length)
    allocated = sum(buffer.nbytes for buffer in engine._decoder.cache._buffers)  # type: ignore[attr-defined]
    saved = engine.save(0, 0, 7)
    assert isinstance(saved, Copied)
    engine.close()
    assert plan_memory(bundle.manifest, demand, "cpu").kv_cache == allocated
    assert saved.data.nbytes == 7 * engine.info.position_bytes == 7 * position_bytes(bundle.manifest)


MEASURED = """
import sys
from pathlib import Path
import numpy as np
from edgevlm_engines import plan_memory, Demand
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings
model = load_model(Path(sys.argv[1]), Settings.offline())
info = model.engine.info
none = np.zeros((0, info.hidden_size), np.float32)
for start in range(0, info.max_length - info.max_chunk, info.max_chunk):
    model.engine.prefill(0, start, np.zeros(info.max_chunk, np.int64), none)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measured as Linux tells it")
def test_a_process_stays_within_its_plan(bundles: Bundles) -> None:
    result = subprocess.run(
        [sys.executable, "-c", MEASURED, bundles("v2")], capture_output=True, text=True, check=True
    )
    manifest = read_manifest(bundles("v2"))
    demand = replace(DEMAND, slots=1, max_length=manifest.max_length, **NOTHING_KEPT)
    assert 1024 * int(result.stdout) <= plan_memory(manifest, demand, "cpu").total


@pytest.mark.parametrize(
    ("place", "precision", "slots", "kept"),
    [
        ("cpu", "int4", 3, 4),
        ("cpu", "int8", 3, 4),
        ("cpu", "fp32", 3, 3),
        ("cpu", "int4", 2, 2),
        ("cpu", "int4", 1, 1),
        ("arm-cpu", "int4", 5, 8),
        ("arm-cpu", "int4", 8, 8),
        ("arm-cpu", "int4", 1, 1),
        ("arm-cpu", "int8", 5, 5),
        ("shared", "fp16", 5, 5),
    ],
)
def test_quantised_slots_are_counted_in_pairs_or_fours_as_the_engine_may_hold_them(
    small: Manifest, place: Place, precision: Precision, slots: int, kept: int
) -> None:
    plan = plan_memory(small.model_copy(update={"precision": precision}), replace(DEMAND, slots=slots), place)
    assert plan.kv_cache == kept * 2048 * position_bytes(small.model_copy(update={"precision": precision}))


@pytest.mark.parametrize("place", ["cpu", "arm-cpu"])
def test_both_kinds_of_cpu_hold_weights_alike(small: Manifest, place: Place) -> None:
    half = small.model_copy(update={"precision": "fp16", "vision_precision": "fp16"})
    assert plan_memory(half, DEMAND, place).weights == 2.4 * 6_000_000_000 + 131_072_128
