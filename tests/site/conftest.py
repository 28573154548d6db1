"""Three real servers behind a real nginx with the documented configuration, TLS and one key file, all on loopback."""

import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import trustme
from edgevlm_server.http.access.key_file import add_key

from benchmarks.nginx import SITE, Tls, nginx
from edgevlm.bench.bodies import drawn_pictures
from edgevlm.own_server import free_port
from tests.commands.serve_process import Process, ready, serve, started
from tests.server.engines import until

ESTABLISHED = "01"
"""A connection's state in /proc/net/tcp."""


class Device:
    """One server; after `replace` another process at the same address."""

    def __init__(self, bundle: Path, keys: Path, key: str, *options: str) -> None:
        self._command = serve(bundle, "--threads", "1", "--api-keys", keys, *options)
        self._key = key
        self._stack = ExitStack()
        # one that the system gives to nobody else while it is replaced
        self.process = self._start(str(free_port()))
        self.url = self.process.url()

    def __enter__(self) -> "Device":
        ready(self.url)
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    def replace(self) -> None:
        """The process has ended; a new one begins to count at zero."""
        assert self.process.process.poll() is not None
        self.process = self._start(self.host.partition(":")[2])
        assert self.process.url() == self.url
        ready(self.url)

    def unread(self) -> int:
        """Connections with bytes that it has not read, as the system counts them."""
        port = f":{int(self.host.partition(':')[2]):04X}"
        slots = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        here = [slot for slot in slots if slot[1].endswith(port) and slot[3] == ESTABLISHED]
        return sum(int(slot[4].partition(":")[2], 16) > 0 for slot in here)

    def metric(self, name: str) -> float:
        """The sum over all labels."""
        text = httpx.get(f"{self.url}/metrics", headers={"authorization": f"Bearer {self._key}"}, timeout=60).text
        lines = [line for line in text.splitlines() if line.partition(" ")[0].partition("{")[0] == name]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def _start(self, port: str) -> Process:
        return self._stack.enter_context(started([*self._command, "--port", port]))


class Site:
    """The devices, and a client for the address in front of them."""

    def __init__(self, devices: list[Device], client: httpx.Client, folder: Path) -> None:
        self.devices = devices
        self.client = client
        self.folder = folder

    def logged(self, request: str) -> str:
        """The proxy's line about a request, which it writes when the client has its answer already."""

        def found() -> list[str]:
            text = (self.folder / "access.log").read_text(encoding="utf-8")
            return [line for line in text.splitlines() if f" {request} " in line]

        until(found, "the log line")
        return found()[-1]

    def device(self, request: str) -> str:
        """HOST:PORT of the device that was asked; of two, both."""
        return self.logged(request).split('"')[1]

    def busy(self) -> list[Device]:
        """Devices that live and run a request."""
        alive = [device for device in self.devices if device.process.process.poll() is None]
        return [device for device in alive if device.metric("edgevlm_num_requests_running")]


@contextmanager
def running_site(bundle: Path, folder: Path, *options: str) -> Iterator[Site]:
    key = add_key(folder / "keys", "tests")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    tls = Tls(folder / "site.crt", folder / "site.key")
    certificate.cert_chain_pems[0].write_to_path(tls.certificate)
    certificate.private_key_pem.write_to_path(tls.key)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with ExitStack() as stack:
        created = [Device(bundle, folder / "keys", key, *options) for _ in range(3)]
        devices = [stack.enter_context(device) for device in created]
        url = stack.enter_context(nginx([device.host for device in devices], folder / "nginx", tls))
        headers = {"authorization": f"Bearer {key}"}
        client = httpx.Client(base_url=url, headers=headers, verify=trusting, timeout=60)
        yield Site(devices, stack.enter_context(client), folder / "nginx")


@pytest.fixture
def site(demo_model: Path, tmp_path: Path) -> Iterator[Site]:
    """On the demo model: its answers take long enough to be interrupted."""
    with running_site(demo_model, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def echo_site(bundles: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """For what needs no model. Tests leave its devices as they are."""
    with running_site(bundles("v2"), tmp_path_factory.mktemp("site"), "--engine", "echo") as made:
        yield made


@pytest.fixture
def hasty_site(bundles: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """One whose proxy has less patience; in its configuration nothing else differs."""
    text = SITE.read_text(encoding="utf-8")
    for name, seconds in (("proxy_read_timeout", 2), ("proxy_next_upstream_timeout", 1)):
        text, changed = re.subn(rf"({name} +)\d+s;", rf"\g<1>{seconds}s;", text)
        assert changed == 1
    (tmp_path / "hasty.conf").write_text(text, encoding="utf-8")
    monkeypatch.setattr("benchmarks.nginx.SITE", tmp_path / "hasty.conf")
    with running_site(bundles("v2"), tmp_path, "--engine", "echo") as made:
        yield made


@pytest.fixture(scope="session")
def picture() -> str:
    [drawn] = drawn_pictures([0])
    return drawn
