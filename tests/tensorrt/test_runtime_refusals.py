"""What the TensorRT engine does where memory is short, or where CUDA, TensorRT or a plan says no. On stand-ins."""

import json
import logging

import numpy as np
import onnx
import pytest
from edgevlm_engines import EngineLoadError, NotNow
from edgevlm_engines.bundle import file_digest
from edgevlm_engines.errors import CudaError, PlanError, PlanMissing, TensorRtError

from tests.prefill import no_features, prefill
from tests.tensorrt.bench import CAPACITY, LENGTH, SLOTS, Bench, decode, text
from tests.tensorrt.standin import Machine
from tests.tensorrt.standin.plan_file import pack_plan, unpack_plan


def test_segments_outlive_the_engine(bench: Bench) -> None:
    engine = bench.load()
    prefill(engine, 0, text(64))
    segment = engine.save(0, 0, 64)
    engine.close()
    assert [block.size for block in bench.machine.blocks.values()] == [64 * engine.info.position_bytes]
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


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_where_others_hold_the_memory_the_next_start_may_find_it(bench: Bench, share: float) -> None:
    from edgevlm_engines.cuda.runtime import DeviceMemory

    engine = bench.load()
    needed = bench.machine.used()
    engine.close()
    bench.machine.capacity = 2 * needed
    others = DeviceMemory(bench.machine.capacity - int(share * needed))
    with pytest.raises(NotNow, match=r"cannot be loaded|end other programs|at most"):
        bench.load()
    others.free()
    nothing_is_left(bench.machine)


@pytest.mark.parametrize(("beside", "kind"), [(0, NotNow), (2**20, EngineLoadError)])
def test_where_others_hold_what_a_cache_needs_the_next_start_may_find_it(
    machine: Machine, beside: int, kind: type[EngineLoadError]
) -> None:
    from edgevlm_engines.cuda.kv_cache import CudaCache
    from edgevlm_engines.cuda.runtime import DeviceMemory

    machine.capacity = 2**20
    others = DeviceMemory(machine.capacity - 1000)
    with pytest.raises(EngineLoadError, match="end other programs") as caught:
        CudaCache(4, (4, 2, 128, 64), np.dtype(np.float16), beside)
    assert type(caught.value) is kind
    others.free()


def test_a_cache_that_finds_no_room_is_refused_with_what_would_fit(bench: Bench) -> None:
    engine = bench.load()
    slot = CAPACITY * engine.info.position_bytes
    others = bench.machine.used() - SLOTS * slot
    engine.close()
    bench.machine.capacity = others + int(2.5 * slot)
    with pytest.raises(EngineLoadError) as caught:
        bench.load()
    assert str(caught.value).startswith(f"The KV cache of 4 slots x {CAPACITY} positions takes ")
    assert str(caught.value).endswith(" left: give --max-batch 2 or --max-length 384 at most.")
    nothing_is_left(bench.machine)


def nothing_is_left(machine: Machine) -> None:
    assert not machine.blocks
    assert not machine.streams
    assert not +machine.objects


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.01, 0.5, 0.97])
def test_other_memory_that_finds_no_room_is_refused_with_sizes(bench: Bench, share: float) -> None:
    engine = bench.load()
    others = bench.machine.used() - SLOTS * CAPACITY * engine.info.position_bytes
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


@pytest.mark.slow
@pytest.mark.parametrize("call", ["cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiate"])
def test_where_a_picture_cannot_be_captured_it_is_encoded_plainly(
    bench: Bench, call: str, caplog: pytest.LogCaptureFixture
) -> None:
    size = bench.load().info.image_size
    pixels = np.ones((1, 3, size, size), np.float32)
    wanted = bench.load().encode_images(pixels)
    bench.machine.fail[call] = "cudaErrorInvalidValue"
    caplog.set_level(logging.WARNING)
    engine = bench.load()
    np.testing.assert_array_equal(engine.encode_images(pixels), wanted)
    [warning] = caplog.messages
    assert warning.startswith(f"Pictures are encoded without a CUDA graph: {call} failed: ")


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


@pytest.mark.parametrize(("slots", "length"), [(SLOTS + 1, LENGTH), (SLOTS, LENGTH + 64), (1, LENGTH - 64)])
def test_plans_for_fewer_slots_or_another_length_do_not_serve(bench: Bench, slots: int, length: int) -> None:
    with pytest.raises(PlanMissing, match="run 'edgevlm build"):
        bench.load(slots, length)
    assert not bench.machine.named("deserialize_cuda_engine")


def test_a_damaged_plan_is_not_deserialised(bench: Bench) -> None:
    path = bench.plans / "decoder.plan"
    content = path.read_bytes()
    damaged = bytearray(content)
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(PlanError, match=r"decoder\.plan is damaged"):
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
