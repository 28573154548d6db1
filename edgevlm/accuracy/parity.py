"""The product's own code beside tensors that upstream's code computed from the same checkpoint, stage by stage."""

import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from edgevlm_engines import IMAGE_TOKEN
from edgevlm_engines.bundle import VISION
from edgevlm_export.exporter import export_bundle
from edgevlm_export.graph.vision import HIDDEN
from edgevlm_server.images.formats.limits import ImageLimits
from edgevlm_server.images.intake import ImageIntake
from edgevlm_server.model import Model, load_model
from edgevlm_server.offline import encode, generate, prefill
from edgevlm_server.runtime.sequence import Sequence
from edgevlm_server.settings import Settings
from edgevlm_server.text.prompt import Mark, Turn, encode_conversation
from numpy.typing import NDArray

from edgevlm.accuracy.inner_values import InnerValues
from edgevlm.errors import CommandError
from edgevlm.pictures import picture_pixels

REFERENCES = ("pixel_values", "input_ids", "vision_hidden", "image_features", "logits", "new_ids")
PIXEL_TOLERANCE = 1e-6
Array = NDArray[Any]


class Stage(NamedTuple):
    """One line of the table. `difference` is the largest one, or how many ids differ."""

    name: str
    difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.difference <= self.tolerance


def compare(case: Path, tolerance: float) -> list[Stage]:
    """Run every stage of one case; each starts from the product's own output of the stage before."""
    prompt, reference = _load(case)
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        export_bundle(case / "checkpoint", bundle, vision_tower=case / "clip")
        model = load_model(bundle, Settings.offline())
        try:
            pixels = _pixels(model, case / "image.png")
            hidden = _vision_hidden(bundle, pixels)
            return _stages(model, prompt, pixels, hidden, reference, tolerance)
        finally:
            model.engine.close()


def _stages(
    model: Model, prompt: str, pixels: Array, hidden: Array, reference: dict[str, Array], tolerance: float
) -> list[Stage]:
    features = encode(model, [pixels])
    ids = _prompt_ids(model, prompt)
    logits = _all_logits(model, ids, features)
    new_ids = _greedy(model, ids, features, reference["new_ids"].size)
    return [
        Stage("input ids (number that differ)", _differing(_unspliced(ids), reference["input_ids"]), 0),
        Stage("pixel values", _largest(pixels, reference["pixel_values"]), PIXEL_TOLERANCE),
        Stage("vision encoder", _largest(hidden, reference["vision_hidden"]), tolerance),
        Stage("projector", _largest(features, reference["image_features"]), tolerance),
        Stage("prefill logits, last position", _largest(logits[0], reference["logits"][0, -1]), tolerance),
        Stage("decode logits, every position", _largest(logits[1], reference["logits"]), tolerance),
        Stage("greedy tokens (number that differ)", _differing(new_ids, reference["new_ids"]), 0),
    ]


def _load(case: Path) -> tuple[str, dict[str, Array]]:
    """The prompt and the reference arrays of a case."""
    try:
        prompt = json.loads((case / "ref.json").read_text(encoding="utf-8"))["prompt"]
        with np.load(case / "ref.npz", allow_pickle=False) as arrays:
            reference = {name: arrays[name] for name in REFERENCES}
    except (OSError, ValueError, KeyError) as error:
        raise CommandError(f"{case} cannot be used as a reference case: {error}.") from None
    return str(prompt), reference


def _pixels(model: Model, image: Path) -> Array:
    with ImageIntake(ImageLimits(), model.manifest.preprocessing, workers=1) as intake:
        return picture_pixels(intake, image)


def _vision_hidden(bundle: Path, pixels: Array) -> Array:
    """The vision encoder's output before the projector."""
    hidden: Array = InnerValues(bundle / VISION, lambda graph: {HIDDEN: HIDDEN}).run({"pixels": pixels[np.newaxis]})[
        HIDDEN
    ]
    return hidden


def _prompt_ids(model: Model, prompt: str) -> Array:
    """Token ids of the reference's prompt, written as a conversation: its template must come out of ours."""
    system, _, rest = prompt.partition(" USER: <image>\n")
    question = rest.removesuffix(" ASSISTANT:")
    if not rest.endswith(" ASSISTANT:"):
        raise CommandError("The prompt of the case is not a single turn of template v1 with one image.")
    turns = [Turn("user", (Mark.IMAGE, question))]
    tokens = encode_conversation(
        model.tokenizer, model.manifest.prompt, model.manifest.vision.image_tokens, turns, system
    )
    return np.array(tokens, np.int64)


def _unspliced(ids: Array) -> Array:
    """Upstream's ids have one mark for an image, ours one for each of its positions."""
    inside = (ids[1:] == IMAGE_TOKEN) & (ids[:-1] == IMAGE_TOKEN)
    return np.delete(ids, np.flatnonzero(inside) + 1)


def _all_logits(model: Model, ids: Array, features: Array) -> tuple[Array, Array]:
    """Logits of the last position from chunks, and of every position from steps of one."""
    last = prefill(model, _sequence(model, ids, features, 1))
    stepped = _sequence(model, ids, features, 1)
    logits = []
    while stepped.prompt_left:
        tokens, image = stepped.chunk(1)
        logits.append(model.engine.prefill(0, stepped.computed, tokens, image))
        stepped.computed += 1
    return last, np.stack(logits)


def _greedy(model: Model, ids: Array, features: Array, count: int) -> Array:
    return np.array(list(generate(model, _sequence(model, ids, features, count))), np.int64)


def _sequence(model: Model, ids: Array, features: Array, max_tokens: int) -> Sequence:
    return Sequence(ids, features, max_tokens, frozenset(model.manifest.prompt.stop_ids))


def _largest(ours: Array, theirs: Array) -> float:
    """Largest absolute difference; infinite if even the sizes differ."""
    return float(np.abs(ours.ravel() - theirs.ravel()).max()) if ours.size == theirs.size else float("inf")


def _differing(ours: Array, theirs: Array) -> int:
    """Number of ids that differ; all, if even the lengths differ."""
    return int((ours != theirs.ravel()).sum()) if ours.size == theirs.size else max(ours.size, theirs.size)
