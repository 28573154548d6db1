"""Limits on one client, by a clock of the test's own."""

from collections import deque

import pytest
from edgevlm_server.errors import QueueFull, RateLimited
from edgevlm_server.runtime.admission import Admission
from edgevlm_server.runtime.limits import MOST_CLIENTS, ClientLimits, Minute
from hypothesis import given
from hypothesis import strategies as st


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def refused(limits: ClientLimits, client: str = "a") -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        limits.begin(client)
    return caught.value


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(0, 5)), max_size=40), st.integers(1, 12))
def test_a_minute_is_any_sixty_seconds(used: list[tuple[float, int]], most: int) -> None:
    clock, noted = Clock(), []
    minute = Minute(clock)
    for pause, amount in used:
        clock.now += pause
        minute.add(amount)
        noted.append((clock.now, amount))
        inside = [n for then, n in noted if then > clock.now - 60]
        assert minute.used == sum(inside)
    wait = minute.wait(most)
    before = minute.used
    assert wait >= 0 and (wait == 0) == (before < most)
    if wait:
        clock.now += wait - 1e-6
        assert minute.used >= most
        clock.now += 2e-6
        assert minute.used < most


def test_requests_of_a_minute_and_the_seconds_to_wait() -> None:
    clock = Clock()
    limits = ClientLimits(requests=3, clock=clock)
    for _ in range(3):
        limits.begin("a")
        clock.now += 10
    error = refused(limits)
    assert error.status == 429 and error.code == "rate_limit_exceeded"
    assert error.headers == {
        "retry-after": "30",
        "x-ratelimit-limit-requests": "3",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "50s",
    }
    limits.begin("b")  # another client is not touched
    clock.now += 30
    limits.begin("a")
    assert refused(limits).headers["retry-after"] == "10"


def test_tokens_are_charged_when_they_are_known() -> None:
    clock = Clock()
    limits = ClientLimits(tokens=100, clock=clock)
    limits.begin("a")
    limits.charge("a", 60)
    limits.begin("a")
    clock.now += 20
    limits.charge("a", 500)
    assert refused(limits).headers["retry-after"] == "60"
    assert limits.headers("a")["x-ratelimit-remaining-tokens"] == "0"
    clock.now += 60
    limits.begin("a")


def test_a_refused_request_is_not_counted() -> None:
    clock = Clock()
    limits = ClientLimits(requests=1, clock=clock)
    limits.begin("a")
    for _ in range(5):
        clock.now += 10
        refused(limits)
    clock.now += 10
    limits.begin("a")


@pytest.mark.parametrize("limits", [{"requests": 10**9}, {"tokens": 10**9}], ids=["requests", "tokens"])
def test_nothing_older_than_a_minute_is_kept(limits: dict[str, int]) -> None:
    """Also of what has no limit: a camera asks for months."""
    clock = Clock()
    kept = ClientLimits(**limits, clock=clock)
    for _ in range(1000):
        clock.now += 10
        kept.begin("camera")
        kept.charge("camera", 5)
    [client] = kept._clients.values()
    assert len(client.requests.minute._entries) <= 7 and len(client.tokens.minute._entries) <= 7


def test_without_limits_nothing_is_kept_or_said() -> None:
    limits = ClientLimits()
    limits.begin("a")
    limits.charge("a", 5)
    assert limits.headers("a") == {} and not limits._clients


def test_clients_without_number_are_forgotten_after_a_minute() -> None:
    clock = Clock()
    limits = ClientLimits(requests=1, clock=clock)
    for number in range(MOST_CLIENTS):
        limits.begin(f"address {number}")
    clock.now += 61
    limits.begin("one more")
    assert len(limits._clients) == 1


def test_a_part_of_the_queue_is_kept_for_others() -> None:
    admission = Admission(slots=2, queue=16)
    held = [admission.enter("flood") for _ in range(16)]
    with pytest.raises(QueueFull):
        admission.enter("flood")
    admission.enter("other")
    with pytest.raises(QueueFull):
        admission.enter("other")
    admission.enter("third")
    with pytest.raises(QueueFull):
        admission.enter("fourth")
    for place in held:
        place.leave(served=True)
    assert admission.inside == 2
    admission.enter("flood")


@pytest.mark.parametrize(("queue", "seconds"), [(0, 1), (16, 9), (32, 17)])
def test_who_finds_the_queue_full_is_told_how_long_it_takes(
    queue: int, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two slots, and a second in one of them for each request; the queue has been full for minutes."""
    clock = Clock()
    monkeypatch.setattr("edgevlm_server.runtime.admission.time.monotonic", clock)
    admission = Admission(slots=2, queue=queue)
    inside = deque(admission.enter(f"client {number}") for number in range(2 + queue))
    for number in range(400):
        clock.now += 0.5
        inside.popleft().leave(served=True)
        inside.append(admission.enter(f"newcomer {number}"))
    assert admission.retry_after() == pytest.approx(seconds, abs=1)


def test_requests_at_once_are_counted_by_client_until_they_leave() -> None:
    admission = Admission(slots=2, queue=16, most_of_one=2)
    first = admission.enter("a", 3)  # of several answers it is one request
    admission.enter("a")
    with pytest.raises(RateLimited) as caught:
        admission.enter("a")
    assert caught.value.headers["retry-after"] == "2"  # four answers in two slots, a second each
    admission.enter("b")
    first.leave(served=True)
    first.leave(served=True)
    admission.enter("a")
