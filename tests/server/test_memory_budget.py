"""The memory plan at start: the line in the log, slots under `--memory`, and refusals whose advice works."""

import argparse
import logging
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from edgevlm_engines import EngineLoadError, Manifest, NotNow, memory_plan, read_manifest
from edgevlm_server import model
from edgevlm_server.audit.outbox import OUTBOX_BYTES
from edgevlm_server.guided import compiler
from edgevlm_server.memory_budget import MemoryBudget
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings, add_arguments
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.live import LiveServer

Bundles = Callable[[str], Path]

MIB = 2**20
GIB = 2**30
DEFAULTS = Settings()
PARSER = argparse.ArgumentParser()
add_arguments(PARSER)


@pytest.fixture(scope="module")
def large(bundles: Bundles) -> Manifest:
    """With a cache of 393,216 bytes a position, as the published 1.7B model's."""
    manifest = read_manifest(bundles("v2"))
    shape = manifest.decoder.model_copy(update={"layers": 24, "kv_heads": 16, "head_dim": 128})
    return manifest.model_copy(update={"decoder": shape})


def refusal(manifest: Manifest, asked: Settings, available: int) -> str:
    with pytest.raises(EngineLoadError) as caught:
        MemoryBudget(manifest, asked, available).plan()
    return str(caught.value)


def advised(text: str, asked: Settings) -> list[Settings]:
    """The settings that a refusal proposes, read as a command line beside what was asked for."""
    found = re.search(r"; give (.*)\.$", text)
    ways = found[1].split(", or ") if found else []
    chosen = [PARSER.parse_args(shlex.split(way)) for way in ways]
    return [
        replace(asked, **{name: value for name, value in vars(way).items() if value is not None}) for way in chosen
    ]


def test_what_waits_for_the_audit_s_disk_is_in_the_plan(large: Manifest, tmp_path: Path) -> None:
    without, kept = (
        MemoryBudget(large, one, 20 * GIB).plan() for one in (DEFAULTS, replace(DEFAULTS, audit=tmp_path))
    )
    assert kept.total - without.total == OUTBOX_BYTES


