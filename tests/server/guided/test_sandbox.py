"""Schemas that explode when they are compiled: refused within seconds, while others are served."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from edgevlm_server.guided.compiler import THOROUGH
from edgevlm_server.guided.grammar import that_matches, valid_json
from edgevlm_server.guided.sandbox import LEAST_BYTES, MAX_BYTES, Failure, tried

from tests.live import LiveServer
from tests.processes import children, limits_of
from tests.server.engines import until

WOULD_BLOW_UP: dict[str, Any] = {"allOf": [{"type": "string", "pattern": f"a.{{{30 + n}}}b"} for n in range(40)]}


def test_good_grammars_pass() -> None:
    for grammar in (
        valid_json({"type": "object", "properties": {"count": {"type": "integer"}}}),
        that_matches("[0-9]{2}:[0-9]{2}"),
    ):
        assert tried(grammar, THOROUGH) == LEAST_BYTES


def test_what_a_grammar_takes_is_measured() -> None:
    size = tried(valid_json({"type": "integer", "multipleOf": 10_007}), 60)
    assert isinstance(size, int) and 2 * LEAST_BYTES < size < MAX_BYTES


@pytest.mark.slow
def test_a_grammar_that_grows_too_large_is_refused_before_it_has() -> None:
    assert tried(valid_json({"type": "integer", "multipleOf": 349_999}), 60) is Failure.BAD


@pytest.mark.slow
def test_a_grammar_that_takes_too_long_is_given_up() -> None:
    assert tried(valid_json({"type": "integer", "multipleOf": 349_999}), 0.02) is Failure.TOO_SLOW


@pytest.mark.slow
@pytest.mark.parametrize(
    "schema",
    [
        WOULD_BLOW_UP,
        {"type": "integer", "multipleOf": 349_999},
        {"allOf": [{"anyOf": [{"properties": {f"{a}{b}": {}}} for b in range(2)]} for a in range(20)]},
        {"properties": {f"k{n}": {"type": "integer", "multipleOf": 90_001 + n} for n in range(500)}},
        {"$ref": "#/$defs/x", "$defs": {"x": {"allOf": [{"$ref": "#/$defs/x"}, {"type": "object"}]}}},
    ],
)
def test_grammars_that_explode_do_not(schema: dict[str, Any]) -> None:
    before = children()
    assert isinstance(tried(valid_json(schema), THOROUGH), Failure)
    assert children() <= before


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_trial_has_limits_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # a stand-in that never ends, so that it can be looked at
    (tmp_path / "llguidance.py").write_text(
        "import time\n"
        "LLParserLimits = LLTokenizer = TokenizerWrapper = lambda *given, **named: None\n"
        "LLMatcher = lambda *given, **named: time.sleep(600)\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = children()
    with ThreadPoolExecutor(1) as pool:
        trial = pool.submit(tried, valid_json(WOULD_BLOW_UP), 60)
        until(lambda: children() - before, "the trial to begin")
        [process] = children() - before
        # set one after the other, memory last
        until(lambda: limits_of(process)["Max data size"][0] != "unlimited", "its limits")
        limits = limits_of(process)
        os.kill(process, signal.SIGKILL)
        with pytest.raises(OSError, match="from outside"):
            trial.result()
    assert limits["Max core file size"] == ("0", "0")
    assert MAX_BYTES < int(limits["Max data size"][1]) < 2**30


@pytest.mark.slow
def test_the_trial_ends_by_itself_should_its_parent_be_gone() -> None:
    code = f"import sys; sys.path[:] = {sys.path!r}; from edgevlm_server.guided.sandbox import main; main(0.02)"
    grammar = valid_json({"type": "integer", "multipleOf": 349_999}).encode()
    ended = subprocess.run([sys.executable, "-c", code], input=grammar, capture_output=True, timeout=60)
    assert ended.returncode == -signal.SIGPROF


@pytest.mark.parametrize("name", ["llguidance", "edgevlm_server", "resource"])
def test_the_trial_takes_no_code_from_the_current_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    assert tried(that_matches("[0-9]{2}"), THOROUGH) == LEAST_BYTES
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_a_grammar_that_cannot_be_compiled_in_time_is_refused_and_others_are_served(
    echo_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()

    def held(grammar: str, seconds: float) -> int | Failure:
        assert let_go.wait(120)
        return tried(grammar, seconds)

    monkeypatch.setattr("edgevlm_server.guided.compiler.SECONDS", 120.0)
    monkeypatch.setattr("edgevlm_server.guided.compiler.tried", held)
    refused: list[Any] = []
    fields = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": WOULD_BLOW_UP}}}
    slow = threading.Thread(target=lambda: refused.append(echo_server.chat("hi", **fields)))
    before = children()
    slow.start()
    until(lambda: echo_server.service.admission.inside == 1, "the request to come")
    assert echo_server.chat("hi", max_tokens=4).status_code == 200
    assert slow.is_alive(), "another request waited for the grammar"
    let_go.set()
    slow.join()
    [response] = refused
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "response_format.json_schema.schema"
    assert response.json()["error"]["code"] == "unsupported_schema"
    assert children() <= before
    until(lambda: echo_server.service.admission.inside == 0, "the places to be given back")
