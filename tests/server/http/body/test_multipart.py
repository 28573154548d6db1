"""Forms as clients write them are read byte for byte; what is no form is refused, whatever it is."""

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


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_a_form_or_refused(body: bytes) -> None:
    for given_body in (body, b"--XX\r\n" + body, form(part(b"a")) + body, form(body)):
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
        TEXT + b"\r\nContent-Transfer-Encoding: base64",
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
