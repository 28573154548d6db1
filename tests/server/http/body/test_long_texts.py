"""Long texts are cut out of a body before it is parsed: what is read is the same as without."""

import json
from typing import Any

import pytest
from edgevlm_server.errors import ApiError
from edgevlm_server.http.body import json_body, long_texts
from edgevlm_server.http.body.json_body import MAX_ESCAPES, MAX_REST, parse_json
from edgevlm_server.http.body.long_texts import LONG, MAX_WIDE, MOST_OF_A_TEXT, TOO_LONG, LongTexts
from edgevlm_server.request import MAX_TEXT
from hypothesis import given
from hypothesis import strategies as st

TEXTS = st.text(st.sampled_from('a"\\/ \n\x7f\0é€\U0001f600\ud800'), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of a few bytes are cut out."""
    monkeypatch.setattr(long_texts, "LONG", 4)


def encoded(value: Any, *, ascii: bool) -> bytes:
    return json.dumps(value, ensure_ascii=ascii).encode("utf-8", "surrogatepass")


def outcome(body: bytes) -> Any:
    try:
        return parse_json(body)
    except ApiError as error:
        return error.code


def plainly(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant, object_pairs_hook=_unique)
    except ValueError:
        return "invalid_json"


def _no_constant(constant: str) -> None:
    raise ValueError(constant)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError
    return dict(pairs)


def has_long_name(value: Any) -> bool:
    if isinstance(value, dict):
        # a byte that is put in may escape a slash, which is the same name in more bytes
        longest = [len(encoded(name, ascii=True).replace(b"/", rb"\/")) for name in value]
        return max(longest, default=0) > 5 or any(map(has_long_name, value.values()))
    return isinstance(value, list) and any(map(has_long_name, value))


@pytest.mark.usefixtures("short")
@given(VALUES, st.booleans())
def test_whatever_is_json_is_read_as_json_is(value: Any, ascii: bool) -> None:
    body = encoded([value], ascii=ascii)
    assert outcome(body) == plainly(body) or has_long_name(value)


@pytest.mark.slow
@pytest.mark.usefixtures("short")
@given(VALUES, st.booleans(), st.data())
def test_whatever_is_not_is_refused_as_it_would_be(value: Any, ascii: bool, data: st.DataObject) -> None:
    """A body with some bytes put in, taken out or changed."""
    body = bytearray(encoded([value], ascii=ascii))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        body[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"", b'"', b"\\", b"NaN", b"-Infinity", b"x", b"\n", b"\xff", b","])
        )
    expected = plainly(bytes(body))
    assert outcome(bytes(body)) in (expected, "invalid_value")
    if outcome(bytes(body)) != expected:
        assert expected == "invalid_json" or has_long_name(expected)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    "body", ['["abcdef", NaN]', '[NaN, "abcdef"]', '[Infinity, "abcdef"]', '["abcdef" "abcdef"]']
)
def test_a_mark_cannot_be_sent(body: str) -> None:
    assert outcome(body.encode()) == "invalid_json"


def test_a_picture_is_never_wide() -> None:
    picture = "A" * 100_000
    text = "\U0001f600" + picture
    read = parse_json(encoded({"emoji": "\U0001f600", "picture": picture, "wide": text}, ascii=False))
    assert read == {"emoji": "\U0001f600", "picture": picture, "wide": TOO_LONG}
    assert len(LongTexts(encoded([text], ascii=False)).rest) < 100


def test_a_wide_text_that_fits_is_kept_and_many_are_not() -> None:
    text = "é" * MAX_TEXT
    many = [text] * (MAX_WIDE // MAX_TEXT + 1)
    assert parse_json(encoded(many, ascii=False)) == [*many[:-1], TOO_LONG]
    assert parse_json(encoded([text + "é"], ascii=True)) == [TOO_LONG]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"' + b"x" * LONG + b'": 1}', "invalid_value"),
        (b'["' + b"x" * MOST_OF_A_TEXT + "\U0001f600".encode() + b'"]', "invalid_value"),
        (b'["' + b"x" * MOST_OF_A_TEXT + b'\\ud83d\\ude00"]', "invalid_value"),
        (b'["' + b"\\n" * (MAX_ESCAPES + 10_000) + b'"]', "too_many_values"),
        (b'["' + b'","'.join([b"x" * (LONG - 1)] * (MAX_REST // LONG + 2)) + b'"]', "request_too_large"),
        (b'[""' + b'""' * 100_000, "invalid_json"),
    ],
)
def test_what_would_be_dear_is_refused(body: bytes, code: str) -> None:
    assert outcome(body) == code


def test_base64_with_every_escape_that_writers_use_is_read() -> None:
    line = "A" * 62 + "/+AAAAAAAAAA"
    lines = ("\r\n".join([line] * 20_000)).replace("/", "\\/").replace("+", "\\u002b")
    body = f'["{lines}"]'.replace("\r", "\\r").replace("\n", "\\n").encode()
    assert parse_json(body) == json.loads(body)
    assert body.count(b"\\") > json_body.MAX_ESCAPES
