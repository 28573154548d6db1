"""The worst bodies: as large as a server allows, and sent to a real one."""

import json
from pathlib import Path

import pytest
from edgevlm_server.settings import Settings

from benchmarks.bodies import BODIES, drive

MOST = Settings().max_body


@pytest.mark.slow
@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_about_as_large_as_may_be(name: str) -> None:
    body = BODIES[name](MOST)
    assert 0.6 * MOST < len(body.content) <= MOST
    if body.content_type == "application/json":
        assert json.loads(body.content)["messages"]


@pytest.mark.slow
def test_a_burst_stays_within_the_plan(tiny_bundle: Path) -> None:
    row = drive(tiny_bundle, "a picture with an emoji in it", sent=12, at_once=6, options=[])
    assert row.answers == {"400": 12}
    assert 0 < row.grew < row.plan
