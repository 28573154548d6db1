"""Which scales are found, and that folding them in changes no answer."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edgevlm_demo import checkpoint_folder, clip_folder
from edgevlm_engines import load_engine, open_bundle
from edgevlm_export.calibrate.choice import TOWER_LIMIT, choose
from edgevlm_export.calibrate.groups import Group, Part, groups
from edgevlm_export.calibrate.search import Finding, find, roundings
from edgevlm_export.checkpoint.config import load_config
from edgevlm_export.exporter import export_bundle
from edgevlm_export.graph.rounding import Inputs
from edgevlm_export.model_source import ModelSource, open_model

from tests.conftest import GOLDEN
from tests.export.calibrate.outliers import opened, with_outliers

V1 = GOLDEN / "v1"


def drawn_inputs(model: ModelSource, group: Group, large: float) -> Inputs:
    """Rows of which one channel is `large` times the others, and the same everywhere."""
    checkpoint = model.tower if group.part == "vision" else model.weights
    width = checkpoint.stored(group.tensors[0]).shape[1]
    rows = np.random.default_rng(1).normal(0, 1, (64, width)).astype(np.float32)
    rows[:, 3] = large
    return Inputs(rows, rows.min(axis=0), rows.max(axis=0))


ALL: tuple[Part, ...] = ("vision", "decoder", "head")


def findings(model: ModelSource, large: float, scaled: Sequence[Part] = ALL) -> list[Finding]:
    every = list(groups(model.config))
    inputs = {group.matmul: drawn_inputs(model, group, large) for group in every}
    done: list[int] = []
    found = list(find(model, every, roundings("cpu", "int4", "int8"), inputs, done.append, scaled))
    assert len(done) == len(found) == len(every)
    return found


@pytest.fixture(scope="module")
def model() -> ModelSource:
    return open_model(V1 / "checkpoint", V1 / "clip")


@pytest.mark.slow
def test_scales_help_where_they_can_be_folded_in(model: ModelSource) -> None:
    for finding in findings(model, 200.0):
        if not finding.group.fed_by:
            assert finding.scale is None
            assert finding.scaled == finding.nearest
        elif finding.group.part == "vision":
            assert finding.scaled < 0.05 * finding.nearest
        else:
            assert finding.scale is not None and finding.scaled < finding.nearest, finding.group.matmul


@pytest.mark.slow
def test_scales_are_looked_for_where_they_are_wanted(model: ModelSource) -> None:
    found = findings(model, 200.0, ("vision",))
    assert {one.group.part for one in found if one.scale is not None} == {"vision"}
    assert all(one.scaled == one.nearest for one in found if one.scale is None)


@pytest.mark.slow
def test_the_tower_is_left_alone_where_nothing_helps(model: ModelSource) -> None:
    found = findings(model, 200.0, ("vision",))
    chosen = choose(found)
    assert set(chosen.kept) == {f"vision_model.encoder.layers.{layer}.mlp.fc2.weight" for layer in range(2)}
    assert not {scale.group.matmul for scale in chosen.scales} & set(chosen.kept)
    assert choose(findings(model, 1.0, ())).kept == ()
    spoilt = found[0]._replace(scaled=float("nan"))
    assert choose([spoilt]).kept == (spoilt.group.matmul,)
    assert choose([found[0]._replace(scaled=TOWER_LIMIT)]).kept == ()


def test_values_that_several_heads_read_are_not_scaled() -> None:
    config = load_config(V1 / "checkpoint", V1 / "clip")
    shared = groups(replace(config, kv_heads=2))
    assert [g.fed_by for g in shared if g.part == "decoder" and g.role == "attention out"] == [(), ()]


@pytest.mark.slow
def test_a_model_with_outliers_is_the_same_model(tmp_path: Path) -> None:
    """In fp32: folding in factors up to 100 moves its features by what float16 rounds."""
    heavy = with_outliers(tmp_path / "heavy")
    assert {group.matmul for group in groups(opened(heavy).config)} == {
        group.matmul for group in groups(opened(checkpoint_folder()).config)
    }
    features = []
    for checkpoint in (checkpoint_folder(), heavy):
        bundle = tmp_path / f"{checkpoint.name}-bundle"
        export_bundle(checkpoint, bundle, vision_tower=clip_folder())
        engine = load_engine("ort", open_bundle(bundle), slots=1, max_length=160)
        pixels = np.random.default_rng(2).normal(0, 1, (1, 3, 168, 168)).astype(np.float32)
        features.append(engine.encode_images(pixels)[0])
        engine.close()
    one, other = features
    cosine = (one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other)
    assert cosine > 0.9995
