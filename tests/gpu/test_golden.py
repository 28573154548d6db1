"""Golden cases beside what upstream's code computed, in float32.

Where a greedy token differs, the float32 engine on the CPU says by how much upstream preferred its own: less than
this engine's error on the prompt, or it is an error and no near-tie.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgevlm_engines import load_engine, open_bundle
from edgevlm_server.offline import encode
from numpy.typing import NDArray

from edgevlm.accuracy.parity import _all_logits, _greedy, _largest, _load, _pixels, _prompt_ids
from tests.conftest import GOLDEN
from tests.gpu.conftest import LENGTH, Loaded, Note
from tests.prefill import prefill

ROW = "golden cases"

FEATURES, LOGITS = 5e-3, 0.05
"""Of the largest value: twice the largest differences met on an H200, 2.3e-3 and 0.023."""

Array = NDArray[Any]


class Found:
    """What an engine makes of a case, and what upstream's code made of it."""

    def __init__(self, loaded: Loaded) -> None:
        golden, model = GOLDEN / loaded.case, loaded.model
        prompt, self.reference = _load(golden)
        self.features = encode(model, [_pixels(model, golden / "image.png")])
        self.ids = _prompt_ids(model, prompt)
        self.last, self.every = _all_logits(model, self.ids, self.features)
        self.new_ids = _greedy(model, self.ids, self.features, self.reference["new_ids"].size)

    @property
    def noise(self) -> float:
        """The largest error of a logit of the prompt."""
        return _largest(self.every, self.reference["logits"])


@pytest.fixture(scope="module")
def found(loaded: Loaded) -> Found:
    return Found(loaded)


@pytest.fixture(scope="module")
def upstream(loaded: Loaded, found: Found, bundles: Callable[[str], Path]) -> Iterator[Callable[[int], Array]]:
    """Upstream's float32 logits before its own token at a position of the answer."""
    engine = load_engine("ort", open_bundle(bundles(loaded.case)), slots=1, max_length=LENGTH)
    features = found.reference["image_features"].reshape(-1, engine.info.hidden_size)

    def logits(position: int) -> Array:
        answer = found.reference["new_ids"].ravel()[:position]
        return prefill(engine, 0, np.concatenate([found.ids, answer]), features)

    yield logits
    engine.close()


def test_features_and_logits_of_the_prompt_in_chunks_and_in_steps(found: Found, note: Note) -> None:
    features, logits = found.reference["image_features"], found.reference["logits"]
    of_features = _largest(found.features, features) / float(np.abs(features).max())
    of_logits = max(_largest(found.last, logits[0, -1]), found.noise) / float(np.abs(logits).max())
    note(f"features differ by {of_features:.1e} of the largest, logits by {of_logits:.1e}")
    assert of_features < FEATURES
    assert of_logits < LOGITS


def test_greedy_tokens(found: Found, upstream: Callable[[int], Array], note: Note) -> None:
    wanted = found.reference["new_ids"].ravel()
    differing = np.flatnonzero(found.new_ids != wanted[: found.new_ids.size])
    assert found.new_ids.size == wanted.size or differing.size, "an answer that ends elsewhere"
    if not differing.size:
        return
    first = int(differing[0])
    logits = upstream(first)
    assert int(logits.argmax()) == wanted[first], "the float32 engine does not choose upstream's token"
    gap = float(logits[wanted[first]] - logits[found.new_ids[first]])
    note(
        f"{differing.size} of {wanted.size} greedy tokens differ, from {first} on: upstream preferred its own by "
        f"{gap:.4f}, and logits of the prompt differ by up to {found.noise:.4f}"
    )
    assert gap < found.noise
