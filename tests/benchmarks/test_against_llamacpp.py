"""The comparison on the smallest model. llama.cpp is a stand-in here: scripts that print what its tools print."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import against_llamacpp, llamacpp_build
from benchmarks.against_llamacpp import PAIRS, report
from benchmarks.contest import Sample
from benchmarks.llamacpp import LlamaCpp, encoding_times, record
from benchmarks.llamacpp_build import build_for_gpu, build_for_processor, processor_builds
from benchmarks.measure import CommandFailed
from edgevlm.errors import CommandError

TOOLS = {
    "llama-bench": """
print("load_backend: loaded CPU backend")
speed = {"-p 160": 41.8, "-p 32": 99.0, "-p 0": 17.7}[" ".join(arguments[4:6])]
print('{"build_number": 11434, "avg_ns": 3827751196, "avg_ts": %f, "samples_ts": [ 1.0 ]}' % speed)
""",
    "llama-batched-bench": """
assert "-pps" in arguments and arguments[arguments.index("-c") + 1] == "2304"
print()
print('{"n_kv_max": 4096, "pp": 256, "tg": 32, "pl": 8, "t_tg": 10.04, "speed_tg": 25.5, "speed": 28.1}')
""",
    "llama-mtmd-cli": """
assert arguments.count("--image") == 2
for milliseconds in (3710, 3500):
    print(f"0.00.328 I mtmd batch encoding done in {milliseconds} ms")
print("an answer with { in it", flush=True)
import time
time.sleep(3)  # so that its memory is seen
""",
}
DIES = "import os, signal\nos.kill(os.getpid(), signal.SIGILL)"


def write_tools(folder: Path, bodies: dict[str, str]) -> Path:
    folder.mkdir()
    for name, body in bodies.items():
        (folder / name).write_text(f"#!{sys.executable}\nimport sys\narguments = sys.argv[1:]\n{body}")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    return write_tools(tmp_path / "tools", TOOLS)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def built(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Building for this processor gives the first folder of tools, building for less the second."""
    found = dict(zip((build.folder for build in processor_builds()), folders, strict=True))
    monkeypatch.setattr(llamacpp_build, "_built", lambda folder, settings, jobs: found[folder.name])


@pytest.mark.slow
def test_each_tools_figure_is_found_in_what_it_prints(tools: Path) -> None:
    peer, model = LlamaCpp(tools, threads=2), Path("model.gguf")
    assert peer.prefill(model, 160) == 41.8
    assert peer.decode(model, 256, 64) == 17.7
    assert peer.decode_together(model, 8, 256, 32) == 25.5
    answer = peer.answer(model, Path("mmproj.gguf"), Path("lamp.png"), 64)
    assert answer.encode == 3.5
    assert answer.peak_memory > 0


@pytest.mark.parametrize("find", [lambda output: record(output, "avg_ts"), encoding_times])
def test_output_without_a_figure_is_shown(find: Callable[[str], object]) -> None:
    with pytest.raises(CommandError, match="out of memory"):
        find("out of memory")


