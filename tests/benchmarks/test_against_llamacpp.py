"""The comparison on the smallest model. llama.cpp is a stand-in here: scripts that print what its tools print."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import against_llamacpp
from benchmarks.against_llamacpp import PAIRS, report
from benchmarks.contest import Sample
from benchmarks.llamacpp import LlamaCpp, encoding_times, record

TOOLS = {
    "llama-bench": """
print("load_backend: loaded CPU backend")
speed = {"-p 160": 41.8, "-p 0": 17.7}[" ".join(arguments[4:6])]
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
print("an answer with { in it")
""",
}


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    folder = tmp_path / "tools"
    folder.mkdir()
    for name, body in TOOLS.items():
        (folder / name).write_text(f"#!{sys.executable}\nimport sys\narguments = sys.argv[1:]\n{body}")
        (folder / name).chmod(0o755)
    return folder


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
    with pytest.raises(ValueError, match="out of memory"):
        find("out of memory")


@pytest.mark.slow
def test_both_sides_are_measured_on_files_that_are_made_once(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(against_llamacpp, "build", lambda folder, jobs: tools)
    command = ["--work", str(tmp_path / "work"), "--shape", "tiny", "--precisions", "int4", "--rounds", "1"]
    monkeypatch.setattr("sys.argv", ["against_llamacpp", *command, "--threads", "1"])
    against_llamacpp.main()
    output = capsys.readouterr().out
    assert "tiny, 1 threads, 1 rounds" in output
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
