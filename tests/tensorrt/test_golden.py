"""Golden cases through the TensorRT engine on stand-ins, beside what upstream's code computed.

The arithmetic is ONNX Runtime's in float16. That a GPU's comes as near is not shown here.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from edgevlm_server.model import load_model
from edgevlm_server.offline import encode
from edgevlm_server.settings import Settings

from edgevlm.accuracy.parity import (
    _all_logits,
    _differing,
    _greedy,
    _largest,
    _load,
    _pixels,
    _prompt_ids,
    _unspliced,
)
from tests.conftest import CASES, GOLDEN
from tests.tensorrt.jetsons import ALL, JETSONS, RTX
from tests.tensorrt.standin import installed
from tests.tensorrt.standin.plans import write_plans

pytestmark = pytest.mark.slow

FEATURES, LOGITS = 3e-3, 0.03
"""Of the largest value: twice the largest differences met, 1.4e-3 and 0.016. Random weights amplify rounding."""


@pytest.fixture(
    params=[*((case, device) for case in CASES for device in JETSONS), *(("v2", device) for device in RTX)],
    ids=" on ".join,
)
def case(request: pytest.FixtureRequest, device_bundles: Callable[[str, str], Path]) -> Iterator[tuple[Path, Path]]:
    """Golden case and bundle, with plans for one slot."""
    name, device = request.param
    with installed(ALL[device]) as machine:
        folder = device_bundles(name, device)
        write_plans(folder, slots=1, max_length=2048)
        yield GOLDEN / name, folder
        machine.check_released()


def test_features_logits_and_greedy_tokens_are_upstreams(case: tuple[Path, Path]) -> None:
    golden, bundle = case
    prompt, reference = _load(golden)
    model = load_model(bundle, Settings.offline())
    try:
        assert model.engine.info.name == "trt"
        features = encode(model, [_pixels(model, golden / "image.png")])
        ids = _prompt_ids(model, prompt)
        assert _differing(_unspliced(ids), reference["input_ids"]) == 0
        scale = np.abs(reference["image_features"]).max()
        assert _largest(features, reference["image_features"]) < FEATURES * scale
        last, every = _all_logits(model, ids, features)
        scale = np.abs(reference["logits"]).max()
        assert _largest(last, reference["logits"][0, -1]) < LOGITS * scale
        assert _largest(every, reference["logits"]) < LOGITS * scale
        new_ids = _greedy(model, ids, features, reference["new_ids"].size)
        assert _differing(new_ids, reference["new_ids"]) == 0
    finally:
        model.engine.close()
