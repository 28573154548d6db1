"""The same call gives the same bits, whatever else runs."""

import numpy as np
from edgevlm_engines import Engine, Floats
from edgevlm_engines.ort.engine import OrtEngine

from tests.engines.test_contract import decode, picture, text
from tests.gpu.columns import Column
from tests.gpu.conftest import SLOTS, Loaded, Note
from tests.gpu.test_contract import HALF
from tests.prefill import prefill

ROW = "same bits"


def test_a_picture_encoded_twenty_times(loaded: Loaded) -> None:
    engine = loaded.model.engine
    pixels = picture(engine, 1)
    first = engine.encode_images(pixels)
    different = sum(not np.array_equal(engine.encode_images(pixels), first) for _ in range(19))
    assert not different, f"{different} of 19 differ"


def test_a_prompt_ten_times(loaded: Loaded) -> None:
    engine = loaded.model.engine
    tokens = text(engine, 100, 2)
    first = prefill(engine, 0, tokens)
    for _ in range(9):
        np.testing.assert_array_equal(prefill(engine, 0, tokens), first)


def steps(engine: Engine, lengths: list[int]) -> Floats:
    """Slot 0's logits in five steps."""
    logits = [
        decode(engine, [length + step for length in lengths], [300 + step] * len(lengths))[0] for step in range(5)
    ]
    return np.stack(logits)


def test_a_slot_alone_and_among_others(loaded: Loaded, column: Column, note: Note) -> None:
    """ONNX Runtime's engine promises the same bits, having tried; TensorRT's comes as near as the contract wants."""
    engine = loaded.model.engine
    lengths = [60, 3, 120, 30]
    for slot, length in enumerate(lengths):
        prefill(engine, slot, text(engine, length, slot))
    alone = steps(engine, lengths[:1])
    most = max(np.abs(steps(engine, lengths[:count]) - alone).max() for count in range(2, SLOTS + 1))
    if most:
        note(f"logits differ by up to {most:.1e} with the number of slots")
    assert most <= (HALF[loaded.case] if column.on_tensorrt else 0)


def test_steps_run_on_kernels_of_our_own(loaded: Loaded, column: Column) -> None:
    """Or the promise above would be ONNX Runtime's, and the kernels unseen."""
    if column.device == "cuda":
        assert isinstance(loaded.model.engine, OrtEngine)
        assert loaded.model.engine._own is not None
