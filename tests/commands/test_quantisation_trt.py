"""What the precisions for TensorRT cost on a trained model. Its engine runs on stand-ins, ONNX Runtime computes."""

from pathlib import Path

import pytest
from edgevlm_demo import checkpoint_folder, clip_folder
from edgevlm_engines import read_manifest
from edgevlm_engines.names import Device, Precision
from edgevlm_export.exporter import export_bundle

from edgevlm.accuracy.quantisation import compare
from tests.tensorrt.jetsons import JETSONS
from tests.tensorrt.standin import installed
from tests.tensorrt.standin.plans import write_plans

pytestmark = pytest.mark.slow

PICTURES = 12


@pytest.mark.parametrize("device", JETSONS)
@pytest.mark.parametrize(("precision", "least"), [("fp16", 0.99), ("int8", 0.99), ("int4", 0.97)])
def test_the_demo_model_says_the_same(device: Device, precision: Precision, least: float, tmp_path: Path) -> None:
    """On its own answers; int4 in blocks of 32, since its sizes have no wider ones."""
    reference, other = tmp_path / "fp32", tmp_path / "other"
    export_bundle(checkpoint_folder(), reference, vision_tower=clip_folder())
    export_bundle(
        checkpoint_folder(),
        other,
        vision_tower=clip_folder(),
        device=device,
        precision=precision,
        vision_precision="fp16",
    )
    with installed(JETSONS[device]) as machine:
        write_plans(other, 1, read_manifest(other).max_length)
        [found] = compare(reference, [other], lambda count: None, pictures=PICTURES)
        machine.check_released()
    assert found.same_tokens >= least
    assert found.same_answers >= least - 0.05
    assert found.lowest_cosine > 0.9999
    assert 0 < found.mean_divergence < 0.01
