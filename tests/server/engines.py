"""Engines for tests of the server: the echo engine made slow, or made to fail. Named stand-ins for a real one."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from edgevlm_engines import EngineInfo, Floats, Tokens, read_manifest
from edgevlm_engines.echo import EchoEngine, echo_info


def echo_engine(slots: int, image_tokens: int, max_chunk: int) -> EchoEngine:
    """An echo engine without a bundle, of a small model."""
    info = EngineInfo(
        name="echo",
        device="none",
        precision="none",
        slots=slots,
        max_length=600,
        max_chunk=max_chunk,
        position_bytes=8,
        vocab_size=320,
        hidden_size=4,
        image_size=8,
        image_tokens=image_tokens,
    )
    return EchoEngine(info, end_token=2)


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that must happen soon; the bound is for a broken build, not for a slow machine."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.005)


class SlowEngine(EchoEngine):
    """Takes `seconds` for each step, and counts them; `gate` can hold it up altogether."""

    def __init__(self, bundle: Path, slots: int, seconds: float = 0.01) -> None:
        super().__init__(echo_info(read_manifest(bundle), slots=slots, max_length=600, chunk=64), end_token=2)
        self.seconds = seconds
        self.gate = threading.Event()
        self.gate.set()
        self.held = False
        """A call waits at the gate."""
        self.decoded = 0
        self.widest = 0

    def prefill(self, slot: int, start: int, tokens: Tokens, features: Floats) -> Floats:
        self._pass()
        return super().prefill(slot, start, tokens, features)

    def decode(self, tokens: Tokens, lengths: Tokens) -> Floats:
        self._pass()
        self.decoded += 1
        self.widest = max(self.widest, len(tokens))
        return super().decode(tokens, lengths)

    def _pass(self) -> None:
        self.held = True
        assert self.gate.wait(110)  # below the time after which an engine counts as stuck
        self.held = False
        time.sleep(self.seconds)


class DoubtfulEngine(SlowEngine):
    """Says what the echo engine says, and each token has the probability `sure`, and one other token the rest."""

    def __init__(self, bundle: Path, slots: int, sure: float, end: float | None = None) -> None:
        """`end` is the probability of the end token, by default the same."""
        super().__init__(bundle, slots, seconds=0)
        self.sure, self.end = sure, sure if end is None else end

    def prefill(self, slot: int, start: int, tokens: Tokens, features: Floats) -> Floats:
        return self._doubt(super().prefill(slot, start, tokens, features))

    def decode(self, tokens: Tokens, lengths: Tokens) -> Floats:
        return np.stack([self._doubt(row) for row in super().decode(tokens, lengths)])

    def _doubt(self, logits: Floats) -> Floats:
        best = int(logits.argmax())
        sure = self.end if best == 2 else self.sure
        out = np.full_like(logits, -30)
        out[best], out[best - 1] = np.log(sure), np.log(1 - sure)
        return out


class FailingEngine(SlowEngine):
    """Raises in its `fail_at`th decode."""

    def __init__(self, bundle: Path, slots: int, fail_at: int) -> None:
        super().__init__(bundle, slots)
        self.fail_at = fail_at

    def decode(self, tokens: Tokens, lengths: Tokens) -> Floats:
        if self.decoded == self.fail_at:
            raise RuntimeError("injected: the device is lost")
        return super().decode(tokens, lengths)


class PickyEngine(SlowEngine):
    """Refuses prompts that hold a token, as the boundary allows: with a `ValueError`, and nothing has changed."""

    def __init__(self, bundle: Path, slots: int, refused: int) -> None:
        super().__init__(bundle, slots)
        self.refused = refused

    def prefill(self, slot: int, start: int, tokens: Tokens, features: Floats) -> Floats:
        if self.refused in tokens:
            raise ValueError("injected: this prompt cannot be taken")
        return super().prefill(slot, start, tokens, features)


class SlowSight(SlowEngine):
    """Takes a while for each picture, and counts them."""

    encoded = 0

    def encode_images(self, pixels: Floats) -> Floats:
        assert self.gate.wait(120)
        time.sleep(0.2)
        self.encoded += 1
        return super().encode_images(pixels)


class HangingSight(SlowEngine):
    """Never comes back from a picture until `let_go` is set."""

    def __init__(self, bundle: Path, slots: int) -> None:
        super().__init__(bundle, slots)
        self.let_go = threading.Event()
        self.began = 0

    def encode_images(self, pixels: Floats) -> Floats:
        self.began += 1
        self.let_go.wait(60)
        return super().encode_images(pixels)


class BabblingEngine(SlowEngine):
    """Goes on in another way after every token and at every length, the same each time: there is much to choose."""

    def prefill(self, slot: int, start: int, tokens: Tokens, features: Floats) -> Floats:
        super().prefill(slot, start, tokens, features)
        return self._noise(int(tokens[-1]), start + len(tokens))

    def decode(self, tokens: Tokens, lengths: Tokens) -> Floats:
        super().decode(tokens, lengths)
        return np.stack(
            [self._noise(int(token), int(length) + 1) for token, length in zip(tokens, lengths, strict=True)]
        )

    def _noise(self, token: int, length: int) -> Floats:
        noise = np.random.default_rng([abs(token), length]).standard_normal(self.info.vocab_size)
        return (2 * noise).astype(np.float32)


class PoisonedEngine(SlowEngine):
    """Returns NaN for a slot whose last token is `poison`."""

    def __init__(self, bundle: Path, slots: int, poison: int) -> None:
        super().__init__(bundle, slots)
        self.poison = poison

    def decode(self, tokens: Tokens, lengths: Tokens) -> Floats:
        logits = super().decode(tokens, lengths)
        logits[tokens == self.poison] = np.nan
        return logits
