"""The comparison with transformers: its arithmetic, and how it ends. What measures the peer is a stand-in here."""

from pathlib import Path

import pytest

from benchmarks import against_transformers
from benchmarks.against_transformers import ROWS, Round, loadable, report
from benchmarks.figures import Figures, Start
from benchmarks.measure import Timing
from benchmarks.peer_figures import FIGURES, PeerFigures, PeerJob, Way
from edgevlm.errors import CommandError


def timing(seconds: float) -> Timing:
    """The median is `seconds`."""
    return Timing((seconds / 2, seconds, 10 * seconds))


def ours(seconds: float) -> Figures:
    decode = {rows: timing(seconds) for rows in ROWS}
    return Figures(Start(1, 1, 1), timing(seconds), {160: timing(seconds)}, decode, timing(seconds), 1)


def way(seconds: float) -> Way:
    return Way(timing(seconds), timing(seconds), {rows: timing(rows * seconds) for rows in ROWS})


def test_each_round_has_its_own_ratio_and_each_way_its_columns() -> None:
    rounds = [
        Round({"cuda": ours(0.010)}, PeerFigures("peer", way(0.040), way(0.010))),
        Round({"cuda": ours(0.020)}, PeerFigures("peer", way(0.040), way(0.030))),
        Round({"cuda": ours(0.010)}, PeerFigures("peer", way(0.010), way(0.020))),
    ]
    lines = report(rounds).splitlines()
    assert lines[0] == "edgevlm on cuda:"
    prompt = "| prompt, 160 positions | 10.0 ms | 40.0 ms | 2.00 | 1.00 to 4.00 | 20.0 ms | 1.50 | 1.00 to 2.00 |"
    assert lines[5] == prompt
    eight = "| decode, 8 rows, 256 past | 800.0 tokens/s | 25.0 tokens/s | 16.00 | 8.00 to 32.00 | "
    assert lines[7] == eight + "50.0 tokens/s | 12.00 | 8.00 to 16.00 |"


def test_without_a_gpu_a_sentence_stands_for_the_graphs() -> None:
    text = report([Round({"cpu": ours(1)}, PeerFigures("peer", way(2), None))])
    assert "| prompt, 160 positions | 1000.0 ms | 2000.0 ms | 2.00 | 2.00 to 2.00 |" in text
    assert text.endswith("CUDA graphs need a GPU: the peer's second way is left out.")


def test_figures_survive_the_way_between_processes() -> None:
    figures = PeerFigures("transformers 5, torch 2", way(0.25), None)
    assert FIGURES.validate_json(FIGURES.dump_json(figures)) == figures


@pytest.mark.slow
def test_a_machine_without_a_driver_is_measured_on_its_processor() -> None:
    assert loadable() == ("cpu",) or Path("/proc/driver/nvidia/version").exists()


def test_what_is_missing_is_said_before_anything_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(against_transformers, "find_spec", lambda name: None)
    monkeypatch.setattr("sys.argv", ["against_transformers", "--work", str(tmp_path / "work")])
    with pytest.raises(CommandError, match="'peers' extra"):
        against_transformers.main()
    assert not (tmp_path / "work").exists()


@pytest.mark.slow
def test_both_sides_are_measured_in_turn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[PeerJob] = []

    def measure_peer(job: PeerJob) -> PeerFigures:
        asked.append(job)
        return PeerFigures("transformers 5, torch 2", way(1), None)

    monkeypatch.setattr(against_transformers, "find_spec", lambda name: name)
    monkeypatch.setattr(against_transformers, "measure_peer", measure_peer)
    command = ["--work", str(tmp_path / "work"), "--shape", "tiny", "--devices", "cpu", "--threads", "1"]
    monkeypatch.setattr("sys.argv", ["against_transformers", *command, "--rounds", "2"])
    against_transformers.main()
    output = capsys.readouterr().out
    assert "transformers 5, torch 2\ntiny, 1 threads, 2 rounds\n" in output
    assert len([line for line in output.splitlines() if line.startswith("| ")]) == 2 + 5
    assert [(job.device, job.rows, job.past) for job in asked] == [("cpu", ROWS, 256)] * 2
    assert {path.name for path in (tmp_path / "work").iterdir()} == {"tiny", "tiny-cpu-fp32"}
