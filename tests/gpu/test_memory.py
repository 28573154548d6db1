"""Device memory: all given back at the end, and no more taken than was foreseen. Nothing else may run meanwhile."""

from collections.abc import Callable

from edgevlm_engines import Demand, Engine, plan_memory, size_text
from edgevlm_server.model import Model

from tests.engines.test_contract import decode, picture, text
from tests.gpu.conftest import LENGTH, SLOTS, Note
from tests.prefill import prefill

ROW = "device memory"

CASE = "v2"
DEMAND = Demand(slots=SLOTS, max_length=LENGTH, image_cache=0, prefix_cache=0, queue=0, max_body=0)


def memory() -> tuple[int, int]:
    """Bytes of the device that are free, and all."""
    from cuda.bindings import runtime
    from edgevlm_engines.cuda.runtime import call, enter_thread

    enter_thread()
    free, total = call(runtime.cudaMemGetInfo)
    return int(free), int(total)


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
    for _ in range(3):
        model = load(CASE, True)
        use(model.engine)
        model.engine.close()
        del model
        left.append(memory()[0])
    note(f"free after closing: {', '.join(size_text(size) for size in left)}")
    assert left[2] >= left[1]


def test_no_more_is_taken_than_was_foreseen(load: Callable[[str, bool], Model], note: Note) -> None:
    """With CUDA's own share, as on a board whose processor and GPU have one memory."""
    model = load(CASE, True)
    use(model.engine)
    free, total = memory()
    plan = plan_memory(model.manifest, DEMAND, "shared")
    model.engine.close()
    note(f"{size_text(total - free)} taken on the device, context included; {size_text(plan.total)} foreseen")
    assert total - free <= plan.total
