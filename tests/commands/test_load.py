"""The parts of the load generator: events, HTTP as other servers write it, times, percentiles, bodies."""

import asyncio
import json
import re
import statistics
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from itertools import islice, pairwise, repeat
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevlm.bench.bodies import chat_bodies, drawn_pictures
from edgevlm.bench.client import BROKEN_OFF, OK, STREAM_ERROR, TIMEOUT, Sample, ask
from edgevlm.bench.events import EventParser
from edgevlm.bench.phase import Phase, closed_loop, open_loop, poisson_times
from edgevlm.bench.report import percentile, spread, summarise
from edgevlm.cli import CommandError
from edgevlm.http_client import Server

T = TypeVar("T")

LINES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12)
EVENTS = st.lists(st.lists(LINES, min_size=1, max_size=3), max_size=5)


def chunk(**fields: object) -> str:
    return f"data: {json.dumps(fields)}\n\n"


def delta(text: str, reason: str | None = None) -> str:
    return chunk(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": reason}])


USAGE = {"prompt_tokens": 50, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 20}}
ANSWER = (
    chunk(choices=[{"delta": {"role": "assistant", "content": ""}}])
    + (": still here\n\n" + delta("red ") + delta("lamp ü"))
    + (delta("", "stop") + chunk(choices=[], usage=USAGE) + "data: [DONE]\n\n")
).encode()


@given(EVENTS, st.sampled_from(["\n", "\r\n", "\r"]), st.data())
def test_any_split_of_a_stream_gives_the_same_events(events: list[list[str]], end: str, data: st.DataObject) -> None:
    lines = [f": comment{end}id: 7{end}" + "".join(f"data: {line}{end}" for line in event) + end for event in events]
    stream = "".join(lines).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    pieces = [stream[start:stop] for start, stop in pairwise([0, *cuts, len(stream)])]
    parser = EventParser()
    assert [event for piece in pieces for event in parser.feed(piece)] == ["\n".join(event) for event in events]


def test_an_event_is_given_as_soon_as_it_is_complete() -> None:
    parser = EventParser()
    assert parser.feed(b"data:a\r\n\r") == ["a"]
    assert parser.feed(b"\ndata: b\n") == []
    assert parser.feed(b"\n") == ["b"]


