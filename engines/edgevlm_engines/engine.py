"""The boundary between serving and models: arrays in, logits out.

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

from edgevlm_engines.manifest import Manifest

IMAGE_TOKEN = -200
"""Stands in a prompt for one position of image features. The number is upstream's mark for `<image>`."""

Tokens = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine can hold, fixed when it is loaded.

    `slots` sequences of at most `max_length` positions each, of `position_bytes` in the cache; at most `max_chunk`
    positions in one prefill call.
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

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        *,
        name: str,
        device: str,
        precision: str,
        slots: int,
        max_length: int,
        chunk: int,
        position_bytes: int,
    ) -> "EngineInfo":
        """For a bundle's model. A slot shorter than `chunk` positions is prefilled in one call."""
        return cls(
            name=name,
            device=device,
            precision=precision,
            slots=slots,
            max_length=max_length,
            max_chunk=min(chunk, max_length),
            position_bytes=position_bytes,
            vocab_size=manifest.decoder.vocab_size,
            hidden_size=manifest.decoder.hidden_size,
            image_size=manifest.preprocessing.size,
            image_tokens=manifest.vision.image_tokens,
        )


class Segment(Protocol):
    """Keys and values of `length` positions from `start` on, outside of any slot."""

    @property
    def start(self) -> int: ...

    @property
    def length(self) -> int: ...

    def free(self) -> None:
        """Give the memory back. Calling it again does nothing."""
        ...


class Engine(Protocol):
    """One loaded model. The same calls in the same order give the same bits.

    `encode_images` may run in another thread beside the rest. All other methods are called from one thread.
    Out-of-range arguments raise `ValueError` and change nothing; any other exception means that the engine must not
    be used again.
    """

    @property
    def info(self) -> EngineInfo: ...

    def encode_images(self, pixels: Floats) -> Floats:
        """`[n, 3, image_size, image_size]` preprocessed pixels -> `[n, image_tokens, hidden_size]` features.

        One picture after the other: no picture's features depend on the others.
        """
        ...

    def prefill(self, slot: int, start: int, tokens: Tokens, features: Floats) -> Floats:
        """Write `tokens` `[s]` to positions `start..start+s-1` of `slot`; return the last one's logits
        `[vocab_size]`.

        Each `IMAGE_TOKEN` takes the next row of `features` `[k, hidden_size]`; `k` must equal their number.
        Positions before `start` must have been written by earlier calls. Into how many chunks a prompt is cut
        changes rounding at most.
        """
        ...

    def decode(self, tokens: Tokens, lengths: Tokens) -> Floats:
        """Advance slots `0..n-1` by a token each: `[n]` tokens, `[n]` lengths before the call -> `[n, vocab_size]`.

        A slot's logits do not depend on the other slots, on how many there are or on which slot it is:

        * on ONNX Runtime, to the bit. When it loads, the engine tries this on the device at hand, with all sizes of
          step that it will run and slots of different lengths. Steps of a size whose kernels round differently are
          filled up to a size that agrees; where that does not help, a warning in the log says what is not promised.
        * on TensorRT, but for rounding in fp16: a step attends to as much of the cache as its longest slot needs,
          and that may change the order of sums.

        What a prompt has written to a slot behind them stays, as long as it leaves the last position free.
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
