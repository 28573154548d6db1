"""The product's builder and its graphs, on TensorRT's own parser and builder as TensorRT-RTX has them.

1.4.0.76 has the network interface of 10.16, 1.7.1.116 that of 11; nothing stands in for 10.3. A plan that is built
shows that the graph is parsed, its types agree, its profiles fit and that kernels exist for compute capability 8.6.
It shows no number that a plan computes, no speed, nothing of an Orin, and nothing of int8 and int4 on the first one,
which asks for a GPU.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from edgevlm_export.bundle_writer import Progress
from edgevlm_export.exporter import export_bundle

from benchmarks.random_checkpoint import CLIP, write_checkpoint
from benchmarks.shapes import SHAPES
from tests.conftest import CASES, GOLDEN
from tests.tensorrt.environments import TWINS
from tests.tensorrt.run_twin import Answer, run_twin

DEVICES = ("jetpack6", "jetpack7")
QUANTISED = ("int8", "int4")
NAMES = ("1.7B", "3B")

CODE = 15 * 10**6
"""Bytes of a plan that are no weights, at most."""

Job = dict[str, Any]


def export(checkpoint: Path, vision_tower: Path, folder: Path, device: Any, precision: Any) -> Job:
    """A bundle, as a job for a twin."""
    bundle = folder / f"{device}-{precision}"
    if not bundle.exists():
        export_bundle(
            checkpoint,
            bundle,
            vision_tower=vision_tower,
            device=device,
            precision=precision,
            vision_precision="fp16",
        )
    plans = tempfile.mkdtemp(prefix=f"{bundle.name}.plans.", dir=folder)
    return {"bundle": str(bundle), "plans": plans, "slots": 4, "max_length": 500}


class Published:
    """Bundles as wide as a published model's, of a few decoder layers and three of the tower, with random weights."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def job(self, name: str, device: Any, precision: Any, vocabulary: int = 512, layers: int = 2) -> Job:
        """A bundle is made once, its plans each time."""
        folder = self._folder / f"{name}-{vocabulary}-{layers}"
        checkpoint = folder / "checkpoint"
        if not checkpoint.exists():
            shape = replace(SHAPES[name], layers=layers, vocabulary=vocabulary)
            folder.mkdir()
            write_checkpoint(replace(shape, tower=replace(shape.tower, layers=3)), checkpoint, 0, Progress())
        return export(checkpoint, checkpoint / CLIP, folder, device, precision)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return Published(tmp_path_factory.mktemp("published"))


def check_built(job: Job, answer: Answer, twice: float = 0) -> None:
    """A plan holds its weights, in the precision that they were exported in, and some code.

    `twice` is the share of the decoder's weights that it holds in two layouts, one for each profile.
    """
    assert "error" not in answer, answer["error"]
    for name, repeated in (("decoder", twice), ("vision", 0)):
        weights = (Path(job["bundle"]) / f"{name}.data").stat().st_size
        most = (1.05 + repeated) * weights + CODE
        assert (0.95 + 0.9 * repeated) * weights < answer["sizes"][f"{name}.plan"] < most


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("case", CASES)
def test_small_models_are_built(twin: str, case: str, tmp_path: Path) -> None:
    """Both projectors, both flavours, and for the twin under its own name.

    Attention in the tower that is too narrow for a kernel of its own is built of several.
    """
    source = GOLDEN / case
    jobs = [export(source / "checkpoint", source / "clip", tmp_path, device, "fp16") for device in (*DEVICES, "rtx")]
    for job, answer in zip(jobs, run_twin(twin, jobs), strict=True):
        check_built(job, answer)
    [sidecar] = Path(jobs[-1]["plans"]).glob("*/plan.json")
    assert f'"library": "TensorRT-RTX",\n  "tensorrt": "{twin}"' in sidecar.read_text()


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", NAMES)
def test_layers_of_published_widths_are_built(twin: str, device: str, name: str, published: Published) -> None:
    """Head dimensions 128 and 80, and 64 in the tower: none has to be built again of several kernels."""
    job = published.job(name, device, "fp16")
    [answer] = run_twin(twin, [job])
    check_built(job, answer, twice=0.5)
    assert answer["warnings"] == []
    assert answer["errors"] == []


@pytest.mark.parametrize("precision", QUANTISED)
@pytest.mark.parametrize(("name", "device"), [("1.7B", "jetpack6"), ("1.7B", "jetpack7"), ("3B", "jetpack7")])
def test_quantised_layers_are_built_by_the_newer_twin(
    name: str, device: str, precision: str, published: Published
) -> None:
    job = published.job(name, device, precision)
    [answer] = run_twin(TWINS[1], [job])
    check_built(job, answer)
    assert answer["warnings"] == []


@pytest.mark.parametrize(("precision", "twice"), [("fp16", 0.7), ("int8", 0), ("int4", 0)])
def test_the_whole_head_is_built(precision: str, twice: float, published: Published) -> None:
    job = published.job("1.7B", "jetpack7", precision, SHAPES["1.7B"].vocabulary)
    [answer] = run_twin(TWINS[1], [job])
    check_built(job, answer, twice)


def test_the_older_twin_asks_for_a_gpu_where_weights_are_quantised(tmp_path: Path) -> None:
    """So nothing here stands in for 10.16 with int8 or int4."""
    source = GOLDEN / "v2"
    [answer] = run_twin(TWINS[0], [export(source / "checkpoint", source / "clip", tmp_path, "jetpack7", "int8")])
    assert "generateForCurrent" in answer["error"]


@pytest.mark.parametrize(("twin", "warned"), [(TWINS[0], 1), (TWINS[1], 0)])
def test_attention_without_a_kernel_of_its_own_is_built_of_several_with_a_warning(
    twin: str, warned: int, tmp_path: Path
) -> None:
    """The tower of this case has heads of 8: for one picture, of a fixed shape, the newer twin has a kernel."""
    source = GOLDEN / "v2"
    [answer] = run_twin(twin, [export(source / "checkpoint", source / "clip", tmp_path, "jetpack7", "fp16")])
    assert answer["sizes"].keys() == {"decoder.plan", "vision.plan"}
    assert len(answer["warnings"]) == warned
    for warning in answer["warnings"]:
        assert "cannot build vision.onnx" in warning and "It is built of several kernels" in warning


@pytest.mark.parametrize(("device", "windows"), [("jetpack6", 2), ("jetpack7", 1)])
def test_the_work_memory_of_a_step_does_not_grow_with_the_layers(
    device: str, windows: int, published: Published
) -> None:
    """Windows of keys and values are copied, of one layer at a time. Bundles have two layers and four."""
    answers = run_twin(TWINS[1], [published.job("1.7B", device, "fp16", layers=layers) for layers in (2, 4)])
    two, four = (answer["work_bytes"][-1] for answer in answers)
    window = 2 * 4 * 512 * 2048 * 2
    assert two == four
    assert windows * window < four < (windows + 0.5) * window
