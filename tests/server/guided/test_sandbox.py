"""Schemas that explode when they are compiled: refused within seconds, while others are served."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from edgevlm_server.guided.grammar import that_matches, valid_json
from edgevlm_server.guided.sandbox import MEMORY_BYTES, SECONDS, compiles

from tests.live import LiveServer
from tests.processes import children, limits_of
from tests.server.engines import until

WOULD_BLOW_UP: dict[str, Any] = {"allOf": [{"type": "string", "pattern": f"a.{{{30 + n}}}b"} for n in range(40)]}


def test_good_grammars_pass() -> None:
    assert compiles(valid_json({"type": "object", "properties": {"count": {"type": "integer"}}}))
    assert compiles(that_matches("[0-9]{2}:[0-9]{2}"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "schema",
    [
        WOULD_BLOW_UP,
        {"allOf": [{"anyOf": [{"properties": {f"{a}{b}": {}}} for b in range(2)]} for a in range(20)]},
        {"properties": {f"k{n}": {"type": "integer", "multipleOf": 90_001 + n} for n in range(500)}},
        {"$ref": "#/$defs/x", "$defs": {"x": {"allOf": [{"$ref": "#/$defs/x"}, {"type": "object"}]}}},
    ],
)
def test_grammars_that_explode_do_not(schema: dict[str, Any]) -> None:
    before = children()
    assert not compiles(valid_json(schema))
    assert children() <= before


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_trial_has_limits_of_its_own() -> None:
    """They end it should the parent be gone, and before it takes the machine's memory."""
    before = children()
    with ThreadPoolExecutor(1) as pool:
        tried = pool.submit(compiles, valid_json(WOULD_BLOW_UP))
        until(lambda: children() - before, "the trial to begin")
        [trial] = children() - before
        until(lambda: tried.done() or limits_of(trial)["Max core file size"] == ("0", "0"), "its limits")
        # they are set one after the other, and the last is that of memory
        until(lambda: tried.done() or limits_of(trial)["Max address space"][0] != "unlimited", "the last of them")
        limits = limits_of(trial)
        assert not tried.result()
    assert limits["Max address space"] == (str(MEMORY_BYTES),) * 2
    assert limits["Max cpu time"] == (str(SECONDS + 1),) * 2


@pytest.mark.parametrize("name", ["llguidance", "edgevlm_server", "resource"])
def test_the_trial_takes_no_code_from_the_current_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    assert compiles(that_matches("[0-9]{2}"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_a_grammar_that_cannot_be_compiled_in_time_is_refused_and_others_are_served(echo_server: LiveServer) -> None:
    refused: list[Any] = []
    fields = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": WOULD_BLOW_UP}}}
    slow = threading.Thread(target=lambda: refused.append(echo_server.chat("hi", **fields)))
    before = children()
    slow.start()
    until(lambda: children() > before, "the trial to begin")
    began = time.monotonic()
    assert echo_server.chat("hi", max_tokens=4).status_code == 200
    assert time.monotonic() - began < SECONDS, "another request waited for the grammar"
    assert slow.is_alive()
    slow.join()
    [response] = refused
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "response_format.json_schema.schema"
    assert response.json()["error"]["code"] == "unsupported_schema"
    assert children() == before
    assert echo_server.service.admission.inside == 0
