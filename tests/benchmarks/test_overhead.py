"""What is counted through HTTP: the server's real metrics, and only the time in which every stream decoded."""

import json
import urllib.request

import pytest

from benchmarks.overhead import Reading, Round, read, report, steady
from edgevlm.errors import CommandError
from tests.live import LiveServer


def test_the_servers_metrics_are_understood(echo_server: LiveServer) -> None:
    def now() -> Reading:
        with urllib.request.urlopen(f"{echo_server.url}/metrics") as response:
            return read(response.read().decode(), 1.5)

    before = now()
    body = {"messages": [{"role": "user", "content": "one two three"}], "max_tokens": 4}
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(
        f"{echo_server.url}/v1/chat/completions", json.dumps(body).encode(), headers, method="POST"
    )
    with urllib.request.urlopen(request) as response:
        usage = json.load(response)["usage"]
    after = now()
    assert after.moment == 1.5
    assert after.running == 0
    assert after.generated - before.generated == usage["completion_tokens"] == 4
    assert after.prompted - before.prompted == usage["prompt_tokens"]


def test_only_the_time_in_which_all_streams_decode_is_counted() -> None:
    readings = [
        Reading(0.0, 0, 100, 0),
        Reading(0.2, 1, 150, 3),
        Reading(0.4, 2, 200, 9),
        Reading(0.6, 2, 200, 19),
        Reading(0.8, 2, 200, 29),
        Reading(1.0, 2, 200, 39),
        Reading(1.2, 1, 200, 45),
    ]
    first, last = steady(readings, 2)
    assert (first.generated, last.generated) == (19, 39)


def test_streams_that_never_meet_are_not_measured() -> None:
    with pytest.raises(CommandError, match="--max-tokens"):
        steady([Reading(0.0, 1, 5, 0), Reading(0.2, 2, 9, 3), Reading(0.4, 1, 9, 6)], 2)


def test_the_report_has_medians_and_the_range_of_the_rounds() -> None:
    line = report([Round(100, 102), Round(100, 100), Round(50, 52)], 8).splitlines()[-1]
    assert line == "| 8 | 100.0 | 100.0 | 2.0 % | 0.0 to 4.0 % |"
