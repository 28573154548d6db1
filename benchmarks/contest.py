"""One model in files for edgevlm and for llama.cpp, and the same work done by each. Knows no tables."""

from pathlib import Path
from typing import NamedTuple

from edgevlm_engines.names import Precision, VisionPrecision
from edgevlm_export.exporter import export_bundle

from benchmarks.figures import PROMPT, Figures, Job, measure_apart
from benchmarks.gguf_files import Quantisation, write_decoder, write_projector
from benchmarks.llamacpp import LlamaCpp
from benchmarks.machine import ROOT
from benchmarks.random_checkpoint import CLIP, WEIGHTS, write_checkpoint
from benchmarks.shapes import SHAPES
from edgevlm.progress import Bar

PAST = 256
STEPS = 64
STREAMS = 8
STREAM_STEPS = 32
SEED = 0
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
    """One pair of precisions on one shape. All files lie in `work`; what is there is used as it is."""

    def __init__(self, work: Path, shape: str, pair: Pair, peer: LlamaCpp) -> None:
        self.pair = pair
        self._shape = shape
        self._peer = peer
        self._checkpoint = work / shape
        self._bundle = work / f"{shape}-{pair.precision}-{pair.vision_precision}"
        self._decoder = work / f"{shape}-{pair.quantisation}.gguf"
        self._projector = work / f"{shape}-mmproj-F16.gguf"

    def prepare(self) -> None:
        """Make what is missing. Each file or folder appears only when it is complete."""
        if not (self._checkpoint / WEIGHTS).exists():
            write_checkpoint(SHAPES[self._shape], self._checkpoint, SEED, _bar(self._checkpoint))
        if not self._bundle.exists():
            export_bundle(
                self._checkpoint,
                self._bundle,
                vision_tower=self._checkpoint / CLIP,
                precision=self.pair.precision,
                vision_precision=self.pair.vision_precision,
                progress=_bar(self._bundle),
            )
        if not self._decoder.exists():
            write_decoder(self._checkpoint, self._decoder, self.pair.quantisation, _bar(self._decoder))
        if not self._projector.exists():
            write_projector(self._checkpoint, self._projector, _bar(self._projector))

    def ours(self) -> Sample:
        alone, together = self._engine(1, STEPS), self._engine(STREAMS, STREAM_STEPS)
        return Sample(
            encode=alone.encode.mean,
            decode=1 / alone.decode[1].mean,
            decode_together=STREAMS / together.decode[STREAMS].mean,
            prefill=PROMPT / alone.prefill.mean,
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


def _bar(target: Path) -> Bar:
    return Bar(f"Making {target.name}")
