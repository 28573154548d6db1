"""Forms as clients write them are read byte for byte; what is no form is refused, whatever it is."""

import base64
from collections.abc import Callable

import pytest
from edgevlm_server.errors import InvalidRequest
from edgevlm_server.http.body.multipart import MAX_FIELDS, FormField, parse_form
from hypothesis import given
from hypothesis import strategies as st

TYPE = "multipart/form-data; boundary=XX"
TEXT = b'Content-Disposition: form-data; name="question"'


def form(*parts: bytes, end: bytes = b"--XX--\r\n") -> bytes:
    return b"".join(b"--XX\r\n" + part + b"\r\n" for part in parts) + end


def part(content: bytes, head: bytes = TEXT) -> bytes:
    return head + b"\r\n\r\n" + content


contents = st.binary(max_size=200).filter(lambda content: b"\r\n--XX" not in b"\r\n" + content + b"\r\n")


@given(st.lists(contents, max_size=5))
def test_contents_come_out_as_they_went_in(sent: list[bytes]) -> None:
    assert [field.content for field in parse_form(form(*map(part, sent)), TYPE)] == sent


def test_lines_may_end_in_line_feeds_alone() -> None:
    picture = b"\x89PNG\r\n\x1a\n\r\n\r"
    sent = form(part(picture), part(b"a", b"Content-Type: text/plain\r\n" + TEXT), part(b""))
    body = sent.replace(picture, b"?").replace(b"\r\n", b"\n").replace(b"?", picture)
    for given_body in (body, b"preamble\n" + body, body.replace(b"--XX\n", b"--XX \n"), body.rstrip(b"\n")):
        assert [field.content for field in parse_form(given_body, TYPE)] == [picture, b"a", b""]


def test_lines_of_one_form_end_alike() -> None:
    """A picture may hold any bytes, so only one kind of line ends it."""
    content = b"a\n--XX\n" + TEXT + b"\n\nb"
    assert [field.content for field in parse_form(form(part(content)), TYPE)] == [content]
    with pytest.raises(InvalidRequest, match="no headers"):
        parse_form(form(part(b"a")).replace(b"--XX\r\n", b"--XX\n").replace(b"a\r\n", b"a\n"), TYPE)


@pytest.mark.parametrize("encode", [base64.b64encode, base64.encodebytes])
def test_contents_may_be_base64(encode: Callable[[bytes], bytes]) -> None:
    content = bytes(range(256))
    sent = part(encode(content).replace(b"\n", b"\r\n"), TEXT + b"\r\nContent-Transfer-Encoding: BASE64")
    assert [field.content for field in parse_form(form(sent, part(b"YQ==")), TYPE)] == [content, b"YQ=="]


