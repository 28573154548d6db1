"""A server that is asked this and that, on a device of files: what dashboard and rules are tried on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import NamedTuple

import httpx
from edgevlm_server.device.device import Device
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings

from tests.live import LiveServer, sse
from tests.server.device.trees import ORIN_NANO, machine

CLIENTS = ("camera-1", "camera-2")
CHAT = "/v1/chat/completions"


class Watched(NamedTuple):
    """A server, and the keys of its clients."""

    server: LiveServer
    keys: dict[str, str]

    def headers(self, client: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.keys[client]}"}


class Seen(NamedTuple):
    """One answer, as its client has seen it."""

    client: str | None
    """`None`: it had no valid key, or was not asked for one."""
    route: str
    status: int
    prompt: int = 0
    generated: int = 0


@contextmanager
def watched(bundle: Path, folder: Path) -> Iterator[Watched]:
    """`folder` is for its keys and its device."""
    keys = {client: add_key(folder / "keys", client) for client in CLIENTS}
    settings = Settings(engine="echo", metrics_clients=True)
    server = LiveServer(lambda: load_model(bundle, settings), settings, KeyRing.load(folder / "keys"))
    with machine(folder / "device", ORIN_NANO) as root, server:
        device = Device(root)
        server.service.metrics.watch(device)
        yield Watched(server, keys)
        device.close()


def load(on: Watched, rounds: int) -> list[Seen]:
    """Streams and whole answers, wrong bodies, keys and paths, by two clients at once."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda one: _ask(on, *one), product(CLIENTS, range(rounds))))


def _ask(on: Watched, client: str, number: int) -> Seen:
    body = {"messages": [{"role": "user", "content": f"question {number}"}], "max_tokens": 1 + number % 7}
    with httpx.Client(base_url=on.server.url, headers=on.headers(client), timeout=60) as http:
        match number % 5:
            case 0:
                return Seen(client, CHAT, http.post(CHAT, json={**body, "max_tokens": 0}).status_code)
            case 1:
                wrong = {"authorization": "Bearer wrong"}
                return Seen(None, CHAT, http.post(CHAT, json=body, headers=wrong).status_code)
            case 2:
                return Seen(None, "none", http.get("/v1/nothing").status_code)
            case 3:
                answer = http.post(CHAT, json=body)
                usage = answer.json()["usage"]
            case _:
                options = {"stream": True, "stream_options": {"include_usage": True}}
                with http.stream("POST", CHAT, json={**body, **options}) as answer:
                    usage = [event for event in sse(answer) if isinstance(event, dict)][-1]["usage"]
    return Seen(client, CHAT, answer.status_code, usage["prompt_tokens"], usage["completion_tokens"])
