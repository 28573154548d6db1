"""What repeats its work in one place gives what a plain call gives. On a CPU, where nothing is captured."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgevlm_engines import open_bundle
from edgevlm_engines.bundle import VISION
from edgevlm_engines.ort.session import open_session
from edgevlm_engines.ort.vision_session import CapturedVision, PlainVision


@pytest.mark.parametrize("case", ["v1", "v2"])
def test_bound_and_plain_runs_agree(case: str, bundles: Callable[[str], Path]) -> None:
    bundle = open_bundle(bundles(case))
    manifest, size = bundle.manifest, bundle.manifest.preprocessing.size
    session = open_session(bundle, VISION, "cpu", 1)
    features = (1, manifest.vision.image_tokens, manifest.decoder.hidden_size)
    bound, plain = CapturedVision(session, "cpu", (1, 3, size, size), features), PlainVision(session)
    pictures = np.random.default_rng(3).standard_normal((2, 1, 3, size, size)).astype(np.float32)
    first, second = (bound.run(picture) for picture in pictures)
    np.testing.assert_array_equal(first, plain.run(pictures[0]))
    np.testing.assert_array_equal(second, plain.run(pictures[1]))
