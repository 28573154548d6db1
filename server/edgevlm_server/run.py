"""The process: listens at once, loads beside it, drains on SIGTERM, and says with its exit code how it ended."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from types import FrameType
from typing import NamedTuple, NoReturn

from edgevlm_engines import DeviceError, EngineError, EngineLoadError, NotNow

from edgevlm_server.audit.audit import open_audit
from edgevlm_server.device.device import open_device
from edgevlm_server.exit_codes import EXIT_CANNOT_START, EXIT_ENGINE_DIED, EXIT_NOT_NOW, EXIT_OK
from edgevlm_server.http.access.credentials import Credentials
from edgevlm_server.http.app import build_app
from edgevlm_server.http.operation import build_metrics_app
from edgevlm_server.http.transport.connections import Connections
from edgevlm_server.http.transport.h11_protocol import HttpConfig
from edgevlm_server.http.transport.listener import connections_that_fit, listen
from edgevlm_server.http.transport.server import BesideServer, Server
from edgevlm_server.model import Model
from edgevlm_server.observe.levels import Levels
from edgevlm_server.observe.log_writer import write_rest
from edgevlm_server.observe.loop_lag import watch_lag
from edgevlm_server.observe.metrics import Metrics
from edgevlm_server.observe.record import Reader
from edgevlm_server.observe.traces import traced
from edgevlm_server.reload import Reloader, ignore_hangup, on_hangup
from edgevlm_server.service import Service
from edgevlm_server.settings import Settings
from edgevlm_server.stations import Stations

log = logging.getLogger(__name__)

METRICS_CONNECTIONS = 16
"""Of the listener for metrics; their descriptors are among those that are held back for the server itself."""


def serve(settings: Settings, load: Callable[[], Model]) -> int:
    """Run until a signal or a failure; return the exit code. `load` runs in a thread while the server answers 503.

    If a thread cannot be ended, the process ends here with the code, without returning. SIGINT, SIGTERM and SIGHUP
    are taken for good.
    """
    ignore_hangup()
    credentials = Credentials.load(settings)
    stations = Stations.of(settings)
    most = connections_that_fit(settings.max_connections)
    with (
        listen(settings.host, settings.port) as listeners,
        _metrics_listener(settings) as for_metrics,
        traced(settings.otlp_endpoint) as readers,
    ):
        try:
            return asyncio.run(
                _run(settings, credentials, stations, Listeners(listeners, for_metrics), most, readers, load)
            )
        finally:
            # Python's own end would give it back its default
            ignore_hangup()


class Listeners(NamedTuple):
    """Sockets of the API, and of what `--metrics-port` opens."""

    api: list[socket.socket]
    metrics: list[socket.socket]


class _Tasks(NamedTuple):
    """What runs beside the requests until the server has ended; `over` waits for a reason to end it."""

    loading: asyncio.Task[EngineError | None]
    watching: asyncio.Task[None]
    over: asyncio.Task[int]


def _metrics_listener(settings: Settings) -> AbstractContextManager[list[socket.socket]]:
    if settings.metrics_port is None:
        return nullcontext([])
    return listen(settings.metrics_host, settings.metrics_port, "--metrics-")


async def _run(
    settings: Settings,
    credentials: Credentials,
    stations: Stations,
    listeners: Listeners,
    most_connections: int,
    readers: Sequence[Reader],
    load: Callable[[], Model],
) -> int:
    metrics = Metrics.of(settings)
    audit = open_audit(settings, metrics)
    service = Service(settings, metrics, audit)
    for reader in readers:
        service.readers.add(reader)
    app = build_app(service, credentials.keys, stations)
    config = HttpConfig(app, settings, most_connections, service.readers, credentials.certificate)
    _watch_connections(metrics.levels, config.open_connections, most_connections)
    lag = asyncio.create_task(watch_lag(metrics.loop_lag.observe))
    server = _Server(config, service)
    reloader = credentials.reloader()
    stations.watched_by(reloader)
    # at once, and not when the task begins: whoever reads that it listens may hang up
    on_hangup(asyncio.get_running_loop(), reloader.hang_up)
    reloader.start()
    async with _metrics_served(service, listeners.metrics):
        serving = asyncio.create_task(server.serve(sockets=listeners.api))
        # whose first step takes the signals: whoever reads that it listens may send one
        await asyncio.sleep(0)
        addresses = [_url(listener, encrypted=credentials.certificate is not None) for listener in listeners.api]
        log.info("Listening on %s; loading the model.", " and ".join(addresses))
        loading = asyncio.create_task(_load(service, load, addresses[0] + (settings.root_path or "")))
        watching = asyncio.create_task(service.watch_device(open_device))
        over = asyncio.create_task(_reason_to_end(service, loading))
        await asyncio.wait({serving, over}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    lag.cancel()
    return await _close(service, server, reloader, _Tasks(loading, watching, over))


async def _close(service: Service, server: "_Server", reloader: Reloader, tasks: _Tasks) -> int:
    """The exit code, once nothing is left to do; where a thread cannot be ended, the process ends here with it."""
    loading, watching, over = tasks
    ended = EXIT_ENGINE_DIED if service.died.is_set() else EXIT_OK
    code = over.result() if over.done() else ended
    clean = await service.close() and server.clean and loading.done() and watching.done()
    # last of all: until the last byte is out there may be more to write
    clean &= await service.end_audit()
    over.cancel()
    reloader.end()
    watching.cancel()
    if loading.done() and (reason := loading.result()) is not None:
        # last, where the person who reads the end of a log looks
        log.error("%s", reason)
    # beside a dead engine no thread is waited for: a name server or a grammar may keep one for seconds
    if not clean or code == EXIT_ENGINE_DIED:
        _leave(code)
    return code


async def _load(service: Service, load: Callable[[], Model], address: str) -> EngineError | None:
    """Why the model cannot be loaded; `None` if it is."""
    try:
        await service.start(load)
    except EngineError as error:
        return error
    except OSError as error:
        return EngineLoadError(f"{error.filename or 'A file'} cannot be used: {error.strerror or error}.")
    if service.state != "ready":
        return None
    _keep_for_good()
    log.info("Ready: %s/v1/chat/completions", address)
    if not service.settings.no_page:
        log.info("Try it in a browser: %s/", address)
    return None


def _keep_for_good() -> None:
    """What is here now stays: looking through it for garbage, again and again, would hold up every stream."""
    gc.collect()
    gc.freeze()


async def _reason_to_end(service: Service, loading: asyncio.Task[EngineError | None]) -> int:
    """Waits for a reason other than a signal; the exit code that it means."""
    if (reason := await asyncio.shield(loading)) is not None:
        # a device that fails before anything is asked of it may be held by others
        return EXIT_NOT_NOW if isinstance(reason, NotNow | DeviceError) else EXIT_CANNOT_START
    await service.died.wait()
    return EXIT_ENGINE_DIED


def _leave(code: int) -> NoReturn:
    """End without waiting for threads that may never end: a load under way, an engine that hangs."""
    write_rest(logging.shutdown)
    os._exit(code)


class _Server(Server):
    """uvicorn closes its listener on the first signal; this one first lets requests end and refuses new ones."""

    def __init__(self, config: HttpConfig, service: Service) -> None:
        super().__init__(config)
        self.clean = True
        """False once something did not end when it was told to."""
        self._service = service
        self._draining: asyncio.Task[None] | None = None
        self._signals = 0

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """For good: what is left to do behind the last answer ends the process with the code of its own."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by Python between two instructions of the event loop's thread; the loop itself may be asleep."""
        self._signals += 1
        if self._signals > 1:
            _leave(128 + sig)
        with suppress(RuntimeError):  # behind the loop's end there is nothing to drain
            asyncio.get_running_loop().call_soon_threadsafe(self._begin_drain)

    def _begin_drain(self) -> None:
        self._draining = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        try:
            self.clean = await self._service.drain()
        finally:
            self.should_exit = True


@asynccontextmanager
async def _metrics_served(service: Service, listeners: list[socket.socket]) -> AsyncIterator[None]:
    """On listeners of their own, if there are any: also while requests end."""
    if not listeners:
        yield
        return
    config = HttpConfig(build_metrics_app(service), service.settings, METRICS_CONNECTIONS, service.readers)
    server = BesideServer(config)
    serving = asyncio.create_task(server.serve(sockets=listeners))
    log.info("Metrics: %s", " and ".join(f"{_url(one, encrypted=False)}/metrics" for one in listeners))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


def _watch_connections(levels: Levels, connections: Connections, limit: int) -> None:
    levels.watch("connections", lambda: connections.open)
    levels.watch("connections_limit", lambda: limit)
    levels.watch("connections_refused", lambda: connections.refused)


def _url(listener: socket.socket, *, encrypted: bool) -> str:
    scheme, (host, port) = "https" if encrypted else "http", listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
