"""The border between serving and models: arrays in, logits out.

An engine knows nothing of text, HTTP or sampling. It owns `slots` equal, contiguous stretches of KV cache. Slot `s`
belongs to one sequence; the caller keeps the lengths and says with each call where the new positions go, so the
engine holds no state of a sequence but the cache itself.

Slots that decode are always slots 0..n-1: one call advances all of them. A slot that still takes in its prompt lies
behind them. When a sequence ends, the caller moves the last slot into the hole.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

IMAGE_TOKEN = -200
"""Stands in a prompt for one position of image features. The number is upstream's mark for `<image>`."""

Tokens = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine can hold, fixed when it is loaded.

    `slots` sequences of at most `max_length` positions each, of `position_bytes` in the cache; at most `max_chunk`
    positions in one prefill call. The same calls give the same bits; a prompt in other chunks may give others.
    """

    name: str
    device: str
    precision: str
    slots: int
    max_length: int
    max_chunk: int
    position_bytes: int
    vocab_size: int
    hidden_size: int
    image_size: int
    image_tokens: int


class Segment(Protocol):
    """Keys and values of `length` positions from `start` on, outside of any slot."""

    @property
    def start(self) -> int: ...

    @property
    def length(self) -> int: ...

    @property
    def nbytes(self) -> int: ...

    def free(self) -> None:
        """Give the memory back. Calling it again does nothing."""
        ...


class Engine(Protocol):
    """One loaded model.

    `encode_images` may run in another thread beside the rest. All other methods are called from one thread.
    Out-of-range arguments raise `ValueError` and change nothing; any other exception means that the engine must not
    be used again.
    """

    @property
    def info(self) -> EngineInfo: ...

    def encode_images(self, pixels: Floats) -> Floats:
        """`[n, 3, image_size, image_size]` preprocessed pixels -> `[n, image_tokens, hidden_size]` features."""
        ...

    def prefill(self, slot: int, start: int, tokens: Tokens, features: Floats) -> Floats:
        """Write `tokens` `[s]` to positions `start..start+s-1` of `slot`; return the last one's logits
        `[vocab_size]`.

        Each `IMAGE_TOKEN` takes the next row of `features` `[k, hidden_size]`; `k` must equal their number.
        Positions before `start` must have been written by earlier calls, in any number of chunks.
        """
        ...

    def decode(self, tokens: Tokens, lengths: Tokens) -> Floats:
        """Advance slots `0..n-1` by a token each: `[n]` tokens, `[n]` lengths before the call -> `[n, vocab_size]`.

        A slot's logits do not depend on the other slots or on their number. What a prompt has written to a slot
        behind them stays, as long as it leaves the last position free.
        """
        ...

    def move_slot(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of slot `source` over slot `target`."""
        ...

    def save(self, slot: int, start: int, stop: int) -> Segment:
        """Copy positions `start..stop-1` out of a slot. Raises `MemoryError` if there is no room for them."""
        ...

    def restore(self, slot: int, segment: Segment, length: int) -> None:
        """Copy the first `length` positions of a segment of this engine into a slot, to where they were before."""
        ...

    def close(self) -> None:
        """Release everything but segments. Calling it again does nothing."""
        ...


def check_prefill(info: EngineInfo, slot: int, start: int, tokens: Tokens, features: Floats) -> None:
    """Raise `ValueError` unless this prefill fits into the engine."""
    if not 0 <= slot < info.slots:
        raise ValueError(f"slot {slot} is not one of the {info.slots} slots")
    if not 1 <= len(tokens) <= info.max_chunk:
        raise ValueError(f"a prefill takes 1 to {info.max_chunk} positions, not {len(tokens)}")
    if start < 0 or start + len(tokens) > info.max_length:
        raise ValueError(f"positions {start}..{start + len(tokens)} leave the slot of {info.max_length}")
    _check_tokens(info, tokens[tokens != IMAGE_TOKEN])
    images = int(np.count_nonzero(tokens == IMAGE_TOKEN))
    if features.shape != (images, info.hidden_size):
        raise ValueError(f"{images} image positions need as many features, not an array {features.shape}")


def check_decode(info: EngineInfo, tokens: Tokens, lengths: Tokens) -> None:
    """Raise `ValueError` unless this decode step fits into the engine."""
    if tokens.ndim != 1 or tokens.shape != lengths.shape or not 1 <= len(tokens) <= info.slots:
        raise ValueError(f"a decode takes as many lengths as tokens, 1 to {info.slots}")
    if lengths.min() < 1 or lengths.max() >= info.max_length:
        raise ValueError(f"each slot must hold 1 to {info.max_length - 1} positions before a decode")
    _check_tokens(info, tokens)


def check_move(info: EngineInfo, source: int, target: int, length: int) -> None:
    """Raise `ValueError` unless both slots exist and the length fits into one."""
    if not (0 <= source < info.slots and 0 <= target < info.slots and 0 <= length <= info.max_length):
        raise ValueError(f"cannot move {length} positions from slot {source} to slot {target}")


def check_save(info: EngineInfo, slot: int, start: int, stop: int) -> None:
    """Raise `ValueError` unless these positions exist."""
    if not (0 <= slot < info.slots and 0 <= start < stop <= info.max_length):
        raise ValueError(f"cannot save positions {start}..{stop} of slot {slot}")


def check_restore(info: EngineInfo, slot: int, segment: Segment, length: int) -> None:
    """Raise `ValueError` unless the slot exists and the segment is that long."""
    if not (0 <= slot < info.slots and 0 < length <= segment.length):
        raise ValueError(f"cannot restore {length} positions of {segment.length} to slot {slot}")


def _check_tokens(info: EngineInfo, tokens: Tokens) -> None:
    if len(tokens) and (tokens.min() < 0 or tokens.max() >= info.vocab_size):
        raise ValueError(f"token ids must lie in 0..{info.vocab_size - 1}")
