"""One graph becomes one plan: what TensorRT's builder is asked for, and what becomes of its refusals.

On the stand-in, which optimises nothing: it shows the calls and their order.
"""

import logging
from pathlib import Path
from typing import Any

import onnx
import pytest
from edgevlm_export.bundle_writer import Progress
from edgevlm_export.errors import ExportError
from edgevlm_export.trt.effort import Effort
from edgevlm_export.trt.profiles import Profile, Range

from tests.tensorrt.graphs import PROFILE, scatter_attention
from tests.tensorrt.standin import Machine
from tests.tensorrt.standin.plan_file import unpack_plan

EFFORT = Effort(workspace=2**20, memory=2**30, level=2)
RANGES = {name: Range(*(tuple(shape) for shape in ranges)) for name, ranges in PROFILE.items()}


class Count(Progress):
    def __init__(self) -> None:
        self.total = self.done = self.finished = 0

    def start(self, total: int) -> None:
        self.total = total

    def advance(self, count: int) -> None:
        self.done += count

    def finish(self) -> None:
        self.finished += 1


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "graph.onnx"
    onnx.save(scatter_attention(), path)
    return path


def profile(graph: Path) -> Profile:
    return {value.name: RANGES[value.name] for value in onnx.load(graph).graph.input}


def build(graph: Path, **options: Any) -> Any:
    from edgevlm_engines.trt.library import library_for
    from edgevlm_export.trt.compiler import compile_graph

    options = {"profiles": [profile(graph)], "effort": EFFORT, **options}
    return compile_graph(graph.read_bytes(), graph, library=library_for(None), **options)


def test_a_plan_holds_the_graph_for_its_profiles(machine: Machine, graph: Path) -> None:
    second = {name: Range(least, least, usual) for name, (least, usual, _) in profile(graph).items()}
    plan = unpack_plan(bytes(build(graph, profiles=[profile(graph), second])))
    assert plan is not None
    assert plan.graph == graph.read_bytes()
    assert [shapes["query"][2] for shapes in plan.profiles] == [(4, 2, 16, 64), (2, 2, 1, 64)]


def test_memory_and_level_reach_the_builder(machine: Machine, graph: Path) -> None:
    build(graph)
    [details] = machine.named("build_serialized_network")
    assert {pool.name: size for pool, size in details["pools"].items()} == {"WORKSPACE": 2**20, "TACTIC_DRAM": 2**30}
    assert details["level"] == 2
    assert machine.named("clear_flag") == [{"flag": "TF32"}]


def test_without_a_known_amount_of_memory_tensorrt_has_its_own_limit(machine: Machine, graph: Path) -> None:
    build(graph, effort=Effort(workspace=2**20, memory=None, level=3))
    [details] = machine.named("build_serialized_network")
    assert [pool.name for pool in details["pools"]] == ["WORKSPACE"]


def test_progress_reaches_its_total(machine: Machine, graph: Path) -> None:
    count = Count()
    build(graph, progress=count)
    assert (count.total, count.done, count.finished) == (100, 100, 1)


def test_a_parser_that_refuses_is_quoted_with_node_and_operator(machine: Machine, graph: Path) -> None:
    machine.refuse.add("parse")
    with pytest.raises(ExportError) as caught:
        build(graph)
    assert str(caught.value) == (
        "TensorRT 10.16.0 cannot read graph.onnx: node 'scatter' (TensorScatter): "
        "Assertion failed: the stand-in was told to refuse it."
    )


def test_a_builder_that_refuses_is_quoted_with_its_first_error(machine: Machine, graph: Path) -> None:
    machine.refuse.add("build_serialized_network")
    with pytest.raises(ExportError, match=r"cannot build graph.onnx: \[myelin\] Error Code 10") as caught:
        build(graph)
    assert "follows from the first" not in str(caught.value)


def test_a_builder_that_does_not_start_says_why(machine: Machine, graph: Path) -> None:
    machine.refuse.add("Builder")
    with pytest.raises(ExportError, match="cannot start its builder: CUDA initialization failure with error: 35"):
        build(graph)


def test_an_interruption_ends_the_build_and_is_raised_after_it(machine: Machine, graph: Path) -> None:
    class Interrupted(Progress):
        def advance(self, count: int) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(graph, progress=Interrupted())


@pytest.mark.parametrize("change", ["missing", "surplus"])
def test_a_graph_with_other_inputs_is_refused(machine: Machine, graph: Path, change: str) -> None:
    ranges = profile(graph)
    if change == "missing":
        del ranges["query"]
    else:
        ranges["surprise"] = RANGES["query"]
    with pytest.raises(ExportError, match="has other inputs than this version"):
        build(graph, profiles=[ranges])


def test_kernels_are_timed_once(machine: Machine, graph: Path, tmp_path: Path) -> None:
    timings = tmp_path / "timing.cache"
    build(graph, timings=timings)
    assert timings.read_bytes() == b"kernels of Stand-in Orin"
    build(graph, timings=timings)
    assert machine.named("set_timing_cache") == [{"size": 0, "fits": True}, {"size": 24, "fits": True}]
    assert timings.read_bytes() == b"kernels of Stand-in Orin" * 2
    assert [path.name for path in tmp_path.iterdir() if path != graph] == ["timing.cache"]


def test_times_of_another_device_are_left_aside(machine: Machine, graph: Path, tmp_path: Path) -> None:
    timings = tmp_path / "timing.cache"
    timings.write_bytes(b"kernels of NVIDIA Thor")
    build(graph, timings=timings)
    assert timings.read_bytes() == b"kernels of Stand-in Orin"
    machine.refuse.add("build_serialized_network")
    timings.write_bytes(b"kernels of NVIDIA Thor")
    with pytest.raises(ExportError, match="Error Code 10"):  # and not that of the other device
        build(graph, timings=timings)


def test_times_that_cannot_be_kept_cost_nothing_but_time(
    machine: Machine, graph: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert unpack_plan(bytes(build(graph, timings=tmp_path / "absent" / "timing.cache"))) is not None
    assert "cannot be kept" in caplog.text


def test_tensorrts_messages_are_in_the_log(machine: Machine, graph: Path, caplog: pytest.LogCaptureFixture) -> None:
    machine.refuse.add("build_serialized_network")
    with caplog.at_level(logging.DEBUG), pytest.raises(ExportError):
        build(graph)
    assert ("edgevlm_engines.trt.log", logging.ERROR, "TensorRT: an error that follows from the first") in (
        caplog.record_tuples
    )
