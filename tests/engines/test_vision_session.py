"""What repeats its work in one place gives what a plain call gives; what a device refuses. Nothing is captured: on a
CPU.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgevlm_engines import EngineLoadError, NotNow, open_bundle
from edgevlm_engines.bundle import VISION
from edgevlm_engines.ort.session import open_session
from edgevlm_engines.ort.vision_session import CapturedVision, PlainVision

from tests.tensorrt.standin import installed


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


@pytest.mark.parametrize(
    ("what", "fits", "kind"),
    [
        ("CUDA failure 2: out of memory ; GPU=0", True, NotNow),
        ("CUDA failure 2: out of memory ; GPU=0", False, EngineLoadError),
        ("Failed to load model because protobuf parsing failed", True, EngineLoadError),
    ],
)
def test_a_gpu_that_others_fill_may_have_room_later(
    what: str,
    fits: bool,
    kind: type[EngineLoadError],
    bundles: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise RuntimeError(what)

    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr("onnxruntime.InferenceSession", refuse)
    with installed() as machine, pytest.raises(EngineLoadError, match="cannot load") as caught:
        machine.capacity = 2**30 if fits else 1000
        open_session(open_bundle(bundles("v2")), VISION, "cuda", 1)
    assert type(caught.value) is kind
