"""The TensorRT engine, seen from the device: which calls it makes, in which order, and with what.

On stand-ins; the contract suite says that what it computes is right.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from edgevlm_engines import open_bundle

from tests.prefill import no_features, prefill
from tests.tensorrt.bench import CAPACITY, LENGTH, SLOTS, Bench, counts, decode, text

ALLOCATIONS = ("cudaMalloc", "cudaHostAlloc")


@pytest.mark.slow
def test_the_engine_says_what_it_is(bench: Bench) -> None:
    info = bench.load().info
    assert (info.name, info.device, info.precision) == ("trt", "Stand-in Orin", "fp16")
    assert (info.slots, info.max_length, info.max_chunk) == (SLOTS, LENGTH, 256)
    shape = open_bundle(bench.folder).manifest.decoder
    assert info.position_bytes == 2 * 2 * shape.layers * shape.kv_heads * shape.head_dim


@pytest.mark.slow
def test_prefill_takes_profile_0_and_decode_profile_1_with_the_shortest_window(bench: Bench) -> None:
    engine = bench.load()
    bench.forget()
    for start, length in [(0, 64), (192, 64), (193, 64), (636, 64)]:
        engine.prefill(2, start, text(length), no_features(engine))
    found = [(run["profile"], run["shapes"]["hidden"][:2], run["shapes"]["cache_positions"]) for run in bench.runs()]
    assert found == [(0, (1, 64), (window,)) for window in (256, 256, 512, CAPACITY)]
    bench.forget()
    for lengths in [(1,), (255, 3), (256,), (3, 511, 4), (1, 512), (5, 6, 699, 7)]:
        decode(engine, *lengths)
    runs = bench.runs()
    assert [(run["profile"], run["shapes"]["hidden"][:2], run["shapes"]["cache_positions"][0]) for run in runs] == [
        (1, (1, 1), 256),
        (1, (2, 1), 256),
        (1, (1, 1), 512),
        (1, (3, 1), 512),
        (1, (2, 1), CAPACITY),
        (1, (4, 1), CAPACITY),
    ]
    assert all(run["shapes"]["past_key.0"][2] == CAPACITY for run in runs)


@pytest.mark.slow
def test_plans_for_more_slots_serve_fewer_with_a_cache_of_these(bench: Bench) -> None:
    engine = bench.load()
    prefill(engine, 0, text(30))
    wanted = decode(engine, 30)
    used = bench.machine.used()
    engine.close()
    bench.build(SLOTS + 5)
    single = bench.load(slots=1)
    prefill(single, 0, text(30))
    np.testing.assert_array_equal(decode(single, 30), wanted)
    assert (single.info.slots, single.info.max_length) == (1, LENGTH)
    assert used - bench.machine.used() >= (SLOTS - 1) * CAPACITY * single.info.position_bytes


@pytest.mark.slow
def test_a_longer_window_computes_the_same(bench: Bench) -> None:
    engine = bench.load()
    prefill(engine, 0, text(20))
    short = decode(engine, 20)[0]
    prefill(engine, 0, text(20))
    prefill(engine, 1, text(600, 2))
    np.testing.assert_allclose(decode(engine, 20, 600)[0], short, atol=5e-3)


def test_a_step_is_run_then_captured_then_replayed_for_each_number_of_slots_and_window(bench: Bench) -> None:
    engine = bench.load()
    for slot in range(2):
        prefill(engine, slot, text(300, slot))
    bench.forget()
    logits = [decode(engine, 10, 10) for _ in range(5)]
    for one in logits:
        np.testing.assert_array_equal(one, logits[0])
    assert [run["captured"] for run in bench.runs()] == [False, True]
    assert counts(bench.machine, "cudaGraphLaunch") == 4
    for lengths in [(10,), (300, 10), (10,), (300, 10), (10, 10), (10,)]:
        decode(engine, *lengths)
    kinds = {
        (run["shapes"]["hidden"][0], run["shapes"]["cache_positions"][0]) for run in bench.runs() if run["captured"]
    }
    assert kinds == {(2, 256), (1, 256), (2, 512)}
    captured = {run["context"] for run in bench.runs() if run["captured"]}
    assert len(captured) == 3, "a context a graph"
    assert counts(bench.machine, "cudaGraphLaunch") == 4 + 4


def test_without_graphs_nothing_is_captured(bench: Bench) -> None:
    engine = bench.load(cuda_graphs=False)
    prefill(engine, 0, text(20))
    for _ in range(3):
        decode(engine, 20)
    assert not any(run["captured"] for run in bench.runs())
    assert not counts(bench.machine, "cudaStreamBeginCapture", "cudaGraphLaunch")
    assert bench.machine.objects["IExecutionContext"] == 3


def test_graphs_are_as_many_as_contexts_are_allowed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = bench.load()
    from edgevlm_engines.trt import graphs

    monkeypatch.setattr(graphs, "MOST", 2)
    for slots in (1, 2, 3, 4) * 3:
        decode(engine, *[5] * slots)
    assert {run["shapes"]["hidden"][0] for run in bench.runs() if run["captured"]} == {1, 2}
    assert bench.machine.objects["IExecutionContext"] == 3 + 2


@pytest.mark.slow
def test_after_loading_nothing_is_allocated(bench: Bench) -> None:
    engine = bench.load()
    assert counts(bench.machine, *ALLOCATIONS) > 10
    bench.forget()
    size = engine.info.image_size
    for _ in range(3):
        prefill(engine, 0, text(150))
        prefill(engine, 3, text(400, 2))
        engine.encode_images(np.zeros((6, 3, size, size), np.float32))
        for slots in (1, 2, 4):
            decode(engine, *[150] * slots)
        engine.move_slot(3, 1, 400)
    assert counts(bench.machine, *ALLOCATIONS, "cudaFree", "cudaFreeHost") == 0


def test_one_call_waits_once(bench: Bench) -> None:
    engine = bench.load()
    prefill(engine, 0, text(30))
    for _ in range(3):
        decode(engine, 30)
    bench.forget()
    decode(engine, 30)
    names = [call.name for call in bench.machine.calls]
    assert names == ["cudaSetDevice", "cudaGraphLaunch", "cudaStreamSynchronize"]
    bench.forget()
    engine.prefill(0, 30, text(10), no_features(engine))
    assert counts(bench.machine, "cudaStreamSynchronize") == 1
    assert not counts(bench.machine, "cudaMemcpy", "cudaMemcpy2DAsync", "cudaDeviceSynchronize")


def test_only_what_changes_between_prefills_is_bound_again(bench: Bench) -> None:
    engine = bench.load()
    prefill(engine, 1, text(64))
    bench.forget()
    engine.prefill(1, 64, text(64), no_features(engine))
    assert not bench.machine.named("set_input_shape")
    engine.prefill(1, 128, text(5), no_features(engine))
    assert bench.machine.named("set_input_shape") == [{"tensor": "hidden", "shape": (1, 5, 64)}]


def test_new_keys_and_values_are_appended_once_a_step(bench: Bench) -> None:
    engine = bench.load()
    layers = open_bundle(bench.folder).manifest.decoder.layers
    bench.forget()
    engine.prefill(3, 0, text(40), no_features(engine))
    decode(engine, 5, 5)
    launches = bench.machine.named("cuLaunchKernel")
    if not bench.split:
        assert not launches, "the graph itself updates the cache"
        return
    assert [(launch["grid"][1:], launch["values"][2]) for launch in launches] == [
        ((2 * layers, 1), 3),
        ((2 * layers, 2), 0),
    ]


def test_pictures_run_one_after_the_other_on_a_stream_that_gives_way(bench: Bench) -> None:
    engine = bench.load(cuda_graphs=False)
    # pictures, decoder, copies of its cache
    assert sorted(stream.priority for stream in bench.machine.streams.values()) == [-5, -5, 0]
    size = engine.info.image_size
    pixels = np.random.default_rng(3).standard_normal((3, 3, size, size)).astype(np.float32)
    bench.forget()
    together = engine.encode_images(pixels)
    assert [run["shapes"]["pixels"][0] for run in bench.machine.named("execute_async_v3")] == [1, 1, 1]
    np.testing.assert_array_equal(together[2], engine.encode_images(pixels[2:])[0])
    assert np.abs(together[0] - together[2]).max() > 0.1


@pytest.mark.slow
def test_a_picture_is_one_launch_of_what_was_captured(bench: Bench) -> None:
    engine, plain = bench.load(), bench.load(cuda_graphs=False)
    size = engine.info.image_size
    pixels = np.random.default_rng(4).standard_normal((2, 3, size, size)).astype(np.float32)
    expected = plain.encode_images(pixels)
    bench.forget()
    np.testing.assert_array_equal(engine.encode_images(pixels), expected)
    assert not bench.machine.named("execute_async_v3")
    assert counts(bench.machine, "cudaGraphLaunch", "cudaStreamSynchronize") == 4


def test_pictures_are_encoded_beside_captures_and_copies_in_another_thread(bench: Bench) -> None:
    engine = bench.load()
    size = engine.info.image_size
    pixels = np.ones((1, 3, size, size), np.float32)
    expected = engine.encode_images(pixels)
    with ThreadPoolExecutor(1) as pool:
        encodings = [pool.submit(engine.encode_images, pixels) for _ in range(6)]
        for step in range(12):
            prefill(engine, 3, text(50, step))
            segment = engine.save(3, 0, 50)
            engine.restore(0, segment, 50)
            segment.free()
            for slots in (1, 2, 3):
                decode(engine, *[50] * slots)
    for encoding in encodings:
        np.testing.assert_array_equal(encoding.result(), expected)


def test_closing_releases_graphs_contexts_plans_memory_and_streams_in_this_order(bench: Bench) -> None:
    engine = bench.load()
    for _ in range(3):
        decode(engine, 5)
    bench.forget()
    engine.close()
    names = [call.name for call in bench.machine.calls]
    order = [
        "cudaGraphExecDestroy",
        "~IExecutionContext",
        "cudaFree",
        "cudaStreamDestroy",
        "~ICudaEngine",
        "~Runtime",
    ]
    firsts = [names.index(name) for name in order]
    assert firsts == sorted(firsts)
    last_context = len(names) - 1 - names[::-1].index("~IExecutionContext")
    assert last_context < names.index("~ICudaEngine")
    bench.forget()
    engine.close()
    assert [call.name for call in bench.machine.calls] == ["cudaSetDevice"]
