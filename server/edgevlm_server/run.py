"""The process: listens at once, loads beside it, drains on SIGTERM, and says with its exit code how it ended."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from edgevlm_engines import EngineError

from edgevlm_server.app import build_app
from edgevlm_server.keys import KeyRing
from edgevlm_server.metrics import Metrics
from edgevlm_server.model import Model
from edgevlm_server.service import Service
from edgevlm_server.settings import Settings, SettingsError

log = logging.getLogger(__name__)

EXIT_OK = 0
EXIT_ENGINE_DIED = 70
"""EX_SOFTWARE of sysexits.h: a supervisor should start the process again."""
EXIT_CANNOT_START = 78
"""EX_CONFIG of sysexits.h: starting again will not help before something is changed."""

DEATH_SECONDS = 1.0
"""How long a server whose engine died stays to tell its clients so."""


def serve(settings: Settings, load: Callable[[], Model]) -> int:
    """Run until a signal or a failure; return the exit code. `load` runs in a thread while the server answers 503."""
    keys = None if settings.api_keys is None else KeyRing.load(settings.api_keys)
    listener = listen(settings)
    try:
        return asyncio.run(_run(settings, keys, listener, load))
    finally:
        listener.close()


def listen(settings: Settings) -> socket.socket:
    """A bound socket. Raises `SettingsError` if the address cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"Cannot listen on {settings.host} port {settings.port}: {error.strerror or error}."
        ) from None
    return listener


async def _run(settings: Settings, keys: KeyRing | None, listener: socket.socket, load: Callable[[], Model]) -> int:
    service = Service(settings, Metrics())
    config = uvicorn.Config(
        build_app(service, keys),
        http="h11",  # the faster parser has no limit on headers
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    server = _Server(config, service)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    address = "http://{}:{}".format(*_url_parts(listener))
    log.info("Listening on %s; loading the model.", address)
    outcome = asyncio.create_task(_load_and_live(service, load, address))
    done, _ = await asyncio.wait({serving, outcome}, return_when=asyncio.FIRST_COMPLETED)
    code = outcome.result() if outcome in done else EXIT_OK
    server.should_exit = True
    await serving
    outcome.cancel()
    await service.close()
    return code


async def _load_and_live(service: Service, load: Callable[[], Model], address: str) -> int:
    """Ends only when there is a reason for the process to end other than a signal."""
    try:
        await service.start(load)
    except EngineError as error:
        log.error("%s", error)
        return EXIT_CANNOT_START
    log.info("Ready: %s/v1/chat/completions", address)
    await service.died.wait()
    await asyncio.sleep(DEATH_SECONDS)
    return EXIT_ENGINE_DIED


class _Server(uvicorn.Server):
    """uvicorn closes its listener on the first signal; this one first lets requests end and refuses new ones."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._draining: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by Python between two instructions of the event loop's thread; the loop itself may be asleep."""
        if self._draining is None and sig in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().call_soon_threadsafe(self._begin_drain)
        else:
            self.should_exit = self.force_exit = True

    def _begin_drain(self) -> None:
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        await self._service.drain()
        self.should_exit = True


def _url_parts(listener: socket.socket) -> tuple[str, int]:
    host, port = listener.getsockname()[:2]
    return (f"[{host}]" if ":" in host else host), port
