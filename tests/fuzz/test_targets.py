"""Every reader with every file of its corpus, with those files damaged, and with bytes of no kind at all."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import CORPUS
from tests.fuzz.targets import TARGETS

FILES = {name: [path.read_bytes() for path in sorted((CORPUS / name).iterdir())] for name in TARGETS}


def test_every_target_has_a_corpus_and_every_corpus_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert all(FILES.values())


@pytest.mark.parametrize(
    "path", [path for name in TARGETS for path in sorted((CORPUS / name).iterdir())], ids=lambda path: path.name
)
def test_what_is_kept_is_read_or_refused(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


@st.composite
def damaged(draw: st.DrawFn, name: str) -> bytes:
    """A file of the corpus in which pieces are changed, left out, doubled, or taken from another file."""
    data = draw(st.sampled_from(FILES[name]))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.integers(0, 24)))
        other = draw(st.sampled_from(FILES[name]))
        at = draw(st.integers(0, max(0, len(other) - 24)))
        pieces = [b"", data[start:stop] * 2, other[at : at + 24], draw(st.binary(max_size=12))]
        data = data[:start] + draw(st.sampled_from(pieces)) + data[stop:]
    return data


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_are_read_or_refused(name: str) -> None:
    @settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
    @given(data=damaged(name))
    def check(data: bytes) -> None:
        TARGETS[name](data)

    check()


@pytest.mark.parametrize("name", TARGETS)
def test_bytes_of_no_kind_are_read_or_refused(name: str) -> None:
    @settings(max_examples=60)
    @given(data=st.binary(max_size=200))
    def check(data: bytes) -> None:
        TARGETS[name](data)

    check()
