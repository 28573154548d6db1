"""The contract of the engine boundary, run on every engine that can load here."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from edgevlm_engines import IMAGE_TOKEN, Engine, Floats, Tokens, load_engine, open_bundle
from edgevlm_engines.ort.engine import OrtEngine

from tests.conftest import CASES
from tests.prefill import no_features, prefill
from tests.tensorrt.jetsons import JETSONS
from tests.tensorrt.standin import installed
from tests.tensorrt.standin.plans import write_plans

SLOTS, LENGTH = 4, 400
HALF = 5e-3
"""How far float16 may be from itself in another order of sums: twice the largest difference met, 2.5e-3."""


TENSORRT = [f"trt on {case}, {device}" for case in CASES for device in JETSONS]
# one case is enough to see that steps which are not captured are the same steps
PLAIN = [f"{name}, no graphs" for name in TENSORRT if " on v2, " in name]


@pytest.fixture(scope="module", params=["echo", *(f"ort on {case}" for case in CASES), *TENSORRT, *PLAIN])
def engine(
    request: pytest.FixtureRequest, bundles: Callable[[str], Path], device_bundles: Callable[[str, str], Path]
) -> Iterator[Engine]:
    """TensorRT runs on stand-ins, with ONNX Runtime under them."""
    name, _, rest = request.param.partition(" on ")
    case, *options = rest.split(", ")
    if name == "trt":
        with installed(JETSONS[options[0]]) as machine:
            folder = device_bundles(case, options[0])
            write_plans(folder, SLOTS, LENGTH)
            graphs = "no graphs" not in options
            loaded = load_engine(name, open_bundle(folder), slots=SLOTS, max_length=LENGTH, cuda_graphs=graphs)
            yield loaded
            loaded.close()
            del loaded
            machine.check_released()
        return
    loaded = load_engine(name, open_bundle(bundles(case or "v2")), slots=SLOTS, max_length=LENGTH)
    yield loaded
    loaded.close()


def assert_close(engine: Engine, found: Floats, wanted: Floats) -> None:
    """As near as the type in which the engine computes allows; logits and features are some units large."""
    np.testing.assert_allclose(found, wanted, atol=HALF if engine.info.precision == "fp16" else 1e-4, rtol=0)


def assert_same_choice(engine: Engine, found: Floats, wanted: Floats) -> None:
    """The likeliest token, or one that is as likely as far as the type tells."""
    near = HALF if engine.info.precision == "fp16" else 1e-4
    assert wanted[found.argmax()] >= wanted.max() - near


def text(engine: Engine, length: int, seed: int) -> Tokens:
    return np.random.default_rng(seed).integers(259, engine.info.vocab_size, length)


def picture(engine: Engine, seed: int) -> Floats:
    size = engine.info.image_size
    return np.random.default_rng(seed).standard_normal((1, 3, size, size)).astype(np.float32)


def decode(engine: Engine, lengths: list[int], tokens: list[int]) -> Floats:
    return engine.decode(np.array(tokens, np.int64), np.array(lengths, np.int64))


def test_shapes_and_types(engine: Engine) -> None:
    info = engine.info
    assert (info.slots, info.max_length) == (SLOTS, LENGTH)
    features = engine.encode_images(np.concatenate([picture(engine, 1), picture(engine, 2)]))
    assert features.shape == (2, info.image_tokens, info.hidden_size)
    logits = prefill(engine, 0, text(engine, 5, 1))
    assert logits.shape == (info.vocab_size,)
    assert features.dtype == logits.dtype == np.float32
    assert decode(engine, [5], [300]).shape == (1, info.vocab_size)


def test_pictures_are_encoded_each_for_itself(engine: Engine) -> None:
    one, other = picture(engine, 1), picture(engine, 2)
    both = engine.encode_images(np.concatenate([one, other]))
    assert_close(engine, both[0], engine.encode_images(one)[0])
    assert_close(engine, both[1], engine.encode_images(other)[0])
    assert np.abs(both[0] - both[1]).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [1, 7, 30])
def test_a_prompt_in_chunks_is_the_prompt_at_once(engine: Engine, chunk: int) -> None:
    tokens = np.concatenate([text(engine, 9, 1), np.full(engine.info.image_tokens, IMAGE_TOKEN), text(engine, 30, 2)])
    features = engine.encode_images(picture(engine, 3))[0]
    whole = prefill(engine, 0, tokens, features)
    assert_close(engine, prefill(engine, 1, tokens, features, chunk=chunk), whole)


def test_a_decoded_token_counts_like_a_prefilled_one(engine: Engine) -> None:
    tokens = text(engine, 12, 4)
    prefill(engine, 0, tokens)
    for length in range(12, 20):
        stepped = decode(engine, [length], [260 + length])[0]
    if engine.info.name != "echo":  # what the echo engine answers depends on where the prompt ends
        whole = prefill(engine, 1, np.concatenate([tokens, np.arange(272, 280)]))
        assert_close(engine, stepped, whole)


def test_slots_of_different_lengths_decode_as_if_alone(engine: Engine) -> None:
    prompts = [text(engine, length, length) for length in (3, 41, 7, 120)]
    alone = []
    for prompt in prompts:
        prefill(engine, 0, prompt)
        alone.append([decode(engine, [len(prompt) + step], [300 + step])[0] for step in range(5)])
    for slot, prompt in enumerate(prompts):
        prefill(engine, slot, prompt)
    for step in range(5):
        together = decode(engine, [len(prompt) + step for prompt in prompts], [300 + step] * 4)
        for slot in range(4):
            assert_close(engine, together[slot], alone[slot][step])
            assert_same_choice(engine, together[slot], alone[slot][step])


def test_a_moved_slot_goes_on_where_it_was(engine: Engine) -> None:
    first, last = text(engine, 20, 5), text(engine, 33, 6)
    prefill(engine, 0, last)
    expected = [decode(engine, [33 + step], [310 + step])[0] for step in range(3)]
    prefill(engine, 0, first)
    prefill(engine, 2, last)
    engine.move_slot(2, 0, 33)
    prefill(engine, 2, first)  # the old place is free for another sequence
    for step in range(3):
        assert_close(engine, decode(engine, [33 + step], [310 + step])[0], expected[step])


def test_what_a_slot_held_before_does_not_matter(engine: Engine) -> None:
    tokens = text(engine, 10, 7)
    fresh = prefill(engine, 3, tokens)
    prefill(engine, 3, text(engine, 200, 8))
    np.testing.assert_array_equal(prefill(engine, 3, tokens), fresh)


def test_saved_positions_are_the_same_in_another_slot(engine: Engine) -> None:
    tokens = text(engine, 60, 21)
    whole = prefill(engine, 0, tokens)
    first, second = engine.save(0, 0, 30), engine.save(0, 30, 50)
    assert (first.start, first.length, second.start, second.length) == (0, 30, 30, 20)
    prefill(engine, 0, text(engine, 70, 22))
    prefill(engine, 2, text(engine, 90, 23))
    engine.restore(2, first, 30)
    engine.restore(2, second, 14)
    found = engine.prefill(2, 44, tokens[44:], no_features(engine))
    assert_close(engine, found, whole)
    assert_same_choice(engine, found, whole)
    first.free()
    first.free()
    second.free()


def test_positions_that_do_not_exist_are_neither_saved_nor_restored(engine: Engine) -> None:
    for slot, start, stop in [(-1, 0, 1), (SLOTS, 0, 1), (0, 5, 5), (0, -1, 2), (0, 0, LENGTH + 1)]:
        with pytest.raises(ValueError, match="save"):
            engine.save(slot, start, stop)
    segment = engine.save(0, 0, 4)
    for slot, length in [(-1, 4), (SLOTS, 4), (0, 0), (0, 5)]:
        with pytest.raises(ValueError, match="restore"):
            engine.restore(slot, segment, length)
    segment.free()


@pytest.mark.parametrize("case", ["v1", "v2-headdim80-bf16"])
@pytest.mark.parametrize("garbage", [np.nan, np.inf, 6e4])
def test_garbage_behind_a_slots_end_is_never_read(bundles: Callable[[str], Path], case: str, garbage: float) -> None:
    engine = OrtEngine(open_bundle(bundles(case)), slots=2, max_length=200)
    tokens = text(engine, 9, 1)
    prefill(engine, 0, tokens)
    expected = [decode(engine, [9 + step, 9 + step], [300 + step] * 2)[0] for step in range(3)]
    for buffer in engine._decoder.cache._buffers:  # type: ignore[attr-defined]
        buffer[:] = garbage
    prefill(engine, 0, tokens)
    prefill(engine, 1, tokens)
    for step in range(3):
        np.testing.assert_array_equal(decode(engine, [9 + step, 9 + step], [300 + step] * 2)[0], expected[step])
    engine.close()


def test_a_prefill_beside_decoding_slots_disturbs_none(engine: Engine) -> None:
    running = text(engine, 15, 9)
    prefill(engine, 0, running)
    expected = [decode(engine, [15 + step], [320 + step])[0] for step in range(4)]
    prefill(engine, 0, running)
    prompt = text(engine, 40, 10)
    for step in range(4):
        engine.prefill(1, 10 * step, prompt[10 * step : 10 * step + 10], no_features(engine))
        np.testing.assert_array_equal(decode(engine, [15 + step], [320 + step])[0], expected[step])


def test_a_slot_can_be_filled_to_its_last_position(engine: Engine) -> None:
    prefill(engine, 0, text(engine, LENGTH - 1, 11))
    assert np.isfinite(decode(engine, [LENGTH - 1], [300])).all()
    with pytest.raises(ValueError, match="positions"):
        decode(engine, [LENGTH], [300])


@pytest.mark.parametrize("slot", [-1, SLOTS])
def test_slots_that_do_not_exist_are_refused(engine: Engine, slot: int) -> None:
    with pytest.raises(ValueError, match="slot"):
        engine.prefill(slot, 0, text(engine, 3, 1), no_features(engine))
    with pytest.raises(ValueError, match="slot"):
        engine.move_slot(slot, 0, 1)


def test_what_does_not_fit_is_refused(engine: Engine) -> None:
    nothing = no_features(engine)
    for start, tokens in [
        (LENGTH - 2, text(engine, 3, 1)),
        (-1, text(engine, 3, 1)),
        (0, text(engine, 0, 1)),
        (0, text(engine, engine.info.max_chunk + 1, 1)),
        (0, np.array([engine.info.vocab_size])),
        (0, np.array([-1])),
        (0, np.array([IMAGE_TOKEN])),  # without its feature
    ]:
        with pytest.raises(ValueError, match=r"\w"):
            engine.prefill(0, start, tokens, nothing)
    side = engine.info.image_size
    for shape in [(0, 3, side, side), (1, 1, side, side), (1, 3, side, side + 1), (3, side, side)]:
        with pytest.raises(ValueError, match="pictures"):
            engine.encode_images(np.zeros(shape, np.float32))
    for lengths, wrong in [([0], [300]), ([5], [-3]), ([5, 5], [300]), ([5] * (SLOTS + 1), [300] * (SLOTS + 1))]:
        with pytest.raises(ValueError, match=r"\w"):
            decode(engine, lengths, wrong)


def test_pictures_can_be_encoded_while_another_thread_decodes(engine: Engine) -> None:
    from concurrent.futures import ThreadPoolExecutor

    pixels = picture(engine, 12)
    expected = engine.encode_images(pixels)
    prefill(engine, 0, text(engine, 10, 13))
    with ThreadPoolExecutor(1) as pool:
        encodings = [pool.submit(engine.encode_images, pixels) for _ in range(4)]
        logits = [decode(engine, [10], [300])[0] for _ in range(50)]
    for encoding in encodings:
        np.testing.assert_array_equal(encoding.result(), expected)
    for one in logits:
        np.testing.assert_array_equal(one, logits[0])


@pytest.mark.parametrize("name", ["echo", "ort"])
def test_closing_twice_is_harmless(name: str, bundles: Callable[[str], Path]) -> None:
    engine = load_engine(name, open_bundle(bundles("v2")), slots=1)
    engine.close()
    engine.close()
