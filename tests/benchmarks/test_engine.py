"""The tables of the engine's benchmarks on the smallest model: that every figure is there, not what it is."""

from collections.abc import Callable
from pathlib import Path

import pytest
from edgevlm_engines import EngineError

from benchmarks import ceilings, engine, growth
from benchmarks.engine import JSON

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a benchmark's `main` with a command line; returns what it prints."""
    monkeypatch.setattr(ceilings, "READ_BYTES", 1 << 20)
    monkeypatch.setattr(ceilings, "EDGE", 64)

    def run_main(main: Callable[[], None], *arguments: object) -> str:
        monkeypatch.setattr("sys.argv", ["benchmark", *map(str, arguments)])
        main()
        return capsys.readouterr().out

    return run_main


@pytest.mark.slow
def test_the_engine_is_measured_call_by_call(run: Run, tiny_bundle: Path, tmp_path: Path) -> None:
    options = ("--slots", "1,3", "--past", 20, "--steps", 4, "--json", tmp_path / "figures.json")
    lines = run(engine.main, tiny_bundle, *options).splitlines()
    for title in ("read all files", "start, cold", "largest memory", "picture to features", "prefill, 160 tokens"):
        assert len([line for line in lines if line.startswith(f"| {title}")]) == 1
    assert [line.split("|")[1].strip() for line in lines[-2:]] == ["1", "3"]
    result = JSON.validate_json((tmp_path / "figures.json").read_bytes())
    assert {slots: len(steps.seconds) for slots, steps in result.figures.decode.items()} == {1: 4, 3: 4}
    assert result.job.past == 20


def test_a_folder_that_is_no_bundle_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="is not a bundle"):
        run(engine.main, tmp_path)


def test_growth_is_told_for_each_kind_of_size(run: Run, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "LENGTHS", (8, 16))
    monkeypatch.setattr(growth, "SLOTS", (1, 2))
    monkeypatch.setattr(growth, "PICTURES", (1, 2))
    output = run(growth.main, tiny_bundle)
    assert output.count("| seconds | size | time | growth |") == 5
    assert output.count("1.00 x | 1.00 x | 1.00 |") == 5
