"""Quantised bundles: near the exact one, and the same bits for a slot whatever runs beside it."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from edgevlm_engines import Floats, Tokens, open_bundle
from edgevlm_engines.names import Precision, VisionPrecision
from edgevlm_engines.ort.encoder import NICENESS
from edgevlm_engines.ort.engine import OrtEngine
from edgevlm_export.exporter import export_bundle

from tests.conftest import GOLDEN
from tests.prefill import no_features, prefill

CASE = GOLDEN / "v2"
SLOTS, LENGTH = 6, 200
STEPS = 6

Load = Callable[..., OrtEngine]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    engines: list[OrtEngine] = []

    def loaded(precision: Precision, vision: VisionPrecision = "fp32", slots: int = SLOTS) -> OrtEngine:
        folder = tmp_path_factory.mktemp("precision") / precision
        export_bundle(
            CASE / "checkpoint",
            folder,
            vision_tower=CASE / "clip",
            precision=precision,
            vision_precision=vision,
        )
        engines.append(OrtEngine(open_bundle(folder), slots=slots, max_length=LENGTH))
        return engines[-1]

    yield loaded
    for engine in engines:
        engine.close()


def prompts(engine: OrtEngine) -> list[Tokens]:
    random = np.random.default_rng(4)
    return [random.integers(259, engine.info.vocab_size, length) for length in (3, 41, 7, 120, 2, 63)]


def followed(engine: OrtEngine, chosen: list[Tokens]) -> list[Floats]:
    """Logits of each prompt and of the tokens behind it, which decode together: `[1 + STEPS, vocab]` each."""
    slots = [[prefill(engine, slot, prompt)] for slot, prompt in enumerate(chosen)]
    for step in range(STEPS):
        tokens = np.array([300 + step + 7 * len(prompt) for prompt in chosen]) % engine.info.vocab_size
        lengths = np.array([len(prompt) + step for prompt in chosen])
        for slot, logits in zip(slots, engine.decode(tokens, lengths), strict=True):
            slot.append(logits)
    return [np.stack(slot) for slot in slots]


@pytest.mark.slow
@pytest.mark.parametrize("precision", get_args(Precision))
def test_a_slot_gets_the_same_bits_alone_and_in_any_batch(load: Load, precision: Precision) -> None:
    engine = load(precision)
    chosen = prompts(engine)
    alone = [followed(engine, [prompt])[0] for prompt in chosen]
    for count in range(2, SLOTS + 1):
        for slot, together in enumerate(followed(engine, chosen[:count])):
            np.testing.assert_array_equal(together, alone[slot])


@pytest.mark.slow
@pytest.mark.parametrize("precision", get_args(Precision))
def test_a_prompt_with_a_copied_beginning_gets_the_same_bits(load: Load, precision: Precision) -> None:
    """At every length: what is left behind the last whole chunk takes one kernel or another."""
    engine = load(precision)
    chunk = engine.info.max_chunk
    prompt = prompts(engine)[3]
    prefill(engine, 0, prompt)
    segments = [engine.save(0, start, start + chunk) for start in range(0, len(prompt) - chunk, chunk)]
    for length in range(chunk + 1, len(prompt) + 1):
        whole = prefill(engine, 1, prompt[:length])
        copied = segments[: (length - 1) // chunk]
        prefill(engine, 2, prompts(engine)[5])
        for segment in copied:
            engine.restore(2, segment, chunk)
        np.testing.assert_array_equal(prefill(engine, 2, prompt[:length], start=chunk * len(copied)), whole)
    for segment in segments:
        segment.free()


@pytest.mark.parametrize(("precision", "least"), [("int8", 0.998), ("int4", 0.88)])
def test_logits_stay_near_the_exact_ones(load: Load, precision: Precision, least: float) -> None:
    """Random weights amplify what is rounded away: see `tests/commands/test_quantisation.py` for a trained model."""
    exact, near = (np.concatenate(followed(e, prompts(e))).ravel() for e in (load("fp32"), load(precision)))
    cosine = float(exact @ near / np.linalg.norm(exact) / np.linalg.norm(near))
    assert least < cosine < 1


@pytest.mark.slow
def test_features_stay_near_the_exact_ones_and_do_not_depend_on_other_pictures(load: Load) -> None:
    exact, near = load("fp32"), load("fp32", "int8")
    size = exact.info.image_size
    pixels = np.random.default_rng(5).standard_normal((3, 3, size, size)).astype(np.float32)
    pixels[1] *= 5  # one scale for all pictures would be this one's
    together = near.encode_images(pixels)
    for picture, features in zip(pixels, together, strict=True):
        np.testing.assert_array_equal(near.encode_images(picture[np.newaxis])[0], features)
    wanted = exact.encode_images(pixels)
    cosine = float((wanted * together).sum() / np.linalg.norm(wanted) / np.linalg.norm(together))
    assert 0.995 < cosine < 1


def test_kernels_that_depend_on_the_number_of_slots_are_found_out_and_cured(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of 128 take such kernels on the processors this was measured on; where not, nothing is to be cured."""
    engine = load("int4", slots=3)
    chosen = prompts(engine)[:3]
    alone = [followed(engine, [prompt])[0] for prompt in chosen]
    for slot, together in enumerate(followed(engine, chosen)):
        np.testing.assert_array_equal(together, alone[slot])
    monkeypatch.setattr("edgevlm_engines.ort.engine.invariant_sizes", lambda make, slots: (1, 2, 3))
    uncured = load("int4", slots=3)
    same = all(np.array_equal(a[0], b) for a, b in zip([followed(uncured, [p]) for p in chosen], alone, strict=True))
    assert same == (engine._sizes == (1, 2, 3))


@pytest.mark.parametrize("sizes", [(2, 4), (4,)])
def test_idle_slots_that_fill_up_a_step_do_no_harm(
    bundles: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...]
) -> None:
    monkeypatch.setattr("edgevlm_engines.ort.engine.invariant_sizes", lambda make, slots: sizes)
    engine = OrtEngine(open_bundle(bundles("v2")), slots=3, max_length=LENGTH)
    short, long = prompts(engine)[2], prompts(engine)[3]
    wanted = prefill(engine, 1, long)
    prefill(engine, 0, short)
    # a prompt comes in beside a slot that decodes alone
    for number, start in enumerate(range(0, len(long), engine.info.max_chunk)):
        part = long[start : start + engine.info.max_chunk]
        found = engine.prefill(1, start, part, no_features(engine))
        engine.decode(np.array([300]), np.array([len(short) + number]))
    np.testing.assert_array_equal(found, wanted)
    prefill(engine, 1, np.resize(long, LENGTH))
    assert np.isfinite(engine.decode(np.array([300]), np.array([len(short)]))).all()
    engine.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no niceness of their own")
def test_the_encoders_threads_give_way_to_decoding(bundles: Callable[[str], Path]) -> None:
    lower = os.getpriority(os.PRIO_PROCESS, 0) + NICENESS

    def of_lower_priority() -> set[str]:
        found = set()
        for task in os.listdir("/proc/self/task"):
            with suppress(ProcessLookupError):  # engines of other tests may end meanwhile
                if os.getpriority(os.PRIO_PROCESS, int(task)) == lower:
                    found.add(task)
        return found

    before = of_lower_priority()
    engine = OrtEngine(open_bundle(bundles("v2")), slots=1, max_length=LENGTH, threads=2)
    own = of_lower_priority() - before
    # the thread that calls the runtime, and one that the runtime has started for it
    assert len(own) == 2
    engine.close()
    # a thread that was waited for is listed for a moment longer
    deadline = time.monotonic() + 10
    while own & of_lower_priority() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not own & of_lower_priority()
