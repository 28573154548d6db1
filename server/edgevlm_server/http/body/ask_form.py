"""The fields of `/ask`, as people send them, to the values of its model. Knows no HTTP and no multipart."""

from typing import Any

from edgevlm_server.errors import InvalidRequest
from edgevlm_server.http.body.json_body import parse_json
from edgevlm_server.http.body.multipart import FormField, invalid_form

TEXTS = (
    *("question", "system", "max_tokens", "min_confidence", "model"),
    *("fields", "station", "crop", "rotate", "deskew"),
)
"""Fields that are texts, even where they are sent as files. Any other file is a picture, whatever its name is."""
PICTURES = ("image", "image[]", "images", "images[]", "file", "file[]", "files", "files[]", "picture", "photo")
"""Fields whose contents can only be meant as pictures."""
LONGEST_PATH = 4096


def form_values(fields: list[FormField]) -> dict[str, Any]:
    """Values as the form of `/ask` takes them. Raises `InvalidRequest` for a field that is there twice."""
    values: dict[str, Any] = {"image": [_picture(field) for field in fields if _is_picture(field)]}
    for field in fields:
        if _is_picture(field) or _is_nothing(field):
            continue
        if field.name in values:
            raise InvalidRequest("A field other than 'image' appears more than once.", code="invalid_form")
        values[field.name] = _value(field)
    return values


def _is_nothing(field: FormField) -> bool:
    """What a browser sends for a file that was not chosen."""
    return field.file_name == "" and not field.content


def _is_picture(field: FormField) -> bool:
    is_file = field.file_name is not None and field.name not in TEXTS
    return (is_file or field.name in PICTURES) and not _is_nothing(field)


def _picture(field: FormField) -> bytes:
    """The file. Raises `InvalidRequest` for one that is empty, or where there is its path instead."""
    if field.content and (field.file_name is not None or not _is_path(field.content)):
        return field.content
    name = field.name if field.name in PICTURES else "image"
    reason = "holds a text and no file" if field.content else "is empty"
    raise InvalidRequest(
        f"The field '{name}' {reason}: with curl, a picture is sent as -F {name}=@part.jpg.",
        code="invalid_value",
        param="image",
    )


def _is_path(content: bytes) -> bool:
    """No picture is so short and all text."""
    try:
        return len(content) <= LONGEST_PATH and content.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False


def _value(field: FormField) -> Any:
    if field.name == "fields":
        return _json(field)
    text = _text(field)
    # `0x10`, `1_000` and the like stay texts, which are no numbers for the model
    number = text.isascii() and text.isdecimal() and len(text) < 10
    return int(text) if field.name == "max_tokens" and number else text


def _json(field: FormField) -> Any:
    """As strict and bounded as a body that is JSON."""
    try:
        return parse_json(field.content)
    except InvalidRequest as error:
        message = f"{field.name}: {error.message.replace('The body', 'The text')}"
        raise InvalidRequest(message, code=error.code, param=field.name) from None


def _text(field: FormField) -> str:
    try:
        return field.content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise invalid_form("a text in it is not UTF-8, but perhaps Latin-1 (ISO 8859-1)") from None