async def _with_server(pieces: Sequence[bytes], use: Callable[[Server], Coroutine[Any, Any, T]]) -> T:
    """What comes of a server that answers everyone with exactly these bytes; without any it waits."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head)
            assert length
            await reader.readexactly(int(length[1]))
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if not pieces:
                await reader.read()  # until the client leaves
        except (OSError, EOFError):
            pass  # the client has left
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        return await use(Server.at(f"http://127.0.0.1:{port}", None))
    finally:
        server.close()


async def _answered(pieces: Sequence[bytes], *, timeout: float = 30) -> Sample:
    """What a client makes of these bytes. Its clock stands at 1."""
    return await _with_server(pieces, lambda server: ask(server, b"{}", 0.0, lambda: 1.0, timeout))


def answered(text: bytes, cut: int = 1000) -> Sample:
    return asyncio.run(_answered([text[start : start + cut] for start in range(0, len(text), cut)]))


def chunked(body: bytes, size: int) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x;note=1\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nX-Sum: 1\r\n\r\n"


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


@pytest.mark.parametrize("cut", [1, 2, 3, 7, 50, 10_000])
@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"transfer-encoding: Chunked\r\n\r\n" + chunked(ANSWER, 100),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(ANSWER, 5),
        HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER),
        HEAD.replace(b"1.1", b"1.0") + b"\r\n" + ANSWER.replace(b"\n", b"\r\n"),
    ],
)
def test_every_framing_of_an_answer_is_read(text: bytes, cut: int) -> None:
    sample = answered(text, cut)
    assert (sample.outcome, sample.detail) == (OK, "")
    assert sample.pieces == (1.0, 1.0)
    assert (sample.prompt_tokens, sample.completion_tokens, sample.cached_tokens) == (50, 7, 20)


@pytest.mark.parametrize(
    ("text", "outcome", "detail"),
    [
        (HEAD + b"Content-Length: 9999\r\n\r\n" + ANSWER, BROKEN_OFF, "closed before"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(ANSWER, 99)[:-30], BROKEN_OFF, "closed before"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", BROKEN_OFF, "not HTTP"),
        (HEAD + b"\r\n" + delta("red ").encode(), BROKEN_OFF, "no end"),
        (HEAD + b'\r\n{"choices": []}', BROKEN_OFF, "not a stream"),
        (HEAD + b"\r\ndata: 7\n\n", BROKEN_OFF, "not a JSON object"),
        (HEAD + b"X: " + 70_000 * b"x", BROKEN_OFF, "without end"),
        (HEAD + b"\r\n" + chunk(error={"message": "the device\nis lost"}).encode(), STREAM_ERROR, "device is lost"),
        (b"SSH-2.0-OpenSSH\r\n", BROKEN_OFF, "not HTTP"),
        (b"", BROKEN_OFF, ""),
        (b'HTTP/1.1 503 Busy\r\n\r\n{"error": {"message": "later\\u001b[2J"}}', "503", "later"),
        (HEAD + b'\r\ndata: {"choices": [7, {"delta": "x"}]}\n\n', BROKEN_OFF, "no end"),
        (b'HTTP/1.1 422 No\r\n\r\n{"error": "unknown field"}', "422", "unknown field"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>", "502", ""),
    ],
)
def test_what_is_no_whole_answer_is_an_error_that_says_so(text: bytes, outcome: str, detail: str) -> None:
    sample = asyncio.run(_answered([text]))
    assert sample.outcome == outcome
    assert detail in sample.detail
    assert sample.detail.isprintable()


def test_a_server_that_says_nothing_is_given_up() -> None:
    assert asyncio.run(_answered([], timeout=0.05)).outcome == TIMEOUT


@given(st.lists(st.floats(0, 1000), min_size=2, max_size=50))
def test_percentiles_are_those_of_the_statistics_module(values: list[float]) -> None:
    expected = statistics.quantiles(values, n=100, method="inclusive")
    ordered = sorted(values)
    for percent in (50, 90, 99):
        assert percentile(ordered, percent / 100) == pytest.approx(expected[percent - 1], abs=1e-9)


def test_the_spread_of_known_times() -> None:
    assert spread([]) is None
    assert spread([3.0]) == (3.0, 3.0, 3.0, 3.0)
    assert spread(float(n) for n in range(100, -1, -1)) == pytest.approx((50, 90, 99, 100))


def sample(outcome: str = OK, **fields: float | int | tuple[float, ...] | None) -> Sample:
    times = {"intended": 1.0, "sent": 1.5, "ended": 4.0, "pieces": (2.0, 2.5, 3.5)}
    counts = {"prompt_tokens": 100, "completion_tokens": 4, "cached_tokens": 25}
    return Sample(outcome=outcome, detail="", **{**times, **counts, **fields})  # type: ignore[arg-type]


def test_a_summary_counts_whole_answers_only_and_times_them_from_the_intended_start() -> None:
    samples = [
        sample(),
        sample(completion_tokens=None, cached_tokens=None),
        sample("429"),
        sample("429"),
        sample("x"),
    ]
    found = summarise(samples, seconds=2.0)
    assert (found.requests, found.ok, found.errors) == (5, 2, {"429": 2, "x": 1})
    assert found.requests == found.ok + sum(found.errors.values())
    assert (found.requests_per_second, found.tokens_per_second) == (1.0, (4 + 3) / 2)
    assert found.time_to_first_token == (1.0, 1.0, 1.0, 1.0)
    assert found.end_to_end == (3.0, 3.0, 3.0, 3.0)
    assert found.gap is not None
    assert (found.gap.p50, found.gap.max) == (0.75, 1.0)
    assert found.cached == 0.25


def test_what_a_server_does_not_tell_is_left_out() -> None:
    found = summarise([sample(pieces=(), prompt_tokens=None, cached_tokens=None)], seconds=1.0)
    assert (found.time_to_first_token, found.gap, found.cached) == (None, None, None)


def test_a_late_request_counts_from_when_it_should_have_gone() -> None:
    def held_up() -> Iterator[tuple[float, bytes]]:
        yield 0.0, b"{}"
        time.sleep(0.3)
        yield 0.01, b"{}"

    phase = Phase(Server.at("http://127.0.0.1:9", None))
    asyncio.run(open_loop(phase, held_up()))
    late = max(phase.samples, key=lambda sample: sample.intended)
    assert late.intended == 0.01
    assert late.sent >= 0.3
    assert late.end_to_end >= 0.29


def test_a_closed_loop_sends_each_body_once_and_stops_in_time() -> None:
    phase = Phase(Server.at("http://127.0.0.1:9", None))
    asyncio.run(closed_loop(phase, iter([b"{}"] * 7), clients=3))
    assert [sample.outcome for sample in phase.samples] == ["no connection"] * 7
    asyncio.run(closed_loop(phase, iter([b"{}"]), clients=3, seconds=0))
    assert len(phase.samples) == 7


def test_a_load_that_is_cancelled_ends_whenever_it_is() -> None:
    """`asyncio.wait_for` lost the cancellation if it came together with an answer, and the load went on."""

    async def cancelled_often(server: Server) -> None:
        for turn in range(60):
            phase = Phase(server)
            load = asyncio.create_task(closed_loop(phase, repeat(b"{}"), clients=4))
            await asyncio.sleep(turn / 10_000)
            load.cancel()
            done, _ = await asyncio.wait({load}, timeout=10)
            assert done
            assert {sample.outcome for sample in phase.samples} <= {OK}

    asyncio.run(_with_server([HEAD + b"\r\n" + ANSWER], cancelled_often))


def test_random_times_have_the_rate_that_was_asked_for() -> None:
    times = list(islice(poisson_times(20, seed=3), 4000))
    assert times == list(islice(poisson_times(20, seed=3), 4000)) != list(islice(poisson_times(20, seed=4), 4000))
    gaps = [after - before for before, after in pairwise(times)]
    assert statistics.fmean(gaps) == pytest.approx(0.05, rel=0.05)
    # as scattered as the exponential distribution is
    assert statistics.stdev(gaps) == pytest.approx(0.05, rel=0.1)


def test_pictures_and_questions_go_in_turn_and_drawings_differ() -> None:
    bodies = chat_bodies("m", ["data:a", "data:b"], ["x", "y", "z"], 5)
    assert len(bodies) == len(set(bodies)) == 6
    assert json.loads(bodies[0])["stream_options"] == {"include_usage": True}
    assert len(chat_bodies("m", ["data:a", "data:b"], ["x"], 5, count=2)) == 2
    assert len(set(drawn_pictures(range(10)))) == 10


@pytest.mark.parametrize(
    ("url", "prefix", "host", "port"),
    [
        ("http://127.0.0.1:8000", "", "127.0.0.1", 8000),
        ("http://h:1/v1/", "", "h", 1),
        ("https://h/team/v1", "/team", "h", 443),
        ("http://[::1]:7/v1/chat/completions", "", "::1", 7),
        ("camera.local:80", "", "camera.local", 80),
    ],
)
def test_an_address_may_be_written_in_several_ways(url: str, prefix: str, host: str, port: int) -> None:
    server = Server.at(url, None)
    assert (server.prefix, server.host, server.port) == (prefix, host, port)
    assert (server.tls is not None) == url.startswith("https")


@pytest.mark.parametrize(
    ("url", "key"), [("ftp://h", None), ("http://", None), ("http://h:x", None), ("http://h", "a\r\nb: c")]
)
def test_what_is_no_address_or_no_key_is_refused(url: str, key: str | None) -> None:
    with pytest.raises(CommandError):
        Server.at(url, key)
