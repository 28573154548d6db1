"""Server-sent events, however the network cut them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevlm.bench.events import EventParser

LINES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12)
EVENTS = st.lists(st.lists(LINES, min_size=1, max_size=3), max_size=5)


@pytest.mark.slow
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
