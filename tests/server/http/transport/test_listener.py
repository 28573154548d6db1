"""The listening sockets: one for each address of the host, and their connections send what they have at once."""

import asyncio
import socket
from pathlib import Path

import pytest
from edgevlm_server.http.transport.listener import listen
from edgevlm_server.settings import SettingsError


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_no_packet_waits_for_the_one_before_it(host: str) -> None:
    async def nodelay() -> int:
        accepted: asyncio.Queue[int] = asyncio.Queue()

        class Noting(asyncio.Protocol):
            """Notes the option of each connection."""

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                connection = transport.get_extra_info("socket")
                accepted.put_nowait(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
                transport.close()

        with listen(host, 0) as [listener]:
            server = await asyncio.get_running_loop().create_server(Noting, sock=listener)
            async with server:
                _, writer = await asyncio.open_connection(*listener.getsockname()[:2])
                option = await asyncio.wait_for(accepted.get(), 10)
                writer.close()
                return option

    assert asyncio.run(nodelay()) != 0


IPV6 = socket.has_ipv6 and Path("/proc/net/if_inet6").exists()


def reached(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=10).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("localhost", ["127.0.0.1", "::1"]),
        ("::1", ["::1"]),
        ("127.0.0.1", ["127.0.0.1"]),
        ("0.0.0.0", ["127.0.0.1"]),
        ("::", ["127.0.0.1", "::1"]),
    ],
)
@pytest.mark.skipif(not IPV6, reason="this machine has no IPv6")
def test_a_host_is_all_of_its_addresses(host: str, addresses: list[str]) -> None:
    with listen(host, 0) as listeners:
        [port] = {listener.getsockname()[1] for listener in listeners}
        assert [address for address in ("127.0.0.1", "::1") if reached(address, port)] == addresses
    assert not any(reached(address, port) for address in addresses)


def test_ipv4_is_enough_where_ipv6_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name may have an address that the machine has not; here the name server is a stand-in."""
    found = [(socket.AF_INET, 1, 6, "", ("127.0.0.1", 0)), (socket.AF_INET6, 1, 6, "", ("2001:db8::1", 0, 0, 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: found)
    with listen("edge-box", 0) as [listener]:
        assert listener.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_of_this_machine_is_one_sentence(host: str) -> None:
    with pytest.raises(SettingsError, match=f"Cannot listen on {host}"), listen(host, 0):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("options", ["--", "--metrics-"])
def test_a_port_in_use_names_the_option(host: str, options: str) -> None:
    with listen("127.0.0.1", 0) as [taken]:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f" {options}port"), listen(host, port, options):
            pass
