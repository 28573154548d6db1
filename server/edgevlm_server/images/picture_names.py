"""What each client calls the pictures that it sent. Knows names and digests, no pictures and no HTTP.

A name leads to the SHA-256 of a file, never to features: whether these are still kept is for the feature cache to
say. A client that gives a picture a name twice means the newer one. Event loop only.
"""

from collections import OrderedDict

MOST_NAMES = 1024
"""Names that are kept of one client; the number of clients is the number of keys."""


class PictureNames:
    """Each client's names on their own; of one client, the name used longest ago goes first."""

    def __init__(self, most: int = MOST_NAMES) -> None:
        self._most = most
        self._files: dict[str | None, OrderedDict[str, str]] = {}

    def put(self, client: str | None, name: str, sha256: str) -> None:
        """From now on the client's name means this file. `None` is the one client of a server without keys."""
        names = self._files.setdefault(client, OrderedDict())
        names[name] = sha256
        names.move_to_end(name)
        if len(names) > self._most:
            names.popitem(last=False)

    def get(self, client: str | None, name: str) -> str | None:
        """The file that the client means, if the name is known."""
        names = self._files.get(client)
        if names is None or name not in names:
            return None
        names.move_to_end(name)
        return names[name]

    def drop(self, client: str | None, name: str) -> None:
        """Forget a name, if it is known."""
        self._files.get(client, OrderedDict()).pop(name, None)
