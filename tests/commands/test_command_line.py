"""What every command has in common: help, usage, and how quickly both come."""

import subprocess
import sys
from pathlib import Path

import pytest
from edgevlm_server.version import described

from edgevlm.cli import COMMANDS, main

HEAVY = {
    *("numpy", "pydantic", "fastapi", "starlette", "uvicorn", "anyio", "asyncio", "onnx", "onnx_ir", "onnxruntime"),
    *(
        "huggingface_hub",
        "httpx",
        "cryptography",
        "PIL",
        "sentencepiece",
        "ml_dtypes",
        "tqdm",
        "prometheus_client",
        "llguidance",
        "tensorrt",
        "torch",
        "ssl",
    ),
}
"""What takes time to import, and no help needs."""

NESTED = [["bench", "http"], ["keys", "add"]]


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS), *NESTED])
def test_help_is_there_and_imports_nothing_heavy(command: list[str]) -> None:
    code = (
        "import sys\nfrom edgevlm.cli import main\n"
        f"try: main({[*command, '--help']})\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: {' '.join(['edgevlm', *command])} ")
    assert not HEAVY & set(done.stderr.split())
    if len(command) == 1:
        assert COMMANDS[command[0]].help[1:] in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    "arguments",
    [["export", "checkpoint", "{}"], ["cache", "list", "--plans", "{}"], ["doctor", "--plans", "{}"]],
    ids=lambda arguments: arguments[0],
)
def test_a_path_that_cannot_even_be_looked_at_is_one_sentence(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A name that is too long stands for a folder that may not be entered, which a test run by root enters."""
    path = str(tmp_path / (300 * "x") / "y")
    code = main([argument.format(path) for argument in arguments])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert code == 0 or f"{path}: File name too long." in said.err


@pytest.mark.parametrize(
    ("arguments", "usage", "error"),
    [
        ([], "edgevlm [-h]", "the following arguments are required: COMMAND"),
        (["nonsense"], "edgevlm [-h]", "invalid choice: 'nonsense'"),
        (["serve", "--port", "x"], "edgevlm serve [-h]", "a whole number of at least 0 is needed"),
        (["serve", "--prot", "1"], "edgevlm serve [-h]", "unrecognized arguments: --prot"),
        (["serve", "a", "b"], "edgevlm serve [-h]", "unrecognized arguments: b"),
        (["bench", "http", "--rat", "1", "--x"], "edgevlm bench http [-h]", "unrecognized arguments: --x"),
        (["keys", "add", "file", "name", "more"], "edgevlm keys add [-h]", "unrecognized arguments: more"),
    ],
)
def test_wrong_arguments_show_the_usage_of_the_command(
    arguments: list[str], usage: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    said = capsys.readouterr().err
    assert said.startswith(f"usage: {usage}")
    assert error in said.splitlines()[-1]


def test_the_version_names_the_commit(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"edgevlm {described()}\n"