@pytest.mark.slow
def test_tools_that_an_illegal_instruction_kills_are_built_for_less(
    monkeypatch: pytest.MonkeyPatch, tools: Path, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    native = write_tools(work.with_name("native"), {**TOOLS, "llama-bench": DIES})
    built(monkeypatch, native, tools)
    found, words = build_for_processor(work, 1, lambda tools: against_llamacpp.survives(tools, work))
    assert (found, words) == (tools, processor_builds()[1].words)
    assert "built for this processor, is killed by an illegal instruction" in capsys.readouterr().err
    built(monkeypatch, tools, native)
    assert build_for_processor(work, 1, lambda tools: against_llamacpp.survives(tools, work))[0] == tools
    built(monkeypatch, native, native)
    with pytest.raises(CommandError, match="however it is built here"):
        build_for_processor(work, 1, lambda tools: against_llamacpp.survives(tools, work))


def test_tools_that_die_of_something_else_are_not_built_again(
    monkeypatch: pytest.MonkeyPatch, tools: Path, work: Path
) -> None:
    built(monkeypatch, write_tools(work.with_name("native"), {"llama-bench": "sys.exit('no backend')"}), tools)
    with pytest.raises(CommandFailed, match=r"no backend\nllama-bench ended with code 1\."):
        build_for_processor(work, 1, lambda tools: against_llamacpp.survives(tools, work))


def test_what_cannot_be_built_is_one_sentence_behind_what_was_printed(
    monkeypatch: pytest.MonkeyPatch, work: Path
) -> None:
    python = write_tools(work / "fake", {"python": "sys.exit('No space left on device')"}) / "python"
    monkeypatch.setattr("sys.executable", str(python))
    with pytest.raises(CommandError, match=r"^No space left on device\n.*\nllama.cpp b11434 could not be built; "):
        build_for_processor(work, 1, lambda tools: None)
    monkeypatch.setattr(llamacpp_build, "COMPILERS", ())
    with pytest.raises(CommandError, match="there is no C\\+\\+ compiler here"):
        build_for_gpu(work, "90", 1)


def test_a_build_for_a_gpu_is_a_folder_of_what_runs(monkeypatch: pytest.MonkeyPatch, work: Path) -> None:
    made = write_tools(work / "bin", {**TOOLS, "llama-server": ""})
    (made / "libggml.so.0.26.0").write_bytes(b"library")
    (made / "libggml.so.0").symlink_to("libggml.so.0.26.0")
    asked: list[str] = []

    def install(folder: Path, settings: tuple[str, ...], jobs: int, *environment: str) -> Path:
        asked.extend((*settings, *environment))
        return made

    monkeypatch.setattr(llamacpp_build, "_make_environment", lambda folder: None)
    monkeypatch.setattr(llamacpp_build, "_install_toolkit", lambda folder: Path("/toolkit"))
    monkeypatch.setattr(llamacpp_build, "_install", install)
    monkeypatch.setattr("sys.argv", ["against_llamacpp", "--work", str(work), "--cuda", "90", "--build-only"])
    against_llamacpp.main()
    carried = {path.name: path.is_symlink() for path in (work / "llama.cpp-cuda-90").iterdir()}
    assert carried == {**dict.fromkeys(TOOLS, False), "libggml.so.0": False}
    assert {"-DGGML_CUDA=ON", "-DCMAKE_CUDA_ARCHITECTURES=90-real", "CUDACXX=/toolkit/bin/nvcc"} <= set(asked)


def test_on_a_gpu_every_layer_is_there_and_the_libraries_are_found(
    monkeypatch: pytest.MonkeyPatch, work: Path
) -> None:
    tool = """
import os
assert arguments[-2:] == ["-ngl", "999"]
assert "nvidia/cu13/lib" in os.environ["LD_LIBRARY_PATH"]
print('{"avg_ts": 7}')
"""
    libraries = work / "site-packages/nvidia/cu13/lib"
    libraries.mkdir(parents=True)
    monkeypatch.syspath_prepend(work / "site-packages")
    # what was built elsewhere is used as it is
    write_tools(work / "llama.cpp-cuda-90", {"llama-bench": tool})
    tools, words = build_for_gpu(work, "90", 1)
    assert LlamaCpp(tools, threads=1, on_gpu=True).prefill(Path("model.gguf"), 32) == 7
    assert words == "built for CUDA, compute capability 90, without flash attention"


@pytest.mark.slow
def test_both_sides_are_measured_on_files_that_are_made_once(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    built(monkeypatch, tools, tools)
    command = ["--work", str(tmp_path / "work"), "--shape", "tiny", "--precisions", "int4", "--rounds", "1"]
    monkeypatch.setattr("sys.argv", ["against_llamacpp", *command, "--threads", "1"])
    against_llamacpp.main()
    output = capsys.readouterr().out
    assert "llama.cpp b11434 built for this processor\ntiny, 1 threads, 1 rounds\n" in output
    assert "int4, pictures int8, beside Q4_0, pictures F16:" in output
    assert len([line for line in output.splitlines() if line.startswith("|")]) == 2 + 5
    names = {path.name for path in (tmp_path / "work").iterdir()}
    assert names == {"tiny", "tiny-int4-int8", "tiny-Q4_0.gguf", "tiny-mmproj-F16.gguf"}


def test_the_ratio_is_the_median_of_the_rounds_ratios() -> None:
    theirs = Sample(encode=4, decode=10, decode_together=20, prefill=40, peak_memory=2e9)
    rounds = [
        (Sample(encode=factor * 4, decode=12, decode_together=20, prefill=40, peak_memory=1e9), theirs)
        for factor in (0.5, 0.6, 0.9)
    ]
    lines = report(PAIRS["int4"], rounds).splitlines()
    assert lines[4] == "| picture to features | 2.40 s | 4.00 s | 0.60 | 0.50 to 0.90 |"
    assert lines[5] == "| decode, 1 stream, 256 past | 12.0 tokens/s | 10.0 tokens/s | 1.20 | 1.20 to 1.20 |"
    assert lines[8] == "| largest memory, 1 stream | 1.00 GB | 2.00 GB | 0.50 | 0.50 to 0.50 |"
    assert "memory" not in report(PAIRS["fp16"], rounds, on_gpu=True)
