"""A bundle beside its checkpoint in fp32, layer by layer: how far each layer's output has drifted away.

Both see the same drawings and questions. Drift adds up: what a layer shows is its own and that of all before it.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from edgevlm_demo.scenes import FIRST_EVALUATION_SEED
from edgevlm_engines import Manifest, open_bundle
from edgevlm_engines.bundle import DECODER, EMBEDDING, TOKENIZER, VISION
from edgevlm_engines.manifest import Source
from edgevlm_export.bundle_writer import scratch_folder
from edgevlm_export.model_source import Lora
from edgevlm_server.text.tokenizer import Tokenizer
from numpy.typing import NDArray

from edgevlm.accuracy.activations import prompt_inputs
from edgevlm.accuracy.inner_values import InnerValues
from edgevlm.accuracy.questions import Case, drawn_cases
from edgevlm.accuracy.recipe import Recipe
from edgevlm.errors import CommandError
from edgevlm.progress import Bar

PICTURES = 4
LOGITS = "logits"
FEATURES = "features"

Array = NDArray[Any]


class Layer(NamedTuple):
    """Over all questions: `error` is the length of the difference, as a part of the reference's length."""

    name: str
    error: float
    cosine: float


def verify(
    bundle: Path, checkpoint: Path, vision_tower: Path | None, lora: Sequence[Lora] = (), pictures: int = PICTURES
) -> list[Layer]:
    """Every layer of vision encoder and decoder, features and logits, in their order.

    Raises `CommandError` for a bundle of another model, or for TensorRT; `ExportError`, `BundleError`.
    """
    manifest = open_bundle(bundle).manifest
    recipe = Recipe(
        checkpoint=checkpoint,
        device="cpu",
        precision="fp32",
        vision_precision="fp32",
        bar=Bar,
        vision_tower=vision_tower,
        lora=lora,
    )
    _check(manifest, bundle, recipe)
    drawn = drawn_cases(manifest, Tokenizer(bundle / TOKENIZER), FIRST_EVALUATION_SEED, pictures)
    cases = [case for case in drawn if not case.shared]
    with scratch_folder(bundle.absolute()) as folder:
        recipe.write_reference(folder / "fp32")
        expected = list(layer_outputs(folder / "fp32", manifest, cases))
    found = list(layer_outputs(bundle, manifest, cases))
    return [
        _compared(name, [one[name] for one in expected], [other[name] for other in found]) for name in expected[0]
    ]


def _check(manifest: Manifest, bundle: Path, recipe: Recipe) -> None:
    if manifest.flavour != "ort":
        raise CommandError(
            f"{bundle} runs only on TensorRT; export the checkpoint for cpu in the same precisions, and verify that."
        )
    model, bar = recipe.model(), Bar("Reading the checkpoint")
    bar.start(model.size())
    given = model.digests(bar.advance)
    bar.finish()
    if [_identity(one) for one in given] != [_identity(one) for one in manifest.sources]:
        raise CommandError(
            f"{bundle} was not made from {_listed(given)}: its manifest names {_listed(manifest.sources)}."
        )


def _identity(source: Source) -> tuple[str, str]:
    """Digest, and an adapter's scale: a folder may have been renamed since."""
    _, colon, scale = source.name.rpartition(":")
    return source.sha256, scale if colon else ""


def _listed(sources: Iterable[Source]) -> str:
    return ", ".join(f"{source.name} ({source.sha256[:8]})" for source in sources)


def layer_outputs(bundle: Path, manifest: Manifest, cases: list[Case]) -> Iterator[dict[str, Array]]:
    """Of each case, every layer's output by its name; one graph of the two is loaded at a time."""
    vision = InnerValues(bundle / VISION, partial(_layers, "vision"))
    seen = [vision.run({"pixels": case.pixels[np.newaxis]}, FEATURES) for case in cases]
    del vision
    decoder = InnerValues(bundle / DECODER, partial(_layers, "decoder"))
    embedding = np.load(bundle / EMBEDDING, mmap_mode="r", allow_pickle=False)
    for case, outputs in zip(cases, seen, strict=True):
        inputs = prompt_inputs(manifest, embedding, case.tokens, outputs[FEATURES][0])
        yield {**outputs, **decoder.run(inputs, LOGITS)}


def _layers(part: str, graph: Any) -> dict[str, str]:
    """Name of each layer, and of the value it ends with: that of the last node in its scope."""
    found = {}
    for node in graph.node:
        layer = next((scope for scope in node.name.split("/")[:-1] if scope.startswith("layer")), None)
        if layer is not None:
            found[f"{part} layer {layer.removeprefix('layer')}"] = node.output[-1]
    return found


def _compared(name: str, expected: list[Array], found: list[Array]) -> Layer:
    one, other = (np.concatenate([array.ravel() for array in arrays]) for arrays in (expected, found))
    length = float(np.linalg.norm(one))
    cosine = float(one @ other) / (length * float(np.linalg.norm(other)))
    return Layer(name, float(np.linalg.norm(other - one)) / length, cosine)