@pytest.mark.parametrize(
    ("encoding", "content", "reason"),
    [
        (b"base64", b"\x89PNG", "says that it is base64, which it is not"),
        (b"base64", b"YQ=", "says that it is base64, which it is not"),
        (b"quoted-printable", b"a=3D", "Content-Transfer-Encoding other than binary, 7bit, 8bit and base64"),
        (b"", b"a", "Content-Transfer-Encoding other than"),
    ],
)
def test_what_cannot_be_decoded_is_named(encoding: bytes, content: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        parse_form(form(part(content, TEXT + b"\r\nContent-Transfer-Encoding: " + encoding)), TYPE)


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_a_form_or_refused(body: bytes) -> None:
    for given_body in (body, b"--XX\r\n" + body, b"--XX\n" + body, form(part(b"a")) + body, form(body)):
        try:
            assert all(isinstance(field, FormField) for field in parse_form(given_body, TYPE))
        except InvalidRequest as error:
            assert error.code == "invalid_form"


@pytest.mark.parametrize(
    ("head", "name", "file_name"),
    [
        (TEXT, "question", None),
        (b"content-disposition:form-data;name=question", "question", None),
        (b'CONTENT-DISPOSITION: Form-Data; NAME="question"; FileName="A.JPG"', "question", "A.JPG"),
        (b'Content-Disposition: form-data; name = "question";', "question", None),
        (b'Content-Disposition: form-data; name="image"; filename="a;b \xc3\xa9.jpg"', "image", "a;b \u00e9.jpg"),
        (b'Content-Disposition: form-data; name="image"; filename="a\\"b.jpg"', "image", 'a"b.jpg'),
        (b'Content-Disposition: form-data; name="image"; filename="C:\\dir\\x.jpg"', "image", "C:\\dir\\x.jpg"),
        (b'Content-Disposition: form-data; name="image"; filename=""', "image", ""),
        (b"Content-Disposition: form-data; name=\"image\"; filename*=UTF-8''a.jpg", "image", "UTF-8''a.jpg"),
        (b"Content-Type: text/plain; charset=utf-8\r\n" + TEXT, "question", None),
        (TEXT + b"\r\nCONTENT-TRANSFER-ENCODING: Binary", "question", None),
        (TEXT + b"\r\nContent-Transfer-Encoding: 8bit", "question", None),
        (b'Content-Disposition: form-data; name=""', "", None),
    ],
)
def test_heads_that_clients_write(head: bytes, name: str, file_name: str | None) -> None:
    [found] = parse_form(form(part(b"content", head)), TYPE)
    assert found == FormField(name, b"content", file_name)


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Type: text/plain",
        b"Content-Disposition: attachment; name=question",
        b"Content-Disposition: form-data",
        b'Content-Disposition: form-data; filename="x"',
        b'Content-Disposition: form-data; name="a"b"',
        TEXT + b"\r\nno colon",
        TEXT + b"\r\nX: " + b"a" * 1024,
    ],
)
def test_heads_that_are_none_are_refused(head: bytes) -> None:
    with pytest.raises(InvalidRequest, match="not a form"):
        parse_form(form(part(b"content", head)), TYPE)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"question=hello",
        form(part(b"a"), end=b""),
        form(part(b"a"), end=b"--XX"),
        form(TEXT),
        b"--XX" + TEXT + b"\r\n\r\na\r\n--XX--",
        form(*[part(b"a")] * (MAX_FIELDS + 1)),
    ],
)
def test_bodies_that_are_none_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="not a form"):
        parse_form(body, TYPE)


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "a" * 71,
        'multipart/form-data; boundary="a\u00e9"',
        "multipart/form-data; charset=utf-8",
    ],
)
def test_without_a_boundary_there_is_no_form(content_type: str) -> None:
    with pytest.raises(InvalidRequest, match="names no boundary"):
        parse_form(form(part(b"a")), content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        'multipart/form-data; boundary="XX"',
        "multipart/form-data; charset=utf-8; BOUNDARY=XX",
        "multipart/form-data;boundary=XX; charset=utf-8",
        "Multipart/Form-Data; Boundary = XX ;",
    ],
)
def test_ways_to_name_a_boundary(content_type: str) -> None:
    assert [field.content for field in parse_form(form(part(b"a")), content_type)] == [b"a"]


@pytest.mark.parametrize(
    ("written", "boundary"),
    [
        ("----------------------------8d9f1c2b3a4", "----------------------------8d9f1c2b3a4"),
        ("{5e1f-uuid}", "{5e1f-uuid}"),
        ('"5e1f/uuid"', "5e1f/uuid"),
        ('"a b"', "a b"),
        ("===============123==", "===============123=="),
        ("_Part_(1)*$%&@!", "_Part_(1)*$%&@!"),
    ],
)
def test_boundaries_that_old_clients_write(written: str, boundary: str) -> None:
    body = form(part(b"a")).replace(b"--XX", b"--" + boundary.encode())
    assert [field.content for field in parse_form(body, f"multipart/form-data; boundary={written}")] == [b"a"]


def test_what_stands_before_the_first_and_after_the_last_mark_is_nothing() -> None:
    body = b"preamble\r\n" + form(part(b"a")) + b"epilogue"
    assert [field.content for field in parse_form(body, TYPE)] == [b"a"]
    assert parse_form(b"--XX--", TYPE) == []
    assert [field.content for field in parse_form(body.replace(b"--XX\r\n", b"--XX \t\r\n"), TYPE)] == [b"a"]
