"""One function for each reader: from any bytes to nothing, or to an error that is a bug.

Errors that belong to a reader are swallowed here; whatever else comes out is what fuzzing is for.
"""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edgevlm_engines import BundleError
from edgevlm_engines.bundle import read_manifest
from edgevlm_engines.sealed_json import sealed
from edgevlm_export.checkpoint.pickle_reader import read_torch_file
from edgevlm_export.checkpoint.safetensors_reader import read_safetensors
from edgevlm_export.checkpoint.tensor_pickle import read_table
from edgevlm_export.errors import CheckpointError
from edgevlm_server.api.ask import AskForm
from edgevlm_server.api.chat import ChatRequest
from edgevlm_server.api.responses import ResponsesRequest
from edgevlm_server.api.strict import invalid
from edgevlm_server.errors import ApiError
from edgevlm_server.http.body.ask_form import form_values
from edgevlm_server.http.body.json_body import parse_json
from edgevlm_server.http.body.multipart import parse_form
from edgevlm_server.images.formats.header import read_header
from edgevlm_server.images.formats.limits import ImageError, ImageLimits
from edgevlm_server.images.hosts import read_url
from edgevlm_server.images.intake import image_bytes
from edgevlm_server.images.region import Region, RegionError
from pydantic import ValidationError

from edgevlm.bench.events import EventParser

LIMITS = ImageLimits(formats=("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF"))
BOUNDARY = "multipart/form-data; boundary=XX"


def chat(data: bytes) -> None:
    """A body of a chat request."""
    _checked(data, ChatRequest)


def responses(data: bytes) -> None:
    """A body of OpenAI's newer route."""
    _checked(data, ResponsesRequest)


def form(data: bytes) -> None:
    """A form of `/ask`."""
    try:
        AskForm.model_validate(form_values(parse_form(data, BOUNDARY)))
    except ValidationError as error:
        invalid(error)
    except ApiError:
        pass


def picture_url(data: bytes) -> None:
    """The text of an `image_url`; whole pictures go on to the next reader."""
    text = data.decode("utf-8", "surrogatepass") if _is_text(data) else data.decode("latin-1")
    read_url(text)
    with suppress(ImageError):
        picture(image_bytes(text, LIMITS))


def picture(data: bytes) -> None:
    """A picture's header, in every format."""
    try:
        header = read_header(data, LIMITS)
    except ImageError:
        return
    assert 0 < header.width * header.height <= LIMITS.most_pixels(header.format)


def region(data: bytes) -> None:
    """Lines for a crop, a turn and corners, each alone and all together; what is read is written and read again."""
    crop, rotate, deskew, *_ = [*data.decode("utf-8", "replace").split("\n"), "", "", ""]
    for fields in ((crop, None, None), (None, rotate, None), (None, None, deskew), (crop, rotate, deskew)):
        with suppress(RegionError):
            read = Region.parse(*fields)
            assert Region.read("" if read is None else str(read)) == read


def events(data: bytes) -> None:
    """A stream of events, which is the same however the network cuts it."""
    whole, pieces = EventParser(), EventParser()
    expected = whole.feed(data)
    assert [event for index in range(len(data)) for event in pieces.feed(data[index : index + 1])] == expected


def safetensors(data: bytes) -> None:
    """A file of weights."""
    with suppress(CheckpointError):
        for tensor in read_safetensors(_file(data, "fuzzed.safetensors")):
            tensor.read()


def torch_archive(data: bytes) -> None:
    """A file as torch writes it."""
    with suppress(CheckpointError):
        for tensor in read_torch_file(_file(data, "fuzzed.bin")):
            tensor.read()


def pickle(data: bytes) -> None:
    """The program within such a file."""
    with suppress(CheckpointError):
        read_table(data, Path("fuzzed.bin"))


def manifest(data: bytes) -> None:
    """A bundle's manifest with its digest put right, which else would end every try."""
    text = sealed(data.decode("utf-8", "replace"))
    folder = _file(text, "fuzzed/manifest.json").parent
    with suppress(BundleError):
        read_manifest(folder)


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        *(chat, responses, form, picture_url, picture, region, events),
        *(safetensors, torch_archive, pickle, manifest),
    )
}


def _checked(data: bytes, model: type[ChatRequest] | type[ResponsesRequest]) -> None:
    try:
        model.model_validate(parse_json(data))
    except ValidationError as error:
        # the sentence that the client gets must be found, too
        invalid(error)
    except ApiError:
        pass


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _file(data: bytes, name: str) -> Path:
    """In a folder of this process's own."""
    path = Path(_folder.name) / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


_folder = tempfile.TemporaryDirectory(prefix="fuzz-")
