"""The fair queue: nobody waits behind all that another has sent."""

from collections import Counter
from collections.abc import Callable

from edgevlm_server.fair_queue import FairQueue
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

CLIENTS = ("a", "b", "c", "d")


class Machine(RuleBasedStateMachine):
    """`served[client][other]`: how many of the other were taken while the client's first has been waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: FairQueue[tuple[str, int]] = FairQueue()
        self.waiting: dict[str, list[tuple[str, int]]] = {client: [] for client in CLIENTS}
        self.served: dict[str, Counter[str]] = {client: Counter() for client in CLIENTS}
        self.count = 0

    @rule(client=st.sampled_from(CLIENTS))
    def arrive(self, client: str) -> None:
        self.count += 1
        if not self.waiting[client]:
            self.served[client] = Counter()
        item = (client, self.count)
        self.waiting[client].append(item)
        self.queue.add(client, item)

    @precondition(lambda self: any(self.waiting.values()))
    @rule()
    def take(self) -> None:
        client, number = self.queue.take()
        assert (client, number) == self.waiting[client].pop(0), "a client's own order changes"
        self.served[client] = Counter()
        for other in CLIENTS:
            if self.waiting[other] and other != client:
                self.served[other][client] += 1
                assert self.served[other][client] <= 1, f"{other} waits for a second one of {client}"

    @precondition(lambda self: any(self.waiting.values()))
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from([one for queue in self.waiting.values() for one in queue]))
        self.waiting[item[0]].remove(item)
        self.queue.remove(item[0], item)
        self.queue.remove(item[0], item)  # harmless

    @invariant()
    def counts(self) -> None:
        assert len(self.queue) == sum(map(len, self.waiting.values()))
        assert bool(self.queue) == bool(len(self.queue))


Machine.TestCase.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
TestFairQueue: Callable[[], object] = Machine.TestCase


@given(st.lists(st.integers()))
def test_one_client_alone_is_first_come_first_served(items: list[int]) -> None:
    queue: FairQueue[int] = FairQueue()
    for item in items:
        queue.add("", item)
    assert [queue.take() for _ in items] == items
