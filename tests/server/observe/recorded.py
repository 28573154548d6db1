"""Records of a live server's requests, as its readers get them."""

from edgevlm_server.observe.record import RequestRecord

from tests.live import LiveServer
from tests.server.engines import until


class Records:
    """Of the requests that end from now on."""

    def __init__(self, server: LiveServer) -> None:
        self._read: list[RequestRecord] = []
        server.service.readers.add(self._read.append)

    def next(self) -> RequestRecord:
        """The one that follows those taken before: an answer may be there before its record is."""
        until(lambda: self._read, "a record")
        return self._read.pop(0)
