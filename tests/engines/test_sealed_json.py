"""JSON with its own digest: it is read as it was written, and not with one bit changed."""

import json

import pytest
from edgevlm_engines.sealed_json import SealError, SealMissing, sealed, unsealed
from hypothesis import given
from hypothesis import strategies as st

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.text(), VALUES, min_size=1, max_size=4)


@given(OBJECTS, st.sampled_from([None, 2]))
def test_what_is_written_is_read(content: dict[str, object], indent: int | None) -> None:
    text = sealed(json.dumps(content, indent=indent))
    assert json.loads(unsealed(text)) == content
    assert {**json.loads(text), "sha256": None} == {**content, "sha256": None}


@given(OBJECTS, st.data())
def test_one_changed_bit_is_found(content: dict[str, object], data: st.DataObject) -> None:
    text = bytearray(sealed(json.dumps(content)))
    bit = data.draw(st.integers(0, 8 * len(text) - 1))
    text[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealError):
        unsealed(bytes(text))


@given(st.binary(max_size=300))
def test_whatever_else_is_no_sealed_text(text: bytes) -> None:
    with pytest.raises(SealMissing):
        unsealed(text)


@given(OBJECTS, st.integers(1, 200))
def test_what_is_cut_off_or_longer_is_found(content: dict[str, object], count: int) -> None:
    text = sealed(json.dumps(content))
    for changed in (text[:-count], text[count:], text + b" " * count):
        with pytest.raises(SealError):
            unsealed(changed)
