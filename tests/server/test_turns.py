"""Turns: nobody waits behind all that another has sent."""

from collections import Counter
from collections.abc import Callable

from edgevlm_server.turns import Turns
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

CLIENTS = ("a", "b", "c", "d")


class Machine(RuleBasedStateMachine):
    """`served[client][other]`: how many of the other were taken while the client's first has been waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: Turns[tuple[str, int]] = Turns()
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
        self.turns.add(client, item)

    @precondition(lambda self: any(self.waiting.values()))
    @rule()
    def take(self) -> None:
        client, number = self.turns.take()
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
        self.turns.remove(item[0], item)
        self.turns.remove(item[0], item)  # harmless

    @invariant()
    def counts(self) -> None:
        assert len(self.turns) == sum(map(len, self.waiting.values()))
        assert bool(self.turns) == bool(len(self.turns))


Machine.TestCase.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
TestTurns: Callable[[], object] = Machine.TestCase


@given(st.lists(st.integers()))
def test_one_client_alone_is_first_come_first_served(items: list[int]) -> None:
    turns: Turns[int] = Turns()
    for item in items:
        turns.add("", item)
    assert [turns.take() for _ in items] == items
