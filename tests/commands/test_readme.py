"""The README and the pages behind it: what can be pasted gives what they show, and their lists are complete."""

import re
import shlex
import subprocess
import sys

import pytest
from edgevlm_server.http.app import KEYED
from edgevlm_server.http.operation import probes
from fastapi.routing import APIRoute

from tests.boundaries.walls import ROOT
from tests.docs.pages import blocks, commands, pages, read
from tests.docs.tables import PAGES, with_tables
from tests.live import LiveServer

README = read("README.md")
API = read("docs/api.md")


def test_the_readme_is_for_one_sitting() -> None:
    assert len(README.splitlines()) <= 150


def test_the_readme_names_the_commands_that_ci_runs() -> None:
    assert {words[1] for words in commands(README) if words[0] == "make"} == {"run", "quick", "test"}
    assert "make test" in read(".ci/run")


@pytest.mark.slow
def test_the_command_is_spelled_in_one_way() -> None:
    """Where to find it is said once."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"\.venv/bin/edgevlm", text), page
    assert [words for words in commands(README) if words[0] == "."] == [[".", ".venv/bin/activate"]]


def test_the_curl_lines_get_an_answer(demo: LiveServer) -> None:
    lines = [line for block in blocks(README, "sh") for line in block.splitlines() if line.startswith("curl")]
    chat, form = (shlex.split(line.replace("http://127.0.0.1:8000", demo.url)) for line in lines)
    answers = [
        subprocess.run([*command, "--silent"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for command in (chat, form)
    ]
    assert '"finish_reason":"stop"' in answers[0] and '"amber"' in answers[0]
    assert answers[1].strip() == "amber"


@pytest.mark.slow
def test_the_python_example_prints_the_answer_that_is_shown(demo: LiveServer) -> None:
    [code] = blocks(API, "python")
    code = code.replace("http://127.0.0.1:8000", demo.url)
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"It prints `{result.stdout.strip()}`." in API


def test_the_route_table_is_complete() -> None:
    routers = (*KEYED, probes)
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    assert len(routes) > 15
    for route in routes:
        for method in (route.methods or set()) - {"HEAD"}:
            assert f"`{method} {route.path.replace(':path', '')}`" in API


@pytest.mark.parametrize("page", PAGES)
def test_tables_that_the_code_knows_are_complete(page: str) -> None:
    assert with_tables(page, read(page)) == read(page), "run `make fix`"


def test_fields_that_are_listed_are_taken(demo: LiveServer) -> None:
    """All but `n` and those that need another one are given at once; none is refused."""
    names = set(re.findall(r"`(\w+)`", API.partition("## Fields\n")[2].partition("\n\n`user`")[0]))
    values: dict[str, object] = {"temperature": 0.5, "top_p": 0.9, "top_k": 5, "min_p": 0.1, "seed": 1, "stop": "x"}
    values |= {"max_tokens": 4, "max_completion_tokens": 4, "min_tokens": 1, "ignore_eos": True, "n": 2}
    values |= {"logprobs": True, "top_logprobs": 2, "logit_bias": {"5": 1}, "presence_penalty": 0.1}
    values |= {"frequency_penalty": 0.1, "repetition_penalty": 1.1, "stream": True}
    values |= {"stream_options": {"include_usage": True}, "min_confidence": 0.0}
    assert names == set(values)
    assert demo.chat("hi", **values).is_success
