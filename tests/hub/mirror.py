"""A server on loopback that speaks as much of the hub's protocol as a pull needs, and misbehaves on demand."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

LARGE = 4096
"""From this size on a file is listed with its SHA-256, as the hub does for what Git LFS keeps."""


@dataclass
class Mirror:
    """Repositories by `OWNER/NAME`, each a folder at a commit. Fields below are what tests change."""

    folders: dict[str, Path]
    commits: dict[str, str]
    url: str = ""
    token: str | None = None
    """Asked for, if there is one."""
    break_after: dict[str, int] = field(default_factory=dict)
    """Bytes of a file after which a connection is cut."""
    changed: set[str] = field(default_factory=set)
    """Files that have other content than is listed, of the same size."""
    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Status and header fields of the next answers to requests for files."""
    listing_refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    ranges: bool = True
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """File and range of each request for a file; the listing is called so."""

    def asked(self, name: str) -> list[str | None]:
        """Ranges that were asked for of a file."""
        return [span for path, span in self.requests if path == name]

    def listing(self, repository: str) -> dict[str, object]:
        folder = self.folders[repository]
        siblings = [_listed(path) for path in sorted(folder.iterdir())]
        return {"id": repository, "sha": self.commits[repository], "siblings": siblings}


@contextmanager
def running(folders: dict[str, Path], commits: dict[str, str]) -> Iterator[Mirror]:
    mirror = Mirror(folders, commits)
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"mirror": mirror}))
    mirror.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield mirror
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def git_digest(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _listed(path: Path) -> dict[str, object]:
    content = path.read_bytes()
    entry: dict[str, object] = {"rfilename": path.name, "size": len(content), "blobId": git_digest(content)}
    if len(content) >= LARGE:
        entry["lfs"] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "pointerSize": 134}
    return entry


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a connection that a client keeps open must not hold up the end of a test


class _Handler(BaseHTTPRequestHandler):
    mirror: Mirror
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).lstrip("/")
        if self.mirror.token and self.headers.get("Authorization") != f"Bearer {self.mirror.token}":
            self._refuse(401, {})
        elif path.startswith("api/models/"):
            self._list(path.removeprefix("api/models/"))
        elif "/resolve/" in path:
            self._give(path)
        else:
            self._refuse(404, {})

    def _list(self, path: str) -> None:
        repository, _, revision = path.partition("/revision/")
        self.mirror.requests.append(("listing", None))
        if self.mirror.listing_refusals:
            self._refuse(*self.mirror.listing_refusals.pop(0))
        elif repository not in self.mirror.folders:
            self._refuse(404, {"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", self.mirror.commits[repository]):
            self._refuse(404, {"X-Error-Code": "RevisionNotFound"})
        else:
            self._answer(200, json.dumps(self.mirror.listing(repository)).encode(), {})

    def _give(self, path: str) -> None:
        repository, _, rest = path.partition("/resolve/")
        name = rest.partition("/")[2]
        span = self.headers.get("Range")
        self.mirror.requests.append((name, span))
        if self.mirror.refusals:
            self._refuse(*self.mirror.refusals.pop(0))
            return
        content = (self.mirror.folders[repository] / name).read_bytes()
        if name in self.mirror.changed:
            content = content[:-1] + bytes([content[-1] ^ 1])
        start = int((span or "bytes=0-").removeprefix("bytes=").partition("-")[0]) if self.mirror.ranges else 0
        head = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        self._answer(206 if start else 200, content[start:], head, self.mirror.break_after.get(name))

    def _refuse(self, status: int, headers: dict[str, str]) -> None:
        self._answer(status, b'{"error": "no"}', headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str], most: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:most])
        if most is not None and most < len(body):
            self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None: ...
