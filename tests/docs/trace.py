"""Which of the server's files a request passes: what runs between its first byte and its last event, in any thread.

`python -m tests.docs.trace` prints them for a streamed chat request on the echo engine, about text and about a
picture. What other processes run, such as the one that decodes pictures, is not seen.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from edgevlm_export.exporter import export_bundle

from tests.boundaries.walls import ROOMS
from tests.conftest import GOLDEN
from tests.live import LiveServer, sse
from tests.pictures import data_url, image_part, text_part, user

SERVER = ROOMS["edgevlm_server"]


class Trace:
    """Follows every thread that is started while it is entered; notes files only inside `recording`."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self._recording = False

    @contextmanager
    def entered(self) -> Iterator[None]:
        threading.setprofile(self._called)
        try:
            yield
        finally:
            threading.setprofile(None)

    @contextmanager
    def recording(self) -> Iterator[None]:
        self.files.clear()
        self._recording = True
        try:
            yield
        finally:
            self._recording = False

    def passed(self) -> set[str]:
        """The server's files among those noted, relative to its package."""
        paths = [Path(file) for file in self.files]
        return {path.relative_to(SERVER).as_posix() for path in paths if path.is_relative_to(SERVER)}

    def _called(self, frame: FrameType, event: str, argument: object) -> None:
        if self._recording and event == "call":
            self.files.add(frame.f_code.co_filename)


def text_request(number: int) -> dict[str, Any]:
    return _chat(f"Say {number}.")


def picture_request(number: int) -> dict[str, Any]:
    """About a picture that no other number has."""
    return _chat(user(image_part(data_url((number, 30, 30))), text_part())[0]["content"])


def files_passed(bundle: Path, request: Callable[[int], dict[str, Any]]) -> set[str]:
    """The server's files that the second of two requests passes: what is imported or built once is not its own."""
    trace = Trace()
    with trace.entered(), LiveServer.on_bundle(bundle, engine="echo") as server:
        _ask(server, request(1))
        with trace.recording():
            _ask(server, request(2))
    return trace.passed()


def _chat(content: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}], "max_tokens": 8, "stream": True}


def _ask(server: LiveServer, body: dict[str, Any]) -> None:
    with server.client.stream("POST", "/v1/chat/completions", json=body) as response:
        assert response.status_code == 200
        assert list(sse(response))[-1] == "[DONE]"


def main() -> None:
    with TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        export_bundle(GOLDEN / "v2/checkpoint", bundle, vision_tower=GOLDEN / "v2/clip", name="v2")
        text, picture = files_passed(bundle, text_request), files_passed(bundle, picture_request)
    print("text", len(text), *sorted(text), sep="\n  ")
    print("with a picture", len(picture), *sorted(picture - text), sep="\n  ")


if __name__ == "__main__":
    main()
