"""Advice where memory is short: it fits, gives up no more than it must, and is what trying everything would find."""

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import get_args

from edgevlm_engines import Demand, Manifest, alternatives, fewer_slots, plan_memory, slot_length
from edgevlm_engines.memory_plan import MIB, Place
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

GIB = 1024 * MIB

demands = st.builds(
    Demand,
    slots=st.integers(1, 64),
    max_length=st.integers(145, 2048),
    image_cache=st.integers(0, 2 * GIB),
    prefix_cache=st.integers(0, 2 * GIB),
    queue=st.integers(0, 100),
    max_body=st.integers(1, 20 * MIB),
)
places: st.SearchStrategy[Place] = st.sampled_from(get_args(Place))
STEPS = {"slots": 1, "max_length": 64, "image_cache": MIB, "prefix_cache": MIB, "queue": 1}
shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@shared
@given(demands, places, st.integers(0, 60 * GIB))
def test_every_alternative_fits_and_gives_up_no_more_than_it_must(
    small: Manifest, demand: Demand, place: Place, budget: int
) -> None:
    def total(chosen: Demand) -> int:
        return plan_memory(small, chosen, place).total

    if total(demand) <= budget:
        return
    found = alternatives(small, demand, place, budget)
    for smaller in found:
        assert total(smaller) <= budget
        slot_length(small, smaller.slots, smaller.max_length)
        changed = {field.name: getattr(smaller, field.name) for field in fields(Demand)}
        changed = {name: value for name, value in changed.items() if value != getattr(demand, name)}
        assert all(0 <= value < getattr(demand, name) for name, value in changed.items())
        assert all(total(replace(smaller, **{name: getattr(demand, name)})) > total(smaller) for name in changed)
        # one step back on the last thing that was given up is too much again
        assert any(total(replace(smaller, **{name: changed[name] + STEPS[name]})) > budget for name in changed)
    least = replace(demand, slots=1, prefix_cache=0, image_cache=0, queue=0, max_length=min(demand.max_length, 448))
    assert bool(found) == (total(least) <= budget)


@shared
@given(demands, places, st.integers(0, 60 * GIB))
def test_fewer_slots_are_as_many_as_fit(small: Manifest, demand: Demand, place: Place, budget: int) -> None:
    fitting = [
        slots
        for slots in range(1, demand.slots)
        if plan_memory(small, replace(demand, slots=slots), place).total <= budget
    ]
    expected = replace(demand, slots=fitting[-1]) if fitting else None
    assert fewer_slots(small, demand, place, budget) == expected


KINDS = [
    *({"flavour": "ort", "precision": precision} for precision in ("fp32", "fp16", "int8", "int4")),
    *({"flavour": "trt-split", "precision": precision} for precision in ("fp16", "int8", "int4")),
]
few_caches = st.integers(0, 60 * MIB)


def smaller_by_one(demand: Demand) -> Iterator[list[Demand]]:
    """For each field that may be made smaller all smaller demands, rising."""
    values = {
        "slots": range(1, demand.slots),
        "prefix_cache": range(0, demand.prefix_cache, MIB),
        "image_cache": range(0, demand.image_cache, MIB),
        "queue": range(demand.queue),
        "max_length": range(448, demand.max_length, 64),
    }
    for field, smaller in values.items():
        yield [replace(demand, **{field: value}) for value in smaller]


@shared
@given(
    demands,
    st.sampled_from(KINDS),
    places,
    few_caches,
    few_caches,
    st.floats(0.1, 1),
)
def test_halving_finds_what_trying_all_would_find(
    small: Manifest, demand: Demand, kind: dict[str, str], place: Place, images: int, prefixes: int, share: float
) -> None:
    manifest = small.model_copy(update=kind)
    demand = replace(demand, image_cache=images, prefix_cache=prefixes)

    def total(chosen: Demand) -> int:
        return plan_memory(manifest, chosen, place).total

    budget = int(share * total(demand)) - 1
    fitting = [[one for one in smaller if total(one) <= budget] for smaller in smaller_by_one(demand)]
    largest = [some[-1] for some in fitting if some]
    assert fewer_slots(manifest, demand, place, budget) == (fitting[0][-1] if fitting[0] else None)
    if largest:
        assert alternatives(manifest, demand, place, budget) == largest
