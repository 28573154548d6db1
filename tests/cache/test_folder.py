"""Where the cache is, if anywhere."""

import pwd
from pathlib import Path

import pytest
from edgevlm_server.exit_codes import EXIT_CANNOT_START

from edgevlm.cli import main


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a container that runs under a number which no file of users knows."""

    def unknown(number: int) -> pwd.struct_passwd:
        raise KeyError(number)

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


@pytest.mark.usefixtures("homeless")
@pytest.mark.parametrize("command", [["cache", "list"], ["ask", "hello"]])
def test_without_a_home_one_sentence_says_what_to_set(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == EXIT_CANNOT_START
    told = capsys.readouterr().err
    assert "Set XDG_CACHE_HOME to a folder" in told
    assert told.count("\n") == 1


@pytest.mark.usefixtures("homeless")
def test_what_is_set_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["cache", "list"]) == 0
    assert str(tmp_path) in capsys.readouterr().out
