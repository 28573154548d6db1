"""The table of clients that are run, with the versions that the files they are installed by ask for. Runs none."""

import json
import re
from collections.abc import Iterator

import tomli

from tests.boundaries.walls import ROOT

TESTS = "pyproject.toml"
OWN = "tests/clients/requirements.txt"
NODE = "tests/node/package.json"

CLIENTS = (
    ("openai for Python", TESTS, "openai", "`tests/clients/test_python_clients.py`, `tests/server/http/`"),
    ("LangChain", TESTS, "langchain-openai", "`tests/clients/test_python_clients.py`"),
    ("pydantic-ai", TESTS, "pydantic-ai-slim", "`tests/clients/test_pydantic_ai.py`"),
    ("LiteLLM", OWN, "litellm", "`tests/clients/test_litellm.py`"),
    ("instructor", OWN, "instructor", "`tests/clients/test_instructor.py`"),
    ("openai for Node", NODE, "openai", "`tests/clients/test_node_client.py`"),
    ("AI SDK", NODE, "ai", "`tests/clients/test_ai_sdk.py`"),
    ("AI SDK", NODE, "@ai-sdk/openai", "`tests/clients/test_ai_sdk.py`"),
    ("AI SDK", NODE, "@ai-sdk/openai-compatible", "`tests/clients/test_ai_sdk.py`"),
)
"""A client, the file that it is installed by, its package there, and its tests."""


def clients() -> Iterator[tuple[str, ...]]:
    """Which, as which package, in which versions, and where it is run."""
    yield "client", "package", "version", "run by"
    yield "---", "---", "---", "---"
    for title, file, package, tests in CLIENTS:
        yield title, f"`{package}`", f"`{versions(file)[package]}`", tests


def versions(file: str) -> dict[str, str]:
    """What a file asks for, by package."""
    text = (ROOT / file).read_text(encoding="utf-8")
    if file == NODE:
        return dict(json.loads(text)["dependencies"])
    lines = tomli.loads(text)["project"]["optional-dependencies"]["test"] if file == TESTS else text.splitlines()
    return dict(re.findall(r"^([\w-]+)(?:\[\w+\])?([<>=].*)$", "\n".join(lines), re.MULTILINE))
