"""Keys and values of prompts that were computed before, so that a beginning they share is computed once.

A tree: an entry holds the positions that it adds behind its parent, copied out of a row; another prompt that begins
alike gets them copied into its own. Positions are counted in blocks. A block's name is a SHA-256 over all that stands
up to its end, tokens and pictures' files: never over an id that a sender chose. Owned by the engine's thread.
"""

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Sequence as Series
from dataclasses import dataclass

import numpy as np
from edgevlm_engines import IMAGE_TOKEN, MIN_CHUNK, Engine, Segment, Tokens

from edgevlm_server.sequence import Sequence

log = logging.getLogger(__name__)

BLOCK = 8
"""Positions: a multiple of every engine's `row_multiple`, small beside the image that a question usually shares."""


@dataclass(slots=True, eq=False)
class _Entry:
    """`names` are those of the blocks in `segment`. `parent` holds what comes before; it may be longer than that."""

    parent: "_Entry | None"
    names: list[bytes]
    segment: Segment
    children: int = 0


class PrefixCache:
    """Bounded by `max_bytes`; least recently used out first, but nothing that others stand on. 0 keeps nothing."""

    def __init__(self, engine: Engine, max_bytes: int) -> None:
        self._engine = engine
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[_Entry, None] = OrderedDict()  # in the order of use
        self._owner: dict[bytes, _Entry] = {}

    def restore(self, sequence: Sequence) -> int:
        """Copy what is known of a sequence's prompt into its row; the number of positions, which need no prefill."""
        names = self._names(sequence.prompt, sequence.images)
        # something must be left to compute the next token from
        entry, count = self._longest(names[: (len(sequence.prompt) - MIN_CHUNK) // BLOCK])
        end, pieces = count * BLOCK, []
        while entry is not None:
            pieces.append((entry.segment, end - entry.segment.start))
            end, entry = entry.segment.start, entry.parent
        for segment, length in reversed(pieces):
            self._engine.restore(sequence.row, segment, length)
        return count * BLOCK

    def keep(self, sequence: Sequence) -> None:
        """Copy what a sequence's row holds and is not yet known."""
        tokens = np.append(sequence.prompt, np.array(sequence.generated, np.int64))[: sequence.cached]
        names = self._names(tokens, sequence.images)
        parent, known = self._longest(names)
        size = (len(names) - known) * BLOCK * self._engine.info.position_bytes
        if not size:
            return
        if parent is not None:
            parent.children += 1
        if self._make_room(size):
            try:
                segment = self._engine.save(sequence.row, known * BLOCK, len(names) * BLOCK)
            except MemoryError:
                log.warning("There is no memory left for prompts that were computed before.")
            else:
                self._add(_Entry(parent, names[known:], segment))
                return
        if parent is not None:
            parent.children -= 1

    def clear(self) -> None:
        """Give all memory back. The engine must not have failed."""
        for entry in self._entries:
            entry.segment.free()
        self._entries.clear()
        self._owner.clear()
        self._bytes = 0

    def _names(self, tokens: Tokens, images: Series[str]) -> list[bytes]:
        return block_names(tokens, images, self._engine.info.image_tokens)

    def _longest(self, names: Series[bytes]) -> tuple[_Entry | None, int]:
        """The entry that holds the last block known, and how many blocks are known; all on the way count as used."""
        count = next((n for n in range(len(names), 0, -1) if names[n - 1] in self._owner), 0)
        found = entry = self._owner[names[count - 1]] if count else None
        while entry is not None:
            self._entries.move_to_end(entry)
            entry = entry.parent
        return found, count

    def _make_room(self, size: int) -> bool:
        """Let go of what was used longest ago until `size` more bytes fit; false if they never will."""
        if size > self._max_bytes:
            return False
        while self._bytes + size > self._max_bytes:
            oldest = next((entry for entry in self._entries if not entry.children), None)
            if oldest is None:
                return False
            self._drop(oldest)
        return True

    def _add(self, entry: _Entry) -> None:
        self._entries[entry] = None
        self._owner.update(dict.fromkeys(entry.names, entry))
        self._bytes += entry.segment.nbytes

    def _drop(self, entry: _Entry) -> None:
        del self._entries[entry]
        for name in entry.names:
            del self._owner[name]
        self._bytes -= entry.segment.nbytes
        if entry.parent is not None:
            entry.parent.children -= 1
        entry.segment.free()


def block_names(tokens: Tokens, images: Series[str], image_tokens: int) -> list[bytes]:
    """One name for each whole block. `images` are the files' SHA-256 in hexadecimal, in the order of their positions.

    An image takes `image_tokens` positions, all of them marked alike; what it shows is named where it begins.
    """
    begins = np.flatnonzero(tokens == IMAGE_TOKEN)[::image_tokens].tolist()
    # the end of a prompt may be cut off, and images with it
    pictures = {begin: bytes.fromhex(sha256) for begin, sha256 in zip(begins, images, strict=False)}
    chain = hashlib.sha256()
    names = []
    for start in range(0, len(tokens) - BLOCK + 1, BLOCK):
        chain.update(tokens[start : start + BLOCK].tobytes())
        for place in range(start, start + BLOCK):
            chain.update(pictures.get(place, b""))
        names.append(chain.digest())
    return names
