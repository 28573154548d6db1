"""The TensorRT engine, seen from the device: which calls it makes, with what, and what it does when they fail.

On stand-ins; the contract suite says that what it computes is right.
"""

import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgevlm_engines import Engine, EngineLoadError, Floats, load_engine, open_bundle
from edgevlm_engines.bundle import file_digest
from edgevlm_engines.errors import CudaError, PlanError, PlanMissing, TensorRtError

from tests.prefill import no_features, prefill
from tests.tensorrt.jetsons import JETSONS
from tests.tensorrt.standin import Machine, installed
from tests.tensorrt.standin.plan_file import pack_plan, unpack_plan
from tests.tensorrt.standin.plans import write_plans

ROWS, LENGTH, CAPACITY = 4, 700, 704
ALLOCATIONS = ("cudaMalloc", "cudaHostAlloc")


class Bench:
    """A machine with a bundle's plans on it, and a way to load engines that are closed at the end."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.machine, self.folder = machine, folder
        self.plans = write_plans(folder, ROWS, LENGTH)
        self.engines: list[Engine] = []

    @property
    def split(self) -> bool:
        return self.machine.tensorrt.startswith("10.3")

    def load(self, **options: Any) -> Engine:
        engine = load_engine("trt", open_bundle(self.folder), rows=ROWS, max_length=LENGTH, **options)
        self.engines.append(engine)
        return engine

    def runs(self) -> list[dict[str, Any]]:
        """Every execution of the decoder, in order."""
        return [run for run in self.machine.named("execute_async_v3") if "slots" in run["shapes"]]

    def forget(self) -> None:
        """What is recorded from now on is what comes now."""
        self.machine.calls.clear()


@pytest.fixture(params=JETSONS)
def bench(request: pytest.FixtureRequest, jetson_bundles: Callable[[str, str], Path]) -> Iterator[Bench]:
    with installed(JETSONS[request.param]) as machine:
        bench = Bench(machine, jetson_bundles("v2", request.param))
        yield bench
        for engine in bench.engines:
            engine.close()
        bench.engines.clear()
        machine.check_released()


def text(length: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).integers(259, 400, length)


def decode(engine: Engine, *lengths: int) -> Floats:
    return engine.decode(np.full(len(lengths), 300), np.array(lengths))


def counts(machine: Machine, *names: str) -> int:
    return sum(len(machine.named(name)) for name in names)


def test_prefill_takes_profile_0_and_decode_profile_1_with_the_shortest_window(bench: Bench) -> None:
    engine = bench.load()
    bench.forget()
    for start, length in [(0, 64), (192, 64), (193, 64), (636, 64)]:
        engine.prefill(2, start, text(length), no_features(engine))
    found = [(run["profile"], run["shapes"]["hidden"][:2], run["shapes"]["slots"]) for run in bench.runs()]
    assert found == [(0, (1, 64), (window,)) for window in (256, 256, 512, CAPACITY)]
    bench.forget()
    for lengths in [(1,), (255, 3), (256,), (3, 511, 4), (1, 512), (5, 6, 699, 7)]:
        decode(engine, *lengths)
    runs = bench.runs()
    assert [(run["profile"], run["shapes"]["hidden"][:2], run["shapes"]["slots"][0]) for run in runs] == [
        (1, (1, 1), 256),
        (1, (2, 1), 256),
        (1, (1, 1), 512),
        (1, (3, 1), 512),
        (1, (2, 1), CAPACITY),
        (1, (4, 1), CAPACITY),
    ]
    assert all(run["shapes"]["past_key.0"][2] == CAPACITY for run in runs)


def test_a_longer_window_computes_the_same(bench: Bench) -> None:
    engine = bench.load()
    prefill(engine, 0, text(20))
    short = decode(engine, 20)[0]
    prefill(engine, 0, text(20))
    prefill(engine, 1, text(600, 2))
    np.testing.assert_allclose(decode(engine, 20, 600)[0], short, atol=5e-3)


def test_a_step_is_run_then_captured_then_replayed_for_each_number_of_rows_and_window(bench: Bench) -> None:
    engine = bench.load()
    for row in range(2):
        prefill(engine, row, text(300, row))
    bench.forget()
    logits = [decode(engine, 10, 10) for _ in range(5)]
    for one in logits:
        np.testing.assert_array_equal(one, logits[0])
    assert [run["captured"] for run in bench.runs()] == [False, True]
    assert counts(bench.machine, "cudaGraphLaunch") == 4
    for lengths in [(10,), (300, 10), (10,), (300, 10), (10, 10), (10,)]:
        decode(engine, *lengths)
    kinds = {(run["shapes"]["hidden"][0], run["shapes"]["slots"][0]) for run in bench.runs() if run["captured"]}
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
    from edgevlm_engines import trt_graphs

    monkeypatch.setattr(trt_graphs, "MOST", 2)
    for rows in (1, 2, 3, 4) * 3:
        decode(engine, *[5] * rows)
    assert {run["shapes"]["hidden"][0] for run in bench.runs() if run["captured"]} == {1, 2}
    assert bench.machine.objects["IExecutionContext"] == 3 + 2


def test_after_loading_nothing_is_allocated(bench: Bench) -> None:
    engine = bench.load()
    assert counts(bench.machine, *ALLOCATIONS) > 10
    bench.forget()
    size = engine.info.image_size
    for _ in range(3):
        prefill(engine, 0, text(150))
        prefill(engine, 3, text(400, 2))
        engine.encode_images(np.zeros((6, 3, size, size), np.float32))
        for rows in (1, 2, 4):
            decode(engine, *[150] * rows)
        engine.move_row(3, 1, 400)
    assert counts(bench.machine, *ALLOCATIONS, "cudaFree", "cudaFreeHost") == 0


def test_one_call_waits_once_and_copies_nothing(bench: Bench) -> None:
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


def test_pictures_run_in_groups_on_a_stream_of_their_own(bench: Bench) -> None:
    engine = bench.load()
    size = engine.info.image_size
    pixels = np.random.default_rng(3).standard_normal((9, 3, size, size)).astype(np.float32)
    bench.forget()
    together = engine.encode_images(pixels)
    assert [run["shapes"]["pixels"][0] for run in bench.machine.named("execute_async_v3")] == [4, 4, 1]
    np.testing.assert_allclose(together[8], engine.encode_images(pixels[8:])[0], atol=1e-2)
    assert np.abs(together[0] - together[8]).max() > 0.1


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
            for rows in (1, 2, 3):
                decode(engine, *[50] * rows)
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


def test_segments_outlive_the_engine(bench: Bench) -> None:
    engine = bench.load()
    prefill(engine, 0, text(64))
    segment = engine.save(0, 0, 64)
    assert segment.nbytes == 64 * engine.info.position_bytes
    engine.close()
    assert [block.size for block in bench.machine.blocks.values()] == [segment.nbytes]
    segment.free()
    segment.free()


def test_without_room_for_a_segment_nothing_else_changes(bench: Bench) -> None:
    engine = bench.load()
    prefill(engine, 0, text(64))
    wanted = decode(engine, 64)
    bench.machine.capacity = bench.machine.used()
    with pytest.raises(MemoryError):
        engine.save(0, 0, 64)
    np.testing.assert_allclose(decode(engine, 64), wanted, atol=5e-3)


def test_a_cache_that_finds_no_room_is_refused_with_what_would_fit(bench: Bench) -> None:
    engine = bench.load()
    row = CAPACITY * engine.info.position_bytes
    others = bench.machine.used() - ROWS * row
    engine.close()
    bench.machine.capacity = others + int(2.5 * row)
    with pytest.raises(EngineLoadError) as caught:
        bench.load()
    assert str(caught.value).startswith(f"The KV cache of 4 rows x {CAPACITY} positions takes ")
    assert str(caught.value).endswith(" left: give --max-batch 2 or --max-length 384 at most.")
    nothing_is_left(bench.machine)


def nothing_is_left(machine: Machine) -> None:
    assert not machine.blocks
    assert not machine.streams
    assert not +machine.objects


@pytest.mark.parametrize("share", [0.01, 0.5, 0.97])
def test_other_memory_that_finds_no_room_is_refused_with_sizes(bench: Bench, share: float) -> None:
    engine = bench.load()
    others = bench.machine.used() - ROWS * CAPACITY * engine.info.position_bytes
    engine.close()
    bench.machine.capacity = int(share * others)
    with pytest.raises(
        EngineLoadError, match=r"^decoder\.plan \([\d.]+ KiB\) and vision\.plan \(.*\) cannot be loaded"
    ):
        bench.load()
    nothing_is_left(bench.machine)


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("deserialize_cuda_engine", "TensorRT refused to load .*decoder.plan: Serialization assertion"),
        ("create_execution_context", "TensorRT refused a context: Requested amount of GPU memory"),
    ],
)
def test_what_tensorrt_refuses_at_load_is_told_with_its_words(bench: Bench, method: str, words: str) -> None:
    bench.machine.refuse.add(method)
    with pytest.raises(EngineLoadError, match=words):
        bench.load()
    nothing_is_left(bench.machine)


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("execute_async_v3", r"^TensorRT refused to run: IExecutionContext: an error of the runtime\.$"),
        (
            "set_input_shape",
            r"^TensorRT refused shape \(1, 7, 64\) of hidden: IExecutionContext: no shape for hidden\.$",
        ),
    ],
)
def test_what_tensorrt_refuses_later_is_an_error_and_no_result(bench: Bench, method: str, words: str) -> None:
    engine = bench.load()
    bench.machine.refuse.add(method)
    with pytest.raises(TensorRtError, match=words):
        engine.prefill(0, 0, text(7), no_features(engine))


@pytest.mark.parametrize("call", ["cudaStreamSynchronize", "cudaGraphLaunch", "cudaSetDevice"])
def test_what_cuda_refuses_later_is_an_error_and_no_result(bench: Bench, call: str) -> None:
    engine = bench.load()
    for _ in range(2):
        decode(engine, 5)
    bench.machine.fail[call] = "cudaErrorIllegalAddress"
    with pytest.raises(CudaError, match=f"{call} failed: cudaErrorIllegalAddress"):
        decode(engine, 5)
    bench.machine.fail.clear()
    for stream in bench.machine.streams.values():
        stream.pending.clear()


@pytest.mark.parametrize("call", ["cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiate"])
def test_where_a_step_cannot_be_captured_decoding_goes_on_plainly(
    bench: Bench, call: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = bench.load()
    prefill(engine, 0, text(30))
    wanted = [decode(engine, 30)[0] for _ in range(3)]
    bench.machine.fail[call] = "cudaErrorInvalidValue"
    caplog.set_level(logging.WARNING)
    prefill(engine, 0, text(30))
    prefill(engine, 1, text(40))
    for _ in range(4):
        np.testing.assert_allclose(decode(engine, 30, 40)[0], wanted[0], atol=5e-3)
        np.testing.assert_allclose(decode(engine, 30)[0], wanted[0], atol=5e-3)
    [warning] = caplog.messages
    assert warning.startswith(f"Decoding goes on without further CUDA graphs: {call} failed: ")
    assert bench.machine.objects["IExecutionContext"] == 3 + 1, "what was captured before stays"


def test_where_no_further_context_can_be_had_decoding_goes_on_plainly(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    engine = bench.load()
    prefill(engine, 0, text(30))
    bench.machine.refuse.add("create_execution_context")
    caplog.set_level(logging.WARNING)
    logits = [decode(engine, 30)[0] for _ in range(3)]
    np.testing.assert_array_equal(logits[0], logits[2])
    [warning] = [message for message in caplog.messages if "CUDA graphs" in message]
    assert "TensorRT refused a context" in warning


def test_plans_for_other_rows_are_none(bench: Bench) -> None:
    with pytest.raises(PlanMissing, match="run 'edgevlm build"):
        load_engine("trt", open_bundle(bench.folder), rows=ROWS - 1, max_length=LENGTH)
    assert not bench.machine.named("deserialize_cuda_engine")


def test_a_damaged_plan_is_not_deserialised(bench: Bench) -> None:
    path = bench.plans / "decoder.plan"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(PlanError, match="decoder.plan is damaged"):
        bench.load()
    path.write_bytes(content)
    assert not bench.machine.named("deserialize_cuda_engine")


def test_a_plan_of_another_graph_is_refused_by_its_tensors(bench: Bench) -> None:
    """Digests vouch for files; that the builder left inputs and outputs as they were, they do not."""
    path, sidecar = bench.plans / "decoder.plan", bench.plans / "plan.json"
    content, described = path.read_bytes(), sidecar.read_text()
    unpacked = unpack_plan(content)
    assert unpacked is not None
    model = onnx.load_from_string(unpacked.graph)
    probe = next(node.output[0] for node in model.graph.node if node.op_type == "MatMul")
    model.graph.output.append(onnx.helper.make_tensor_value_info(probe, onnx.TensorProto.FLOAT16, None))
    path.write_bytes(pack_plan(model.SerializeToString(), unpacked.profiles))
    fields = json.loads(described)
    fields["files"]["decoder.plan"] = {"size": path.stat().st_size, "sha256": file_digest(path)}
    sidecar.write_text(json.dumps(fields))
    with pytest.raises(EngineLoadError, match=r"decoder\.plan does not fit the bundle: .* and nothing is expected"):
        bench.load()
    path.write_bytes(content)
    sidecar.write_text(described)
    nothing_is_left(bench.machine)


def test_the_engine_says_what_it_is(bench: Bench) -> None:
    info = bench.load().info
    assert (info.name, info.device, info.precision) == ("trt", "Stand-in Orin", "fp16")
    assert (info.rows, info.max_length, info.max_chunk) == (ROWS, LENGTH, 64)
    shape = open_bundle(bench.folder).manifest.decoder
    assert info.position_bytes == 2 * 2 * shape.layers * shape.kv_heads * shape.head_dim
