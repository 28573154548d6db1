"""Clocks and memory, without a word on how fast anything is."""

import sys
from pathlib import Path

import pytest

from benchmarks.measure import CommandFailed, Memory, Timing, forget, memory, read_once, run, timed

MEBIBYTE = 1 << 20


def test_a_timing_has_its_median_mean_and_minimum() -> None:
    timing = Timing((3.0, 1.0, 8.0))
    assert (timing.median, timing.mean, timing.minimum) == (3.0, 4.0, 1.0)


def test_warm_up_calls_are_made_and_not_counted() -> None:
    calls: list[int] = []
    assert len(timed(calls.append, 3, warm_up=2).seconds) == 3
    assert calls == [0, 1, 2, 3, 4]


def test_the_peak_stays_when_memory_is_given_back() -> None:
    held = bytearray(64 * MEBIBYTE)
    before = memory()
    del held
    after = memory()
    # the kernel counts in batches of pages
    assert before.now - after.now > 32 * MEBIBYTE
    assert after.peak - after.now > 32 * MEBIBYTE


def test_files_are_read_from_front_to_back(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(bytes(3 * MEBIBYTE + 5))
    forget([path])
    assert read_once([path]) > 0


@pytest.mark.slow
def test_a_command_gives_its_output_and_its_own_peak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ballast = bytearray(256 * MEBIBYTE)
    seen = tmp_path / "seen"

    def watched(process: int | None = None) -> Memory:
        found = memory(process)
        if process is not None and found.peak > 64 * MEBIBYTE:
            seen.touch()
        return found

    monkeypatch.setattr("benchmarks.measure.memory", watched)
    code = f"""
import pathlib, time
block = bytearray({64 * MEBIBYTE})
del block
print("done", flush=True)
while not pathlib.Path({str(seen)!r}).exists():
    time.sleep(0.01)
"""
    finished = run([sys.executable, "-c", code])
    assert finished.output == "done\n"
    assert 64 * MEBIBYTE < finished.peak_memory < len(ballast)


def test_a_command_that_fails_is_an_error_with_its_last_words() -> None:
    with pytest.raises(CommandFailed, match=r"^no such model\nsh ended with code 3\.$") as failed:
        run(["/bin/sh", "-c", "echo no such model >&2; exit 3"])
    assert failed.value.code == 3


def test_a_command_that_is_killed_is_an_error_with_the_signal() -> None:
    with pytest.raises(CommandFailed, match=r"^sh was killed by SIGTERM\.$"):
        run(["sh", "-c", "kill -TERM $$"])


def test_a_command_can_have_an_environment_of_its_own() -> None:
    assert run(["/bin/sh", "-c", "echo $WHERE"], {"WHERE": "here"}).output == "here\n"
