"""How many connections are open, in all and from each address, and how many may be. Knows addresses, no sockets."""

import ipaddress
from collections import Counter
from collections.abc import Sequence


class Connections:
    """Counts them; used on the event loop alone."""

    def __init__(self, most: int, most_of_one: int, unbounded: Sequence[str] = ()) -> None:
        """`unbounded` are addresses and networks without a bound of their own: a proxy stands for many clients."""
        self._most = most
        self._most_of_one = most_of_one
        self._unbounded = [ipaddress.ip_network(one) for one in unbounded]
        self._by_origin: Counter[bytes] = Counter()
        self.open = 0
        """Without those that were refused."""
        self.refused = 0
        """All that ever were."""
        self.lingering = 0
        """Refused ones that are still open, to be told so."""

    def enter(self, address: str) -> bool:
        """Count one more, or say that there are too many; then `refused_left` is due when it is closed."""
        origin = origin_of(address)
        if self.open >= self._most or (self._is_bounded(address) and self._by_origin[origin] >= self._most_of_one):
            self.refused += 1
            self.lingering += 1
            return False
        self.open += 1
        self._by_origin[origin] += 1
        return True

    def leave(self, address: str) -> None:
        """One that was let in is closed."""
        origin = origin_of(address)
        self.open -= 1
        self._by_origin[origin] -= 1
        if not self._by_origin[origin]:
            del self._by_origin[origin]

    def refused_left(self) -> None:
        """One that was refused is closed."""
        self.lingering -= 1

    def _is_bounded(self, address: str) -> bool:
        return not any(_address(address) in network for network in self._unbounded)


def _address(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    parsed = ipaddress.ip_address(address)
    return getattr(parsed, "ipv4_mapped", None) or parsed


def origin_of(address: str) -> bytes:
    """Who it is: one machine has any number of IPv6 addresses, but one network of 64 bits. Raises `ValueError`."""
    return _address(address).packed[:8]
