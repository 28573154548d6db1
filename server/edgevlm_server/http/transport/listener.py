"""The sockets that the server listens on, and the file descriptors that its connections may take. Knows no HTTP."""

import errno
import logging
import resource
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from edgevlm_server.settings import SettingsError

log = logging.getLogger(__name__)

BACKLOG = 2048
DESCRIPTORS = 65_536
"""As many as the process asks for, where the system lets it choose."""
Addresses = Sequence[tuple[socket.AddressFamily, str]]
TRIES = 5
"""To find a port that is free at each of a host's addresses."""
RESERVED = 128
"""Descriptors for everything but clients: the model and its device, decode workers, pictures being fetched."""


@contextmanager
def listen(host: str, port: int, options: str = "--") -> Iterator[list[socket.socket]]:
    """Listening sockets, one for each address of the host. Raises `SettingsError` if they cannot be had.

    `options` is what comes before `host` and `port` in the names of the options that chose them.
    """
    addresses = _addresses(host, options)
    with ExitStack() as opened:
        for left in reversed(range(1 if port else TRIES)):
            try:
                sockets = opened.enter_context(_listening(host, addresses, port, options))
                break
            except SettingsError:
                # a port that was free at one address may be taken at the next
                if not left:
                    raise
        yield sockets


@contextmanager
def _listening(host: str, addresses: Addresses, port: int, options: str) -> Iterator[list[socket.socket]]:
    with ExitStack() as opened:
        wanted = port
        sockets: list[socket.socket] = []
        unavailable: OSError | None = None
        for family, address in addresses:
            try:
                sockets.append(opened.enter_context(_listener(family, address, port)))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise _cannot_listen(host, wanted, options, error) from None
                # a name may have an IPv6 address even where IPv6 is off
                unavailable = error
                continue
            # the second address gets the port that was chosen for the first
            port = sockets[0].getsockname()[1]
        if unavailable is not None and not sockets:
            raise _cannot_listen(host, wanted, options, unavailable)
        yield sockets


def connections_that_fit(wanted: int) -> int:
    """Raises the limit of file descriptors, and says how many of the connections fit below it; at least one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    raised = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < raised:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    if soft == resource.RLIM_INFINITY or soft - RESERVED >= wanted:
        return wanted
    most = max(1, soft - RESERVED)
    log.warning("At most %d connections instead of %d: there are %d file descriptors.", most, wanted, soft)
    return most


def _addresses(host: str, options: str) -> Addresses:
    """The addresses of a host, each once."""
    if host == "localhost":
        # clients try either; the file of host names often has one alone
        return [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise SettingsError(
            f"Cannot listen on {host}: {options}host needs an address or a name of this machine."
        ) from None
    return sorted({(family, str(address[0])) for family, *_, address in found})


def _listener(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it, an answer's second packet waits
    # for the client's word that the first has come, which clients hold back for 40 ms
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _cannot_listen(host: str, port: int, options: str, error: OSError) -> SettingsError:
    start = f"Cannot listen on {host} port {port}"
    if error.errno == errno.EADDRINUSE:
        return SettingsError(f"{start}: another program does. Choose another port with {options}port.")
    return SettingsError(f"{start}: {error.strerror or error}.")
