"""Features of pictures that were sent before, by what their files hold. Event loop only; knows no pictures.

The key is the full SHA-256 of a file's bytes: never of pixels, whose shape it would leave out, and never of an id
that the sender chose. A server has one model and one preprocessing, so these need not be part of it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from edgevlm_engines import Floats


class FeatureCache:
    """Least recently used out first, bounded by `max_bytes`; 0 keeps nothing, but equal pictures still share work."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._features: OrderedDict[str, Floats] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[Floats]] = {}

    def find(self, sha256: str) -> Floats | None:
        """The features, if they are there."""
        if sha256 not in self._features:
            return None
        self._features.move_to_end(sha256)
        return self._features[sha256]

    async def get(self, sha256: str, make: Callable[[], Awaitable[Floats]]) -> tuple[Floats, bool]:
        """The features, and whether they were there or on their way already; else they are made.

        What `make` raises goes to everyone who waits for it, and is not kept. Who gives up waiting does not end the
        work of the others.
        """
        known = self.find(sha256)
        if known is not None:
            return known, True
        shared = sha256 in self._under_way
        if not shared:
            task = asyncio.ensure_future(self._make(sha256, make))
            self._under_way[sha256] = task
            task.add_done_callback(lambda done: self._over(sha256, done))
        return await asyncio.shield(self._under_way[sha256]), shared

    async def _make(self, sha256: str, make: Callable[[], Awaitable[Floats]]) -> Floats:
        features = await make()
        features.flags.writeable = False
        self._keep(sha256, features)
        return features

    def _keep(self, sha256: str, features: Floats) -> None:
        if features.nbytes > self._max_bytes:
            return
        self._features[sha256] = features
        self._bytes += features.nbytes
        while self._bytes > self._max_bytes:
            _, oldest = self._features.popitem(last=False)
            self._bytes -= oldest.nbytes

    def _over(self, sha256: str, task: asyncio.Task[Floats]) -> None:
        del self._under_way[sha256]
        if not task.cancelled():
            # nobody may be left to ask for it, and that is no mistake
            task.exception()
