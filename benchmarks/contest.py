"""One model in files for edgevlm and for llama.cpp, and the same work done by each. Knows no tables."""

from pathlib import Path
from typing import NamedTuple

from edgevlm_engines.names import Device, Precision, VisionPrecision

from benchmarks.figures import PROMPT, Figures, Job, measure_apart
from benchmarks.gguf_files import Quantisation, write_decoder, write_projector
from benchmarks.llamacpp import LlamaCpp
from benchmarks.machine import ROOT
from benchmarks.made import bar, make_bundle, make_checkpoint

PAST = 256
STEPS = 64
STREAMS = 8
STREAM_STEPS = 32
PICTURE = ROOT / "examples/lamp.png"


class Pair(NamedTuple):
    """A bundle's precisions beside a GGUF file's; llama.cpp's tower and projector are F16 in all of them."""

    precision: Precision
    vision_precision: VisionPrecision
    quantisation: Quantisation

    @property
    def title(self) -> str:
        return f"{self.precision}, pictures {self.vision_precision}, beside {self.quantisation}, pictures F16"


class Sample(NamedTuple):
    """One engine's figures in one round: seconds a picture, tokens a second, bytes. Means, as llama.cpp prints."""

    encode: float
    decode: float
    decode_together: float
    prefill: float
    peak_memory: float


class Contest:
    """One pair of precisions on one shape. All files lie in `work`; what is there is used as it is.

    Ours runs where the peer does.
    """

    def __init__(self, work: Path, shape: str, pair: Pair, peer: LlamaCpp) -> None:
        self.pair = pair
        self._device: Device = "cuda" if peer.on_gpu else "cpu"
        self._shape = shape
        self._peer = peer
        self._work = work
        place = "cuda-" if peer.on_gpu else ""
        self._bundle = work / f"{shape}-{place}{pair.precision}-{pair.vision_precision}"
        self._decoder = work / f"{shape}-{pair.quantisation}.gguf"
        self._projector = work / f"{shape}-mmproj-F16.gguf"

    def prepare(self) -> None:
        """Make what is missing. Each file or folder appears only when it is complete."""
        checkpoint = make_checkpoint(self._work, self._shape)
        make_bundle(checkpoint, self._bundle, self.pair.precision, self.pair.vision_precision, self._device)
        if not self._decoder.exists():
            write_decoder(checkpoint, self._decoder, self.pair.quantisation, bar(self._decoder))
        if not self._projector.exists():
            write_projector(checkpoint, self._projector, bar(self._projector))

    def ours(self) -> Sample:
        alone, together = self._engine(1, STEPS), self._engine(STREAMS, STREAM_STEPS)
        return Sample(
            encode=alone.encode.mean,
            decode=1 / alone.decode[1].mean,
            decode_together=STREAMS / together.decode[STREAMS].mean,
            prefill=PROMPT / alone.prefill[PROMPT].mean,
            peak_memory=alone.peak_memory,
        )

    def theirs(self) -> Sample:
        answer = self._peer.answer(self._decoder, self._projector, PICTURE, STEPS)
        return Sample(
            encode=answer.encode,
            decode=self._peer.decode(self._decoder, PAST, STEPS),
            decode_together=self._peer.decode_together(self._decoder, STREAMS, PAST, STREAM_STEPS),
            prefill=self._peer.prefill(self._decoder, PROMPT),
            peak_memory=answer.peak_memory,
        )

    def _engine(self, slots: int, steps: int) -> Figures:
        return measure_apart(Job(self._bundle.resolve(), self._peer.threads, (slots,), PAST, steps))
