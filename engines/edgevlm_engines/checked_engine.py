"""What all engines have in common: `info`, and a check of every call's arguments before the engine's own work.

An engine implements the methods with an underscore, which may rely on what is checked here.
"""

from abc import ABC, abstractmethod

import numpy as np

from edgevlm_engines.engine import IMAGE_TOKEN, EngineInfo, Floats, Segment, Tokens


class CheckedEngine(ABC):
    """An `Engine` whose methods raise `ValueError` for arguments out of range, before anything has changed."""

    def __init__(self, info: EngineInfo) -> None:
        self._info = info

    @property
    def info(self) -> EngineInfo:
        return self._info

    def encode_images(self, pixels: Floats) -> Floats:
        _check_pixels(self._info, pixels)
        features = [self._encode_image(picture) for picture in pixels]
        # mostly there is one, and a megabyte of it need not be copied
        return features[0][np.newaxis] if len(features) == 1 else np.stack(features)

    def prefill(self, slot: int, start: int, tokens: Tokens, features: Floats) -> Floats:
        _check_prefill(self._info, slot, start, tokens, features)
        return self._prefill(slot, start, tokens, features)

    def decode(self, tokens: Tokens, lengths: Tokens) -> Floats:
        _check_decode(self._info, tokens, lengths)
        return self._decode(tokens, lengths)

    def move_slot(self, source: int, target: int, length: int) -> None:
        _check_move(self._info, source, target, length)
        self._move_slot(source, target, length)

    def save(self, slot: int, start: int, stop: int) -> Segment:
        _check_save(self._info, slot, start, stop)
        return self._save(slot, start, stop)

    def restore(self, slot: int, segment: Segment, length: int) -> None:
        _check_restore(self._info, slot, segment, length)
        self._restore(slot, segment, length)

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def _encode_image(self, picture: Floats) -> Floats:
        """`[3, image_size, image_size]` -> `[image_tokens, hidden_size]`."""

    @abstractmethod
    def _prefill(self, slot: int, start: int, tokens: Tokens, features: Floats) -> Floats: ...

    @abstractmethod
    def _decode(self, tokens: Tokens, lengths: Tokens) -> Floats: ...

    @abstractmethod
    def _move_slot(self, source: int, target: int, length: int) -> None: ...

    @abstractmethod
    def _save(self, slot: int, start: int, stop: int) -> Segment: ...

    @abstractmethod
    def _restore(self, slot: int, segment: Segment, length: int) -> None: ...


def _check_pixels(info: EngineInfo, pixels: Floats) -> None:
    picture = (3, info.image_size, info.image_size)
    if pixels.shape[1:] != picture or not len(pixels):
        raise ValueError(f"pictures are an array of shape (1 or more, {', '.join(map(str, picture))})")


def _check_prefill(info: EngineInfo, slot: int, start: int, tokens: Tokens, features: Floats) -> None:
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


def _check_decode(info: EngineInfo, tokens: Tokens, lengths: Tokens) -> None:
    if tokens.ndim != 1 or tokens.shape != lengths.shape or not 1 <= len(tokens) <= info.slots:
        raise ValueError(f"a decode takes as many lengths as tokens, 1 to {info.slots}")
    if lengths.min() < 1 or lengths.max() >= info.max_length:
        raise ValueError(f"each slot must hold 1 to {info.max_length - 1} positions before a decode")
    _check_tokens(info, tokens)


def _check_move(info: EngineInfo, source: int, target: int, length: int) -> None:
    if not (0 <= source < info.slots and 0 <= target < info.slots and 0 <= length <= info.max_length):
        raise ValueError(f"cannot move {length} positions from slot {source} to slot {target}")


def _check_save(info: EngineInfo, slot: int, start: int, stop: int) -> None:
    if not (0 <= slot < info.slots and 0 <= start < stop <= info.max_length):
        raise ValueError(f"cannot save positions {start}..{stop} of slot {slot}")


def _check_restore(info: EngineInfo, slot: int, segment: Segment, length: int) -> None:
    if not (0 <= slot < info.slots and 0 < length <= segment.length):
        raise ValueError(f"cannot restore {length} positions of {segment.length} to slot {slot}")


def _check_tokens(info: EngineInfo, tokens: Tokens) -> None:
    if len(tokens) and (tokens.min() < 0 or tokens.max() >= info.vocab_size):
        raise ValueError(f"token ids must lie in 0..{info.vocab_size - 1}")
