"""What decoding a large JPEG at a fraction of its size would save and cost: `python -m benchmarks.draft`.

libjpeg can leave out high frequencies while it decodes ("draft"). Here the demo's held-out drawings, enlarged to what
a camera delivers, are decoded whole and at the smallest fraction that keeps twice the encoder's size; the demo model
answers the same questions about both. Knows no HTTP and no worker processes.
"""

import argparse
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import sqrt
from statistics import median

import numpy as np
from edgevlm_demo.evaluation import evaluation_questions, is_right
from edgevlm_server.images.preprocess import normalise
from edgevlm_server.images.rgb import decode_rgb
from edgevlm_server.images.square import fit_square
from edgevlm_server.model import Model, load_model
from edgevlm_server.offline import answer, encode
from edgevlm_server.settings import Settings
from edgevlm_server.text.prompt import Turn
from PIL import Image

from edgevlm.demo_bundle import find_bundle

MAX_TOKENS = 40


@dataclass
class Tally:
    """What came out for one amount of noise."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {"whole": [], "draft": []})
    right: dict[str, int] = field(default_factory=lambda: {"whole": 0, "draft": 0})
    grey_levels: list[float] = field(default_factory=list)
    largest: int = 0
    differ: int = 0
    questions: int = 0


def enlarged(drawing: Image.Image, megapixels: float, noise: float, seed: int) -> bytes:
    """A JPEG of that many pixels in the drawing's shape, with the noise of a sensor, in grey levels."""
    factor = sqrt(megapixels * 1e6 / (drawing.width * drawing.height))
    size = round(drawing.width * factor), round(drawing.height * factor)
    large = drawing.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    if noise:
        random = np.random.default_rng(seed)
        grain = random.standard_normal((size[1], size[0], 1), np.float32) * np.float32(noise)
        large = Image.fromarray((np.asarray(large) + grain).clip(0, 255).astype(np.uint8))
    file = io.BytesIO()
    large.save(file, "JPEG", quality=90)
    return file.getvalue()


def draft_scale(size: tuple[int, int], wanted: int) -> int:
    """The largest fraction that leaves the longer side twice as long as the encoder's square."""
    return max(scale for scale in (1, 2, 4, 8) if scale == 1 or max(size) // scale >= 2 * wanted)


def squares(data: bytes, size: tuple[int, int], model: Model, tally: Tally) -> Iterator[Image.Image]:
    """The picture as the encoder's square, whole and in draft, each timed."""
    spec = model.manifest.preprocessing
    for name, scale in (("whole", 1), ("draft", draft_scale(size, spec.size))):
        start = time.perf_counter()
        square = fit_square(decode_rgb(data, "JPEG", scale), spec.size, spec.pad_colour)
        tally.seconds[name].append(time.perf_counter() - start)
        yield square


def measure(model: Model, pictures: int, megapixels: float, noise: float) -> Tally:
    tally = Tally()
    spec = model.manifest.preprocessing
    last, features = None, {}
    for question in evaluation_questions(pictures):
        if last != (question.scene, question.seed):
            last = question.scene, question.seed
            data = enlarged(question.image, megapixels, noise, question.seed)
            with Image.open(io.BytesIO(data)) as opened:
                pair = list(squares(data, opened.size, model, tally))
            difference = np.abs(np.asarray(pair[0], np.int16) - np.asarray(pair[1], np.int16))
            tally.grey_levels.append(float(difference.mean()))
            tally.largest = max(tally.largest, int(difference.max()))
            features = {
                name: encode(model, [normalise(square, spec)])
                for name, square in zip(("whole", "draft"), pair, strict=True)
            }
        turns = [Turn("user", question.text, images=1)]
        said = {n: "".join(answer(model, turns, f, max_tokens=MAX_TOKENS)) for n, f in features.items()}
        tally.questions += 1
        tally.differ += said["whole"] != said["draft"]
        for name, text in said.items():
            tally.right[name] += is_right(text, question.answer)
    return tally


def line(noise: float, tally: Tally) -> str:
    whole, draft = (f"{1000 * median(tally.seconds[name]):.0f} ms" for name in ("whole", "draft"))
    levels = f"{np.mean(tally.grey_levels):.2f} (largest {tally.largest})"
    right = " | ".join(f"{100 * tally.right[name] / tally.questions:.1f} %" for name in ("whole", "draft"))
    return f"| {noise:g} | {whole} | {draft} | {levels} | {tally.questions} | {right} | {tally.differ} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.draft", description=__doc__)
    parser.add_argument("--pictures", type=int, default=20, metavar="N", help="of each scene (default: 20)")
    parser.add_argument("--megapixels", type=float, default=12.0, metavar="N", help="of each picture (default: 12)")
    parser.add_argument("--noise", default="0,8", metavar="LIST", help="grey levels of noise (default: 0,8)")
    arguments = parser.parse_args()
    model = load_model(find_bundle(None), Settings.offline())
    try:
        print(
            "| noise | whole | draft | grey levels apart | questions | right, whole | right, draft | answers differ |"
        )
        print("|---:|---:|---:|---:|---:|---:|---:|---:|")
        for noise in map(float, arguments.noise.split(",")):
            print(line(noise, measure(model, arguments.pictures, arguments.megapixels, noise)), flush=True)
    finally:
        model.engine.close()


if __name__ == "__main__":
    main()
