"""Device memory: all given back at the end, and no more taken than was foreseen. Nothing else may run meanwhile."""

from collections.abc import Callable

from edgevlm_engines import Demand, Engine, plan_memory, size_text
from edgevlm_engines.memory_plan import Place
from edgevlm_server.model import Model

from tests.engines.test_contract import decode, picture, text
from tests.gpu.conftest import LENGTH, SLOTS, Note
from tests.prefill import prefill

ROW = "device memory"

CASE = "v2"
PLACES: tuple[Place, Place] = ("shared", "gpu")
"""What a model takes is foreseen where it shares the host's memory, and not where a GPU has its own; CUDA's own share
is in both."""

OWN_SHARE = 256 * 2**20
"""Of a runtime, anew for each engine: work space of its libraries, pools larger than a model of a few MB. On an H200,
ONNX Runtime was seen to take 200 MiB so, and TensorRT-RTX 60."""

DEMAND = Demand(slots=SLOTS, max_length=LENGTH, image_cache=0, prefix_cache=0, queue=0, max_body=0)


CYCLES = 5
PAGE = 2 * 2**20
"""The driver hands out memory in these."""


def free_memory() -> int:
    """Of the device, in bytes."""
    from edgevlm_engines.cuda.runtime import enter_thread
    from edgevlm_engines.cuda.runtime import free_memory as left

    enter_thread()
    return left()


def use(engine: Engine) -> None:
    """Every part once: pictures, prompts, steps of all sizes, copies."""
    engine.encode_images(picture(engine, 1))
    for slot in range(SLOTS):
        prefill(engine, slot, text(engine, LENGTH - 9, slot))
    for count in range(1, SLOTS + 1):
        for step in range(3):
            decode(engine, [LENGTH - 9 + step] * count, [300] * count)
    engine.save(0, 0, 100).free()


def test_closing_gives_all_of_it_back(load: Callable[[str, bool], Model], note: Note) -> None:
    """From the second time on: libraries keep what they took at the first."""
    left = []
    for _ in range(CYCLES):
        model = load(CASE, True)
        use(model.engine)
        model.engine.close()
        del model
        left.append(free_memory())
    note(f"free after closing: {', '.join(size_text(size) for size in left)}")
    assert left[-1] >= left[1] - PAGE, "what is lost at each closing is lost three times"


def test_no_more_is_taken_than_was_foreseen(load: Callable[[str, bool], Model], note: Note) -> None:
    """By the engine: CUDA and the libraries, which are there from the first time on, take their own share."""
    first = load(CASE, True)
    use(first.engine)
    first.engine.close()
    del first
    before = free_memory()
    model = load(CASE, True)
    use(model.engine)
    taken = before - free_memory()
    shared, none = (plan_memory(model.manifest, DEMAND, place) for place in PLACES)
    foreseen = shared.total - none.total
    model.engine.close()
    note(f"{size_text(taken)} taken on the device; {size_text(foreseen)} foreseen; {size_text(before)} were free")
    assert taken <= foreseen + OWN_SHARE
