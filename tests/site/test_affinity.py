"""Affinity saves work and nothing hangs on it: hit rates, one device for a header, the same answer from all."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.report import table
from benchmarks.site import COLUMNS, WAYS, cells, devices, measured
from tests.site.clients import WHOLE, ask, question
from tests.site.conftest import Site


def test_affinity_raises_the_hit_rate(bundles: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    with devices(bundles("v2"), ["--engine", "echo"]) as urls:
        rows = list(measured(urls, pictures=12, questions=5))
    with capsys.disabled():
        print("\n" + table(COLUMNS, map(cells, rows)))
    by_header, without_header, in_turn = rows
    assert tuple(row.way for row in rows) == WAYS
    assert {row.queries for row in rows} == {60}
    # each picture is encoded once, by one device
    assert by_header.hits == 48
    assert by_header.hit_rate > in_turn.hit_rate
    assert by_header.hit_rate > without_header.hit_rate


def test_a_header_leads_to_one_device_and_none_to_all(echo_site: Site, picture: str) -> None:
    body = question(picture, 1, stream=False)
    for affinity in ("a", "b"):
        seen = [ask(echo_site.client, body, affinity) for _ in range(4)]
        assert {one.outcome for one in seen} == {WHOLE}
        assert len({echo_site.device(one.request) for one in seen}) == 1
    spread = {echo_site.device(ask(echo_site.client, body).request) for _ in range(40)}
    assert spread == {device.host for device in echo_site.devices}


def test_every_device_gives_the_same_answer(site: Site, picture: str) -> None:
    body = question(picture, 10, stream=False)
    seen = [ask(site.client, body) for _ in range(40)]
    assert {site.device(one.request) for one in seen} == {device.host for device in site.devices}
    assert {one.outcome for one in seen} == {WHOLE}
    assert len({one.text for one in seen}) == 1
