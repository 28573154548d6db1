"""`python -m tests.gpu.sanitized append|BUNDLE`: a short program for compute-sanitizer to watch."""

import sys
from contextlib import ExitStack
from pathlib import Path

from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings

from edgevlm.plans import ensure_plans
from tests.engines.test_contract import decode, picture, text
from tests.gpu.conftest import LENGTH, SLOTS
from tests.prefill import prefill


def main() -> None:
    [what] = sys.argv[1:]
    if what == "append":
        append()
    else:
        answer(Path(what))


def append() -> None:
    """Steps of the kernel, one of them captured."""
    from edgevlm_engines.cuda.runtime import capture

    from tests.gpu.test_cuda_layer import Bench, Step

    with ExitStack() as release:
        bench = Bench(release)
        for shape in ((16, 1, 128), (4, 64, 80)):
            step = Step(bench, *shape, seed=1)
            graph = capture(bench.stream, step.launch)
            graph.launch(bench.stream)
            step.expect()
            step.check()
            graph.free()
            step.append.free()


def answer(bundle: Path) -> None:
    """A picture, a prompt, and steps of which the last are captured."""
    settings = Settings(max_batch=SLOTS, max_length=LENGTH, image_cache=0, prefix_cache=0, max_queue=0)
    engine = load_model(bundle, settings, prepare=ensure_plans).engine
    engine.encode_images(picture(engine, 1))
    prefill(engine, 0, text(engine, 70, 1))
    for step in range(4):
        decode(engine, [70 + step], [300])
    engine.close()


if __name__ == "__main__":
    main()
