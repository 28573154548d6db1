"""The product's server in a thread of the test process, on a real socket, with any engine behind it."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from edgevlm_engines import Engine, open_bundle
from edgevlm_server.audit.audit import open_audit
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.http.app import build_app
from edgevlm_server.http.transport.h11_protocol import HttpConfig
from edgevlm_server.http.transport.listener import listen
from edgevlm_server.http.transport.server import Server
from edgevlm_server.http.transport.tls import Certificate
from edgevlm_server.model import Model, load_model
from edgevlm_server.observe.metrics import Metrics
from edgevlm_server.service import Service
from edgevlm_server.settings import Settings
from edgevlm_server.stations import Stations
from edgevlm_server.text.tokenizer import Tokenizer


class LiveServer:
    """Serves from `__enter__` to `__exit__`; `client` is an httpx client for it."""

    def __init__(
        self,
        load: Callable[[], Model],
        settings: Settings,
        keys: KeyRing | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        self._load = load
        self._settings = replace(settings, port=0)
        self._keys = keys
        self._certificate = certificate
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="live server")
        self._failure: BaseException | None = None

    @classmethod
    def on_bundle(cls, bundle: Path, **settings: Any) -> "LiveServer":
        """The real way to load a model."""
        chosen = Settings(**settings)
        return cls(lambda: load_model(bundle, chosen), chosen)

    @classmethod
    def on_engine(cls, bundle: Path, engine: Engine, **settings: Any) -> "LiveServer":
        """An engine of the test's own, with the tokenizer and the manifest of a bundle."""
        opened = open_bundle(bundle)
        model = Model(opened.manifest, Tokenizer(opened.path("tokenizer.model")), engine)
        return cls(lambda: model, Settings(max_batch=engine.info.slots, **settings))

    def __enter__(self) -> "LiveServer":
        self._thread.start()
        assert self._started.wait(200), "the server did not start"
        if self._failure is not None:
            raise self._failure
        # whose certificate it is, a test of it asks with a client of its own
        self.client = httpx.Client(base_url=self.url, timeout=120, verify=self._certificate is None)
        return self

    def __exit__(self, *exception: object) -> None:
        self.client.close()
        # a test may have stopped it already, and its loop may be closed
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(200)
        assert not self._thread.is_alive(), "the server did not stop"

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    @property
    def url(self) -> str:
        return f"{'http' if self._certificate is None else 'https'}://127.0.0.1:{self.port}"

    def chat(self, text: str = "hello", **fields: Any) -> httpx.Response:
        """Post one user message."""
        body = {"messages": [{"role": "user", "content": text}], **fields}
        return self.client.post("/v1/chat/completions", json=body)

    def metrics(self) -> dict[str, float]:
        """Every series by its name with labels."""
        lines = self.service.metrics.text().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        try:
            metrics = Metrics.of(self._settings)
            self.service = Service(self._settings, metrics, open_audit(self._settings, metrics))
            listening = listen(self._settings.host, self._settings.port)
            listeners = listening.__enter__()
            self.port = listeners[0].getsockname()[1]
            app = build_app(self.service, self._keys, Stations.of(self._settings))
            most, readers = self._settings.max_connections, self.service.readers
            config = HttpConfig(app, self._settings, most, readers, self._certificate)
            self.places = config.open_connections
            server = Server(config)
            # signals belong to the test process
            serving = asyncio.create_task(server._serve(sockets=listeners))
            await self.service.start(self._load)
        except BaseException as error:
            self._failure = error
            self._started.set()
            return
        self._started.set()
        await self._stop.wait()
        await self.service.drain()
        server.should_exit = True
        await serving
        assert await self.service.end_audit()
        listening.__exit__(None, None, None)


def sse(response: httpx.Response) -> Iterator[dict[str, Any] | str]:
    """The events of a stream as they come: parsed bodies, and the text `[DONE]`."""
    for line in response.iter_lines():
        if line.startswith("data: "):
            data = line.removeprefix("data: ")
            yield data if data == "[DONE]" else json.loads(data)
