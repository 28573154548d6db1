"""A server that answers chat requests from a script: a stand-in for a model that says what a test needs."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, str | None]
"""A status, and what is said with it: `None` is a refusal."""


class Script:
    """`say` maps a request's body to a reply. `asked` are all bodies so far, `widest` the most at one time.

    `keys` is what was sent to be let in.
    """

    def __init__(self, say: Callable[[dict[str, Any]], Reply]) -> None:
        self.say = say
        self.asked: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.widest = self._now = 0
        self._lock = threading.Lock()

    def reply(self, body: dict[str, Any]) -> Reply:
        with self._lock:
            self.asked.append(body)
            self._now += 1
            self.widest = max(self.widest, self._now)
        try:
            return self.say(body)
        finally:
            with self._lock:
                self._now -= 1


def text_of(body: dict[str, Any]) -> str:
    parts = body["messages"][0]["content"]
    (text,) = (part["text"] for part in parts if part["type"] == "text")
    return str(text)


def pictures_of(body: dict[str, Any]) -> list[str]:
    parts = body["messages"][0]["content"]
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


@contextmanager
def scripted_server(script: Script, model: str = "scripted") -> Iterator[str]:
    """Its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(200, {"data": [{"id": model}]})

        def do_POST(self) -> None:
            script.keys.add(self.headers["Authorization"])
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, text = script.reply(body)
            said = {"choices": [{"message": {"content": text}}]}
            self._send(status, said if status == 200 else {"error": {"message": text}})

        def _send(self, status: int, body: object) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
