"""Server-sent events out of the bytes of a stream, however the network cut them. Knows no HTTP."""

import re

_LINE_END = re.compile(rb"\r\n|\n|\r")


class EventParser:
    """Fed with pieces of a stream, it gives the `data` of each event as soon as the event is complete."""

    def __init__(self) -> None:
        self._begun = b""
        """A line whose end has not come yet."""
        self._after_return = False
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> list[str]:
        """The events that end in this piece. Comments and fields other than `data` are left out."""
        if not piece:
            return []
        # a line that ends with CR is complete at once; a LF that follows later belongs to it
        rest = piece.removeprefix(b"\n") if self._after_return else piece
        self._after_return = piece.endswith(b"\r")
        *lines, self._begun = _LINE_END.split(self._begun + rest)
        return [event for line in lines if (event := self._take(line)) is not None]

    def _take(self, line: bytes) -> str | None:
        if line:
            name, _, value = line.partition(b":")
            if name == b"data":
                self._data.append(value.removeprefix(b" "))
            return None
        data, self._data = self._data, []
        return b"\n".join(data).decode("utf-8", "replace") if data else None
