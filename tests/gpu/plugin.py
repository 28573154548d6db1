"""What `python -m tests.gpu` tells pytest, and what it is told: a line of JSON for each check. Knows no engines.

A check is written down when it begins: a crash of the process shows which one it was, and the next process goes on
behind it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gpu.columns import COLUMNS

BEGAN = "began"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--column", choices=COLUMNS, help="engine to check")
    parser.addoption("--rehearse", action="store_true", help="on the CPU and on stand-ins")
    parser.addoption("--log", type=Path, required=True, help="where results go, and which checks to leave out")
    parser.addoption("--work", type=Path, required=True, help="folder for bundles and plans, shared by processes")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Log(config.getoption("log"), config.getoption("column")))


class Log:
    """Writes the lines, and leaves out what has one."""

    def __init__(self, path: Path, column: str | None) -> None:
        self._path = path
        self._column = column
        self._done = {line["test"] for line in read(path)}
        self._preparing = 0.0

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        done = [item for item in items if item.nodeid in self._done]
        if done:
            config.hook.pytest_deselected(items=done)
            items[:] = [item for item in items if item.nodeid not in self._done]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        write(self._path, {"test": item.nodeid, "row": row(item), "column": self._column, "outcome": BEGAN})
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[None]:
        report: Any = yield
        # loading a model is part of the first check that wants it
        before = self._preparing if report.when == "call" else 0.0
        self._preparing = report.duration if report.when == "setup" else 0.0
        if report.when == "call" or report.outcome != "passed":
            skipped = isinstance(report.longrepr, tuple)
            text = report.longrepr[2].removeprefix("Skipped: ") if skipped else report.longreprtext[-3000:]
            line = {
                "test": item.nodeid,
                "row": row(item),
                "column": self._column,
                "outcome": report.outcome,
                "seconds": round(before + report.duration, 2),
                "notes": [text for name, text in report.user_properties if name == "note"],
                "text": text,
            }
            write(self._path, line)
        return report  # type: ignore[no-any-return]


def row(item: pytest.Item) -> str:
    """The row of the table that a check counts in: its module says so."""
    return str(getattr(item, "module").ROW)  # noqa: B009


def write(path: Path, line: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """All lines so far."""
    return [json.loads(text) for text in path.read_text("utf-8").splitlines()] if path.exists() else []
