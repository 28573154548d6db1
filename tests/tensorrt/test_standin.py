"""The stand-ins punish what they say they do: a check that cannot fail would prove nothing."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.tensorrt.standin import Machine, ProfileShapes, Violation, installed, pack_plan

SIZE = 4


def plan() -> bytes:
    """`y = x + 1`, and `present_k = past_k + 1`, with 1 to 4 slots, in profiles of 1 to 2 and 2 to 4."""
    shape: list[str | int | None] = ["slots", SIZE]
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")}
    cache = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("past_k", "present_k")}
    one = helper.make_tensor("one", TensorProto.FLOAT, [], [1])
    nodes = [
        helper.make_node("Add", ["x", "one"], ["y"]),
        helper.make_node("Add", ["past_k", "one"], ["present_k"]),
    ]
    graph = helper.make_graph(
        nodes, "tiny", [values["x"], cache["past_k"]], [values["y"], cache["present_k"]], initializer=[one]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    profiles: list[ProfileShapes] = [
        dict.fromkeys(("x", "past_k"), ((least, SIZE), (most, SIZE), (most, SIZE)))
        for least, most in ((1, 2), (2, 4))
    ]
    onnx.checker.check_model(model)
    return pack_plan(model.SerializeToString(), profiles)


class Bench:
    """An engine, a context of profile 0 and memory for it, through the bindings themselves."""

    def __init__(self, machine: Machine) -> None:
        import tensorrt
        from cuda.bindings import runtime

        class Log(tensorrt.ILogger):  # type: ignore[misc]
            def __init__(self) -> None:
                tensorrt.ILogger.__init__(self)
                self.lines: list[str] = []

            def log(self, severity: object, msg: str) -> None:
                self.lines.append(msg)

        self.machine, self.cuda = machine, runtime
        self.log = Log()
        self.runtime = tensorrt.Runtime(self.log)
        self.engine = self.runtime.deserialize_cuda_engine(plan())
        self.managed = tensorrt.ExecutionContextAllocationStrategy.USER_MANAGED
        self.stream = self.value(runtime.cudaStreamCreateWithPriority(1, 0))
        self.memory = {name: self.value(runtime.cudaMalloc(64)) for name in ("x", "y", "past_k")}
        self.scratch = self.value(runtime.cudaMalloc(1 << 14))
        self.context = self.new_context()

    def value(self, result: tuple[object, ...]) -> int:
        status, value = result
        assert status == 0
        assert isinstance(value, int)
        return value

    def new_context(self, slots: int = 2) -> object:
        context = self.engine.create_execution_context(self.managed)
        context.set_device_memory(self.scratch, 1 << 14)
        for name in ("x", "past_k"):
            assert context.set_input_shape(name, (slots, SIZE))
        for name, address in self.memory.items():
            context.set_tensor_address(name, address)
        context.set_tensor_address("present_k", self.memory["past_k"])
        return context

    def run(self) -> None:
        assert self.context.execute_async_v3(self.stream)  # type: ignore[attr-defined]
        self.cuda.cudaStreamSynchronize(self.stream)

    def capture(self, mode: int = 1) -> int:
        self.cuda.cudaStreamBeginCapture(self.stream, mode)
        assert self.context.execute_async_v3(self.stream)  # type: ignore[attr-defined]
        graph = self.value(self.cuda.cudaStreamEndCapture(self.stream))
        return self.value(self.cuda.cudaGraphInstantiate(graph, 0))


@pytest.fixture
def bench() -> Bench:
    with installed() as machine:
        return Bench(machine)


def test_it_computes_when_the_stream_is_waited_for_and_no_sooner(bench: Bench) -> None:
    x, y, past = (
        bench.machine.array_at(bench.memory[name], (2, SIZE), np.dtype(np.float32), "test") for name in bench.memory
    )
    x[:], past[:] = 4, 7
    assert bench.context.execute_async_v3(bench.stream)  # type: ignore[attr-defined]
    assert np.isnan(y).all()
    bench.cuda.cudaStreamSynchronize(bench.stream)
    assert (y == 5).all()
    assert (past == 8).all()


def forget_an_address(bench: Bench) -> None:
    context = bench.engine.create_execution_context(bench.managed)
    context.set_device_memory(bench.scratch, 1 << 14)
    for name in ("x", "past_k"):
        context.set_input_shape(name, (2, SIZE))
    context.execute_async_v3(bench.stream)


def use_freed_memory(bench: Bench) -> None:
    bench.cuda.cudaFree(bench.memory["x"])
    bench.run()


def free_twice(bench: Bench) -> None:
    bench.cuda.cudaFree(bench.memory["x"])
    bench.cuda.cudaFree(bench.memory["x"])


def free_as_pinned(bench: Bench) -> None:
    bench.cuda.cudaFreeHost(bench.memory["x"])


def take_too_little_memory(bench: Bench) -> None:
    small = bench.value(bench.cuda.cudaMalloc(2 * SIZE * 4 - 1))
    bench.context.set_tensor_address("y", small)  # type: ignore[attr-defined]
    bench.run()


def leave_the_present_elsewhere(bench: Bench) -> None:
    elsewhere = bench.value(bench.cuda.cudaMalloc(64))
    bench.context.set_tensor_address("present_k", elsewhere)  # type: ignore[attr-defined]
    bench.run()


def write_over_an_input(bench: Bench) -> None:
    bench.context.set_tensor_address("y", bench.memory["x"])  # type: ignore[attr-defined]
    bench.run()


def align_badly(bench: Bench) -> None:
    bench.context.set_tensor_address("x", bench.memory["x"] + 16)  # type: ignore[attr-defined]


def lack_scratch_memory(bench: Bench) -> None:
    bench.context.set_device_memory(bench.scratch, 16)  # type: ignore[attr-defined]
    bench.run()


def share_scratch_at_a_time(bench: Bench) -> None:
    other = bench.value(bench.cuda.cudaStreamCreateWithPriority(1, 0))
    bench.context.execute_async_v3(bench.stream)  # type: ignore[attr-defined]
    bench.new_context().execute_async_v3(other)  # type: ignore[attr-defined]


def disagree_about_a_dimension(bench: Bench) -> None:
    bench.context.set_input_shape("x", (1, SIZE))  # type: ignore[attr-defined]
    bench.run()


def capture_without_a_run(bench: Bench) -> None:
    bench.capture()


def change_a_captured_context(bench: Bench) -> None:
    bench.run()
    bench.capture()
    bench.context.set_input_shape("x", (1, SIZE))  # type: ignore[attr-defined]


def destroy_a_busy_stream(bench: Bench) -> None:
    bench.context.execute_async_v3(bench.stream)  # type: ignore[attr-defined]
    bench.cuda.cudaStreamDestroy(bench.stream)


@pytest.mark.parametrize(
    ("misuse", "words"),
    [
        (forget_an_address, "have no address"),
        (use_freed_memory, "not in device memory that is allocated"),
        (free_twice, "is freed, and is no device memory"),
        (free_as_pinned, "is freed, and is no pinned memory"),
        (take_too_little_memory, "y: 32 bytes .* not in device memory"),
        (leave_the_present_elsewhere, "present_k is not updated in place"),
        (write_over_an_input, "y lies over x"),
        (align_badly, "not aligned"),
        (lack_scratch_memory, "bytes of scratch memory are needed"),
        (share_scratch_at_a_time, "share their scratch memory"),
        (disagree_about_a_dimension, "slots is 2, elsewhere 1"),
        (capture_without_a_run, "did not run once"),
        (change_a_captured_context, "a graph was captured from"),
        (destroy_a_busy_stream, "destroyed with work on it"),
    ],
)
def test_misuse_is_a_violation(bench: Bench, misuse: Callable[[Bench], None], words: str) -> None:
    with pytest.raises(Violation, match=words):
        misuse(bench)
    assert bench.machine.violations
    with pytest.raises(AssertionError):
        bench.machine.check_released()


def test_shapes_outside_the_profile_are_refused_with_a_message(bench: Bench) -> None:
    for shape in [(3, SIZE), (0, SIZE), (2, SIZE + 1), (2,)]:
        assert not bench.context.set_input_shape("x", shape)  # type: ignore[attr-defined]
        assert "does not lie between" in bench.log.lines[-1]
    assert bench.context.set_optimization_profile_async(1, bench.stream)  # type: ignore[attr-defined]
    assert not bench.context.execute_async_v3(bench.stream), "a new profile has no shapes"  # type: ignore[attr-defined]
    assert bench.context.set_input_shape("x", (3, SIZE))  # type: ignore[attr-defined]


def test_releasing_in_the_wrong_order_is_noticed(bench: Bench) -> None:
    bench.engine = None
    assert bench.machine.violations == ["an engine is destroyed before its contexts"]


@pytest.mark.parametrize("call", ["cudaMalloc", "cudaDeviceSynchronize"])
def test_a_capture_is_broken_by_what_waits_or_allocates(bench: Bench, call: str) -> None:
    bench.run()
    bench.cuda.cudaStreamBeginCapture(bench.stream, 1)
    status, *_ = getattr(bench.cuda, call)(*([8] if call == "cudaMalloc" else []))
    assert status.name == "cudaErrorStreamCaptureUnsupported"
    assert bench.cuda.cudaStreamEndCapture(bench.stream)[0].name == "cudaErrorStreamCaptureInvalidated"
    assert bench.machine.violations


def test_leaks_and_writes_beside_memory_are_found(bench: Bench) -> None:
    with installed() as machine:
        with pytest.raises(AssertionError, match="not released"):
            bench.machine.check_released()
        address = machine.allocate("device", 32)
        assert address is not None
        block = machine.blocks[address]
        machine.release("device", address)
        machine.check_released()
        block.memory[block.offset + 32] = 0
        with pytest.raises(AssertionError, match="written beside"):
            machine.check_released()
