"""Which addresses a picture may be fetched from. Reads texts and compares; resolves no name and opens nothing.

The list is the operator's, an address is the client's. A host must be the listed text and nothing like it, so no
spelling of an address and no suffix of a name gets around the list.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import NamedTuple

MAX_URL = 2048

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_PORTS = {"http": 80, "https": 443}
# Characters as RFC 3986 has them, so that nothing in a path can end a header. No userinfo and no fragment.
_URL = re.compile(
    r"(https?)://(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::([0-9]{1,5}))?([/?][a-z0-9\-._~:/?\[\]@!$&'()*+,;=%]*)?",
    re.ASCII | re.IGNORECASE,
)
_ENTRY = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE)
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*", re.ASCII)
# `10.1` and `0x7f.1` are addresses to a resolver
_LIKE_AN_ADDRESS = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)", re.ASCII)
# IPv6 addresses that stand for IPv4 ones: a translator would carry the connection into that network
_TRANSLATORS = ("2001::/32", "2002::/16", "64:ff9b::/96", "64:ff9b:1::/48")
# private before there were fc00::/7, and the relays of 6to4: neither is public any more, whatever Python says
_FORMER = ("fec0::/10", "192.88.99.0/24")
_NOT_PUBLIC = tuple(ipaddress.ip_network(text) for text in (*_TRANSLATORS, *_FORMER))


class Target(NamedTuple):
    """What to ask whom. `host` in lower case, without brackets; `path` with its query, never empty."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def address(self) -> IPAddress | None:
        """The host, where it is an address and not a name."""
        return _address(self.host)

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ImageHosts:
    """`hosts`: names and addresses, each with a port or `None` for the scheme's own. `networks`: addresses that a
    name may lead to, on any port that is the name's."""

    hosts: frozenset[tuple[str, int | None]]
    networks: tuple[IPNetwork, ...]

    @classmethod
    def parse(cls, text: str) -> "ImageHosts":
        """From `camera-1.local,10.0.0.7:8080,10.1.0.0/24`. Raises ValueError with the entry that is none."""
        hosts: set[tuple[str, int | None]] = set()
        networks: list[IPNetwork] = []
        for entry in filter(None, (part.strip().lower() for part in text.split(","))):
            if "/" in entry:
                networks.append(_network(entry))
                continue
            host, port = _entry(entry)
            hosts.add((host, port))
            address = _address(host)
            # one with a port is for that port alone
            if address is not None and port is None:
                networks.append(ipaddress.ip_network(address))
        if not hosts and not networks:
            raise ValueError("at least one host is needed")
        return cls(frozenset(hosts), tuple(networks))

    def allow(self, target: Target) -> bool:
        """Whether the client may name this host and port."""
        usual = target.port == _PORTS[target.scheme]
        if (target.host, target.port) in self.hosts or (usual and (target.host, None) in self.hosts):
            return True
        address = target.address
        # an address listed alone is also a network of one: its port is decided above
        return usual and address is not None and any(address in n for n in self.networks if n.num_addresses > 1)

    def may_connect(self, address: IPAddress, port: int) -> bool:
        """Whether a listed name may lead here: to a public address, or to one that is listed itself."""
        address = _unmapped(address)
        listed = (str(address), port) in self.hosts or any(address in network for network in self.networks)
        return listed or _is_public(address)


def read_url(text: str) -> Target | None:
    """The parts of an http or https URL; `None` for whatever is not plainly one."""
    found = _URL.fullmatch(text) if len(text) <= MAX_URL else None
    if found is None:
        return None
    scheme, host = found[1].lower(), found[2].lower()
    port = _PORTS[scheme] if found[3] is None else int(found[3])
    if host.startswith("["):
        address = _address(host[1:-1])
        if address is None:
            return None
        host = str(address)
    path = found[4] or "/"
    return Target(scheme, host, port, path if path.startswith("/") else f"/{path}") if 0 < port < 65536 else None


def _entry(entry: str) -> tuple[str, int | None]:
    found = _ENTRY.fullmatch(entry)
    port = None if found is None or found[2] is None else int(found[2])
    if found is None or (port is not None and not 0 < port < 65536):
        raise _bad(entry)
    host = found[1]
    address = _address(host.strip("[]")) if host.startswith("[") or _LIKE_AN_ADDRESS.fullmatch(host) else None
    if address is not None:
        _refuse_groups(address, entry)
        return str(address), port
    if host.startswith("[") or _LIKE_AN_ADDRESS.fullmatch(host) or not _NAME.fullmatch(host):
        raise _bad(entry)
    return host, port


def _network(entry: str) -> IPNetwork:
    try:
        network = ipaddress.ip_network(entry)
    except ValueError:
        raise _bad(entry) from None
    if network.prefixlen == 0:
        raise ValueError(f"'{entry}' covers every address; list only the networks that are needed")
    _refuse_groups(network.network_address, entry)
    return network


def _refuse_groups(address: IPAddress, entry: str) -> None:
    if address.is_multicast or address.is_unspecified:
        raise _bad(entry)


def _bad(entry: str) -> ValueError:
    return ValueError(f"'{entry}' is not a host: use NAME, ADDRESS or NETWORK/BITS; :PORT may follow the first two")


def _address(host: str) -> IPAddress | None:
    try:
        return _unmapped(ipaddress.ip_address(host))
    except ValueError:
        return None


def _unmapped(address: IPAddress) -> IPAddress:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _is_public(address: IPAddress) -> bool:
    if any(address in network for network in _NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved
