"""Tables and the line above them."""

import re
from pathlib import Path

import pytest

from benchmarks.machine import cards, cores, heading
from benchmarks.report import gigabytes, percent, table, times


def test_a_table_is_markdown_with_figures_to_the_right() -> None:
    assert table(["rows", "tokens/s"], [["1", "22.7"], ["8", "32.3"]]).splitlines() == [
        "| rows | tokens/s |",
        "| --- | ---: |",
        "| 1 | 22.7 |",
        "| 8 | 32.3 |",
    ]


def test_a_row_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="3 cells"):
        table(["rows", "tokens/s"], [["1", "2", "3"]])


def test_figures_carry_their_units() -> None:
    assert (gigabytes(1_234_000_000), percent(0.764), times(1.1)) == ("1.23 GB", "76 %", "1.10 x")


def test_the_heading_names_machine_commit_date_and_versions() -> None:
    line = heading("llama.cpp b11434")
    assert "\n" not in line
    assert re.search(
        rf"{cores()} cores, \d+\.\d GiB(, [^;]+)?; commit (unknown|[0-9a-f]+(\+changes)?); \d{{4}}-\d\d-\d\d; ", line
    )
    assert re.search(r"onnxruntime \d+\.\d+\.\d+, llama\.cpp b11434$", line)


def test_cards_are_named_as_their_driver_does(tmp_path: Path) -> None:
    (tmp_path / "0000:01:00.0").mkdir()
    (tmp_path / "0000:01:00.0/information").write_text("Model: \t\t NVIDIA H200\nIRQ:   \t\t 16\n")
    assert cards(tmp_path) == ["NVIDIA H200"]
    assert cards(tmp_path / "none") == []
