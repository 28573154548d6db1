"""What rounding does to a model's matmuls, on the user's questions or on drawings. Knows the order of work.

A vision encoder in int8 is looked at in any case: its activations have one grid a call, which outliers can spoil.
"""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from edgevlm_engines import Manifest
from edgevlm_engines.bundle import VISION
from edgevlm_export.bundle_writer import scratch_folder
from edgevlm_export.calibrate.choice import NOTHING_CHANGED, Choice, choose
from edgevlm_export.calibrate.groups import Part, groups
from edgevlm_export.calibrate.search import Finding, find
from edgevlm_export.graph.rounding import Inputs
from edgevlm_export.manifest_parts import preprocessing_part

from edgevlm.accuracy.questions import calibration_questions, drawn_pictures
from edgevlm.accuracy.recipe import Recipe
from edgevlm.accuracy.sensitivity import summary
from edgevlm.errors import CommandError

Parts = tuple[Part, ...]
ENCODER: Parts = ("vision",)
EVERY: Parts = ("vision", "decoder", "head")


class Written(NamedTuple):
    """A bundle's manifest, and what was made of the findings: also as a sentence, empty if that is nothing."""

    manifest: Manifest
    choice: Choice
    summary: str


def encoder_findings(recipe: Recipe, bundle: Path) -> list[Finding]:
    """Those of the vision encoder on drawings, with scales; an fp32 one is written beside `bundle` meanwhile.

    None if it is not rounded. Raises `ExportError` and `CommandError`.
    """
    if recipe.roundings().vision is None:
        return []
    graphs = _activations()
    pictures = list(drawn_pictures(preprocessing_part(recipe.model().config, recipe.vision_tower)))
    with scratch_folder(bundle) as folder:
        path = folder / VISION
        recipe.write_encoder(path)
        bar = recipe.bar("Recording activations", "picture")
        bar.start(len(pictures))
        inputs = graphs.record_encoder(path, pictures, bar.advance)
        bar.finish()
    return _found(recipe, inputs, ENCODER, ENCODER)


def all_findings(recipe: Recipe, reference: Path, folder: Path | None) -> list[Finding]:
    """Those of the whole model on the questions in `folder`, with scales; on drawings if it is `None`, with scales
    for the vision encoder alone. `reference` is the model's bundle in fp32. Raises `CommandError`.
    """
    if not any(recipe.roundings()):
        return []
    questions = calibration_questions(reference, folder)
    bar = recipe.bar("Recording activations", "question")
    bar.start(questions.number)
    inputs = _activations().record(reference, questions, bar.advance)
    bar.finish()
    return _found(recipe, inputs, EVERY, ENCODER if folder is None else EVERY)


def write(recipe: Recipe, bundle: Path, findings: Sequence[Finding]) -> Written:
    """The bundle, with what follows from the findings. Raises `ExportError`."""
    choice = choose(findings)
    manifest = recipe.write(bundle, choice)
    return Written(manifest, choice, "" if choice == NOTHING_CHANGED else summary(findings, choice))


def check_runtime() -> None:
    """Raise `CommandError` where nothing can run a graph."""
    if find_spec("onnxruntime") is None:
        raise CommandError(
            "To see what rounding does to a model, ONNX Runtime is needed: install the 'cpu' extra of edgevlm, or "
            "leave out --calibrate, --report and --vision-precision int8."
        )


def _activations() -> ModuleType:
    """The module that runs graphs, imported where there is something to run them with."""
    check_runtime()
    return import_module("edgevlm.accuracy.activations")


def _found(recipe: Recipe, inputs: dict[str, Inputs], parts: Parts, scaled: Parts) -> list[Finding]:
    model = recipe.model()
    chosen = [group for group in groups(model.config) if group.part in parts]
    bar = recipe.bar("Rounding", "matmul")
    bar.start(len(chosen))
    found = list(find(model, chosen, recipe.roundings(), inputs, bar.advance, scaled))
    bar.finish()
    return found
