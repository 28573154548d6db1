"""What decoding could reach at best: the arithmetic by hand, and its sizes beside those of real exports."""

from pathlib import Path

import pytest
from edgevlm_engines.bundle import DECODER_WEIGHTS
from edgevlm_export.bundle_writer import Progress
from edgevlm_export.exporter import export_bundle

from benchmarks.random_checkpoint import CLIP, write_checkpoint
from benchmarks.shapes import SHAPES
from edgevlm.doctor.ceilings import MODELS, PRECISIONS, Model, bandwidth, ceiling, weight_bytes


@pytest.fixture(scope="module")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    write_checkpoint(SHAPES["tiny"], folder, 0, Progress())
    return folder


def test_ceilings_by_hand() -> None:
    agx = bandwidth(256, 3_200_000_000)
    assert agx == 204.8e9
    small, middle, large = MODELS
    # layers and head of the 1.7B shape: 24 x (4 x 2048^2 + 3 x 2048 x 5632) + 2048 x 32000
    assert weight_bytes(small, "fp16") == 2 * 1_298_661_376
    assert small.position_bytes == 192 * 1024 and middle.position_bytes == 320 * 1024
    assert [round(ceiling(small, precision, agx)) for precision in PRECISIONS] == [76, 146, 255]
    assert [round(ceiling(middle, precision, agx)) for precision in PRECISIONS] == [38, 73, 131]
    assert weight_bytes(large, "fp16") / 1e9 == pytest.approx(13.2, abs=0.05)


@pytest.mark.parametrize("model", MODELS[:2], ids=lambda model: str(model.name))
def test_sizes_are_those_of_the_benchmarks(model: object) -> None:
    ours = next(one for one in MODELS if one == model)
    shape = SHAPES[ours.name]
    assert (shape.width, shape.layers, shape.heads, shape.inner, shape.vocabulary) == (
        *(ours.width, ours.layers, ours.heads, ours.inner, ours.vocabulary),
    )


@pytest.mark.slow
def test_weights_on_paper_are_those_of_an_export(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """What is beside the weights, norms and tables of positions, is the same in every precision."""
    shape = SHAPES["tiny"]
    model = Model("tiny", shape.width, shape.layers, shape.heads, shape.inner, shape.vocabulary)
    rest = []
    for precision in PRECISIONS:
        manifest = export_bundle(
            tiny_checkpoint,
            tmp_path / precision,
            vision_tower=tiny_checkpoint / CLIP,
            device="jetpack7",
            precision=precision,
            vision_precision="fp16",
        )
        rest.append(manifest.files[DECODER_WEIGHTS].size - weight_bytes(model, precision))
    assert max(rest) - min(rest) < 0.01 * weight_bytes(model, "int4")
    assert min(rest) > 0