def test_the_plan_is_one_line_in_the_log(large: Manifest, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    plan = MemoryBudget(large, DEFAULTS, 20 * GIB).plan()
    assert plan.demand.slots == 8
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("Memory: weights ")
    assert "KV cache 8 slots x 2048 = 6 GiB, image cache 64 MiB, prefix cache 256 MiB" in line
    assert re.search(r"total [\d.]+ GiB of 20 GiB available\.$", line)


def test_where_nothing_is_known_nothing_is_refused(large: Manifest, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    asked = replace(DEFAULTS, max_batch=64)
    assert MemoryBudget(large, asked, None).plan().demand.slots == 64
    assert caplog.messages[0].endswith("how much there is, this system does not say.")


def test_too_much_is_refused_with_values_that_fit(large: Manifest) -> None:
    text = refusal(large, DEFAULTS, 4 * GIB)
    assert text.startswith("There is not enough memory: weights ")
    assert "of 4 GiB available; give --max-batch 3, or --max-length 768." in text
    for proposal in advised(text, DEFAULTS):
        assert MemoryBudget(large, proposal, 4 * GIB).plan().total <= 4 * GIB


def test_several_options_together_where_one_is_not_enough(large: Manifest) -> None:
    text = refusal(large, DEFAULTS, 2304 * MIB)
    assert re.search(r"; give --max-batch 1 --prefix-cache \d+M\.$", text), text
    [proposal] = advised(text, DEFAULTS)
    assert MemoryBudget(large, proposal, 2304 * MIB).plan().total <= 2304 * MIB


def test_where_no_option_helps_it_says_what_does(large: Manifest) -> None:
    text = refusal(large, DEFAULTS, 100 * MIB)
    assert "; end other programs, or serve a smaller model or the same in fewer bits (" in text
    assert not advised(text, DEFAULTS)


def test_with_memory_as_many_slots_as_fit(large: Manifest, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    plan = MemoryBudget(large, replace(DEFAULTS, memory=4 * GIB), 20 * GIB).plan()
    assert plan.demand.slots == 3
    assert "KV cache 3 slots x 2048" in caplog.messages[0]
    assert caplog.messages[0].endswith("of 4 GiB that --memory allows.")
    assert MemoryBudget(large, replace(DEFAULTS, memory=30 * GIB), 40 * GIB).plan().demand.slots == 8
    # what is not there cannot be allowed
    assert MemoryBudget(large, replace(DEFAULTS, memory=30 * GIB), 4 * GIB).plan().demand.slots == 3
    assert MemoryBudget(large, replace(DEFAULTS, memory=4 * GIB), None).plan().demand.slots == 3


def test_with_too_little_memory_the_amount_is_among_the_advice(large: Manifest) -> None:
    asked = replace(DEFAULTS, memory=1500 * MIB)
    text = refusal(large, asked, 20 * GIB)
    assert "KV cache 1 slot x 2048 = 768 MiB" in text
    assert "of 1.46 GiB that --memory allows; give " in text
    proposals = advised(text, asked)
    assert {proposal.memory for proposal in proposals} > {1500 * MIB}
    for proposal in proposals:
        assert MemoryBudget(large, proposal, 20 * GIB).plan().demand.slots == 1


def test_the_bundles_own_limits_come_first(large: Manifest) -> None:
    with pytest.raises(EngineLoadError, match=r"allows 1 to 64 slots \(--max-batch\), not 65"):
        MemoryBudget(large, replace(DEFAULTS, max_batch=65, memory=GIB), GIB)
    with pytest.raises(EngineLoadError, match=r"The length \(--max-length\) must lie between"):
        MemoryBudget(large, replace(DEFAULTS, max_length=100), 20 * GIB)


def test_the_echo_engine_takes_neither_weights_nor_slots(large: Manifest) -> None:
    plan = MemoryBudget(large, replace(DEFAULTS, engine="echo"), 20 * GIB).plan()
    assert (plan.weights, plan.kv_cache) == (0, 0)
    assert plan.total < 2 * GIB


def test_nothing_is_loaded_that_does_not_fit(bundles: Bundles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "available_memory", lambda: 100 * MIB)
    monkeypatch.setattr(model, "load_engine", lambda *arguments, **options: pytest.fail("loaded"))
    with pytest.raises(EngineLoadError, match="There is not enough memory: "):
        load_model(bundles("v2"), DEFAULTS)


@pytest.mark.parametrize(
    ("installed", "memory", "later"),
    [(20 * GIB, None, True), (20 * GIB, 2 * MIB, False), (2 * MIB, None, False), (None, None, False)],
)
def test_what_others_hold_may_be_free_later(
    large: Manifest, installed: int | None, memory: int | None, later: bool
) -> None:
    budget = MemoryBudget(large, replace(DEFAULTS, memory=memory), MIB, installed)
    with pytest.raises(EngineLoadError, match="There is not enough memory: ") as caught:
        budget.plan()
    assert isinstance(caught.value, NotNow) == later


@pytest.mark.slow
def test_slots_are_those_of_the_engine_everywhere(bundles: Bundles) -> None:
    manifest = read_manifest(bundles("v2"))
    asked = Settings(max_batch=64, max_queue=3, max_length=2048)
    full = MemoryBudget(manifest, asked, None).plan().total
    with LiveServer.on_bundle(bundles("v2"), max_batch=64, max_queue=3, memory=full - 1) as server:
        slots = server.service.loaded().model.engine.info.slots
        assert 1 < slots < 64
        assert server.service.admission.limit == slots + 3
        assert server.service.loaded().batcher._scheduler._slots == slots


sizes = st.integers(0, 2 * GIB)
asked_for = st.builds(
    Settings,
    max_batch=st.integers(1, 64),
    max_length=st.none() | st.integers(145, 2048),
    max_queue=st.integers(0, 100),
    max_body=st.integers(1, 20 * MIB),
    image_cache=sizes,
    prefix_cache=sizes,
    memory=st.none() | st.integers(GIB, 60 * GIB),
)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(asked_for, st.floats(0, 1.1))
def test_every_advice_is_accepted(large: Manifest, asked: Settings, share: float) -> None:
    available = int(share * MemoryBudget(large, replace(asked, memory=None), None).plan().total)
    try:
        plan = MemoryBudget(large, asked, available).plan()
    except EngineLoadError as error:
        for proposal in advised(str(error), asked):
            assert MemoryBudget(large, proposal, available).plan().total <= available
    else:
        assert plan.total <= min(available, asked.memory or available)
        assert 1 <= plan.demand.slots <= asked.max_batch


def test_grammars_take_what_is_planned_for_them() -> None:
    assert compiler.MOST_BYTES * 4 <= memory_plan.GRAMMARS * 3
