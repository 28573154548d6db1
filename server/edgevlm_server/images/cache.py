"""Pictures that were sent before: features by what a file holds, names by client. Event loop only; no pictures here.

The key is the full SHA-256 of a file's bytes, or of that and a region: never of pixels, whose shape it would leave
out, and never of an id that the sender chose. A server has one model and one preprocessing, so these need not be part
of it.
"""

import asyncio
import hashlib
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from edgevlm_engines import Floats

from edgevlm_server.errors import MakeError
from edgevlm_server.images.region import Region

MOST_NAMES = 1024
"""Names that are kept of one client; the number of clients is the number of keys."""


def part_digest(sha256: str, region: Region | None) -> str:
    """What a part of a file is known by, in hexadecimal: all of it by the file's own SHA-256."""
    return sha256 if region is None else hashlib.sha256(bytes.fromhex(sha256) + str(region).encode()).hexdigest()


@dataclass(slots=True)
class _Work:
    """Features on their way, and how many wait for them."""

    task: asyncio.Task[Floats | MakeError]
    waiting: int = 0


class _Kept(NamedTuple):
    """Features, and the client who was the first to send their file."""

    features: Floats
    client: str


class FeatureCache:
    """Least recently used out first, bounded by `max_bytes`; 0 keeps nothing, but equal pictures still share work.

    Of the pictures that one client was the first to send, `most_of_one` are kept; `None` is no limit.
    """

    def __init__(self, max_bytes: int, most_of_one: int | None = None) -> None:
        self._max_bytes = max_bytes
        self._most_of_one = most_of_one
        self.bytes = 0
        """Memory that is taken."""
        self.evicted = 0
        """Pictures whose features gave way to others'."""
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._counts: Counter[str] = Counter()
        """Of what is kept, by client."""
        self._under_way: dict[str, _Work] = {}

    def find(self, digest: str) -> Floats | None:
        """The features, if they are there."""
        if digest not in self._kept:
            return None
        self._kept.move_to_end(digest)
        return self._kept[digest].features

    async def get(
        self, digest: str, make: Callable[[], Awaitable[Floats | MakeError]], client: str = ""
    ) -> tuple[Floats, bool]:
        """The features, and whether they were there or on their way already; else they are made for the client.

        A refusal that `make` returns is raised for everyone who waits, and not kept. Who gives up waiting does not
        end the work of the others; the last one does.
        """
        known = self.find(digest)
        if known is not None:
            return known, True
        shared = digest in self._under_way
        work = self._under_way[digest] if shared else self._begin(digest, make, client)
        work.waiting += 1
        try:
            made = await asyncio.shield(work.task)
        finally:
            work.waiting -= 1
            if not work.waiting and not work.task.done():
                # a newcomer must not join what is being given up
                del self._under_way[digest]
                work.task.cancel()
        if callable(made):
            raise made()
        return made, shared

    def _begin(self, digest: str, make: Callable[[], Awaitable[Floats | MakeError]], client: str) -> _Work:
        work = self._under_way[digest] = _Work(asyncio.ensure_future(self._make(digest, make, client)))
        work.task.add_done_callback(lambda done: self._over(digest, work))
        return work

    async def _make(
        self, digest: str, make: Callable[[], Awaitable[Floats | MakeError]], client: str
    ) -> Floats | MakeError:
        made = await make()
        if not callable(made):
            made.flags.writeable = False
            self._keep(digest, _Kept(made, client))
        return made

    def _keep(self, digest: str, new: _Kept) -> None:
        if new.features.nbytes > self._max_bytes:
            return
        self._kept[digest] = new
        self.bytes += new.features.nbytes
        self._counts[new.client] += 1
        if self._most_of_one is not None and self._counts[new.client] > self._most_of_one:
            self._drop(next(name for name, kept in self._kept.items() if kept.client == new.client))
        while self.bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, digest: str) -> None:
        dropped = self._kept.pop(digest)
        self.evicted += 1
        self.bytes -= dropped.features.nbytes
        self._counts[dropped.client] -= 1
        if not self._counts[dropped.client]:
            del self._counts[dropped.client]

    def _over(self, digest: str, work: _Work) -> None:
        if self._under_way.get(digest) is work:
            del self._under_way[digest]
        if not work.task.cancelled():
            # nobody may be left to ask for it, and that is no mistake
            work.task.exception()


class PictureNames:
    """What each client calls the pictures that it sent; of one client, the name used longest ago goes first.

    A name leads to the SHA-256 of a file, never to features: whether these are still kept is for the feature cache
    to say. A client that gives a name twice means the newer picture.
    """

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
