"""Keys and values of prompts that were computed before, so that a beginning they share is computed once.

A prompt is cut into chunks in the same places whatever is known of it already, so a copied one holds the very bits
that computing it would give. A chunk's name is a SHA-256 over all that stands up to its end, tokens and pictures'
files: never over an id that a sender chose. Answers are not kept, because decoding may round differently; as part of
a later prompt they are. Owned by the engine's thread.
"""

import hashlib
import logging
from collections import OrderedDict, abc
from typing import NamedTuple

import numpy as np
from edgevlm_engines import IMAGE_TOKEN, Engine, Segment, Tokens

from edgevlm_server.runtime.sequence import Sequence, chunk_ends

log = logging.getLogger(__name__)


class Chunk(NamedTuple):
    """A stretch of a prompt, named by all that stands up to its end."""

    name: bytes
    start: int
    end: int


class PrefixCache:
    """Bounded by `max_bytes`, least recently used out first; 0 keeps nothing.

    A chunk is used whenever one behind it is, and a little later: so the oldest has none behind it any more.
    """

    def __init__(self, engine: Engine, max_bytes: int) -> None:
        self._engine = engine
        self._most = max_bytes // engine.info.position_bytes
        self._held = 0  # positions, as the limit
        self._segments: OrderedDict[bytes, Segment] = OrderedDict()  # in the order of use
        self.evicted = 0
        """Segments that gave way to others."""

    @property
    def bytes(self) -> int:
        """Memory that is taken; may be asked in any thread."""
        return self._held * self._engine.info.position_bytes

    def restore(self, sequence: Sequence) -> int:
        """Copy what is known of a sequence's prompt into its slot; the number of positions, which need no prefill."""
        known: list[Chunk] = []
        for chunk in self._chunks(sequence):
            # something must be left to compute the next token from
            if chunk.name not in self._segments or chunk.end == len(sequence.prompt):
                break
            self._engine.restore(sequence.slot, self._segments[chunk.name], chunk.end - chunk.start)
            known.append(chunk)
        self._use(known)
        return known[-1].end if known else 0

    def keep(self, sequence: Sequence) -> None:
        """Copy what is not yet known of a prompt that has just been computed."""
        chunks = [chunk for chunk in self._chunks(sequence) if chunk.end <= self._most]
        self._use([chunk for chunk in chunks if chunk.name in self._segments])
        for index, chunk in enumerate(chunks):
            if chunk.name in self._segments:
                continue
            self._make_room(chunk.end - chunk.start)
            try:
                self._segments[chunk.name] = self._engine.save(sequence.slot, chunk.start, chunk.end)
            except MemoryError:
                log.warning("There is no memory left for prompts that were computed before.")
                chunks = chunks[:index]
                break
            self._held += chunk.end - chunk.start
        self._use(chunks)

    def clear(self) -> None:
        """Give all memory back."""
        while self._segments:
            self._drop_oldest()

    def _make_room(self, positions: int) -> None:
        while self._held + positions > self._most:
            self._drop_oldest()
            self.evicted += 1

    def _drop_oldest(self) -> None:
        segment = self._segments.popitem(last=False)[1]
        self._held -= segment.length
        segment.free()

    def _use(self, chunks: abc.Sequence[Chunk]) -> None:
        for chunk in reversed(chunks):
            self._segments.move_to_end(chunk.name)

    def _chunks(self, sequence: Sequence) -> list[Chunk]:
        """What could be kept of a prompt."""
        if not self._most:
            return []
        info = self._engine.info
        return named_chunks(sequence.prompt, sequence.images, info.image_tokens, info.max_chunk)


def named_chunks(prompt: Tokens, images: abc.Sequence[str], image_tokens: int, size: int) -> list[Chunk]:
    """A prompt's chunks of `size` positions at most; `images` are the SHA-256 of its files in hexadecimal.

    An image takes `image_tokens` positions, all of them marked alike; what it shows is named where it begins. Raises
    `ValueError` unless there is a file for each.
    """
    begins = np.flatnonzero(prompt == IMAGE_TOKEN)[::image_tokens].tolist()
    files = dict(zip(begins, map(bytes.fromhex, images), strict=True))
    chain = hashlib.sha256()
    chunks: list[Chunk] = []
    start = 0
    for end in chunk_ends(prompt, size):
        chain.update(prompt[start:end].tobytes())
        for begin in begins:
            if start <= begin < end:
                chain.update(files[begin])
        chunks.append(Chunk(chain.digest(), start, end))
        start = end
    return chunks
