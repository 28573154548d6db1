"""What the worst bodies take of memory, beside the memory plan: `python -m benchmarks.bodies BUNDLE` (or `demo`).

Each kind of body is as large as the server allows, and is sent to a server of its own, which runs the echo engine:
many at once, or one after the other by a single client. What counts is how far the server's own process grows beyond
what it took when it was ready; the plan's share for requests is the bound.
"""

import argparse
import asyncio
import base64
import io
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from edgevlm_engines import Demand, plan_memory, read_manifest
from edgevlm_server.images.formats.limits import ImageLimits
from edgevlm_server.settings import Settings
from PIL import Image

from benchmarks.command import run_command
from benchmarks.machine import heading
from benchmarks.measure import memory
from benchmarks.report import table
from edgevlm.demo_bundle import find_bundle
from edgevlm.http_client import ExchangeError, Server, read
from edgevlm.own_server import own_process

MIB = 2**20
CHAT = "/v1/chat/completions"
COLUMNS = ("body", "sent", "at once", "answers", "grew at most, MiB", "and kept, MiB", "plan, MiB")
LARGEST_PICTURE = ImageLimits().max_bytes
SLACK = 1024
"""Bytes that a body stays below the limit."""


class Body(NamedTuple):
    """What is posted where."""

    content: bytes
    path: str = CHAT
    content_type: str = "application/json"


def emoji_in_a_picture(size: int) -> Body:
    """One character beyond the base plane makes every character four bytes wide."""
    return _chat([{"type": "image_url", "image_url": {"url": _filled("data:image/png;base64,\U0001f600", size)}}])


def emoji_in_metadata(size: int) -> Body:
    """A field that is accepted and forgotten."""
    return _chat("hello", max_tokens=1, metadata={"note": _filled("\U0001f600", size)})


def emoji_in_a_text(size: int) -> Body:
    return _chat(_filled("\U0001f600", size))


def emoji_in_many_texts(size: int) -> Body:
    """None of them is long enough to be told from a prompt."""
    share = size // 200
    return _chat(
        [{"type": "text", "text": _filled("\U0001f600", share)} for _ in range(60)],
        metadata={f"note{n}": _filled("\U0001f600", share) for n in range(140)},
    )


def emoji_in_a_name(size: int) -> Body:
    return _chat("hello", **{_filled("\U0001f600", size): 1})


def escapes(size: int) -> Body:
    """Each character of a picture written as an escape."""
    return Body(
        b'{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"'
        + b"ab\\/" * ((size - SLACK) // 4)
        + b'"}}]}]}'
    )


def photo(size: int) -> Body:
    """A valid picture, no two alike; it is decoded and encoded."""
    url = "data:image/jpeg;base64," + base64.b64encode(_jpeg(min((size - SLACK) * 3 // 4, LARGEST_PICTURE))).decode()
    return _chat([{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "?"}], max_tokens=1)


def form(size: int) -> Body:
    """The same as a file of a form."""
    picture = _jpeg(min(size - SLACK, LARGEST_PICTURE))
    head = b'--X\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    tail = b'\r\n--X\r\nContent-Disposition: form-data; name="question"\r\n\r\n?\r\n--X--\r\n'
    return Body(head + picture + tail, "/ask", "multipart/form-data; boundary=X")


def many_values(size: int) -> Body:
    """As many as a body may hold, each in an object of its own."""
    values = ",".join(f'{{"{n}\U0001f600":"{"x" * (size // 25_000 - 40)}"}}' for n in range(16_000))
    return Body(f'{{"messages":[{{"role":"user","content":"hello"}}],"metadata":[{values}]}}'.encode())


BODIES: dict[str, Callable[[int], Body]] = {
    "a picture with an emoji in it": emoji_in_a_picture,
    "metadata with an emoji": emoji_in_metadata,
    "a text with an emoji": emoji_in_a_text,
    "200 texts with emojis": emoji_in_many_texts,
    "a name with an emoji": emoji_in_a_name,
    "a picture full of escapes": escapes,
    "as many values as allowed": many_values,
    "a valid photo": photo,
    "a form with a valid photo": form,
}


class Row(NamedTuple):
    """One kind of body, sent to one server; sizes in bytes."""

    name: str
    sent: int
    at_once: int
    answers: Counter[str]
    grew: int
    kept: int
    plan: int


def drive(bundle: Path, name: str, sent: int, at_once: int, options: Sequence[str]) -> Row:
    """A server of its own gets `sent` bodies, `at_once` together."""
    settings = Settings()
    with own_process(bundle, ["--engine", "echo", *options]) as own:
        server = Server.at(own.url)
        before = memory(own.process).now
        answers = asyncio.run(_send(server, BODIES[name], settings.max_body, sent, at_once))
        after = memory(own.process)
    return Row(name, sent, at_once, answers, after.peak - before, after.now - before, requests_plan(bundle, settings))


def requests_plan(bundle: Path, settings: Settings) -> int:
    """The plan's share for requests, in bytes."""
    demand = Demand(
        slots=settings.max_batch,
        max_length=1,
        image_cache=0,
        prefix_cache=0,
        queue=settings.max_queue,
        max_body=settings.max_body,
    )
    return plan_memory(read_manifest(bundle), demand, "nowhere").requests


async def _send(server: Server, make: Callable[[int], Body], size: int, sent: int, at_once: int) -> Counter[str]:
    left = iter(range(sent))
    answers: Counter[str] = Counter()

    async def client(body: Body) -> None:
        for _ in left:
            try:
                answer = await read(server, "POST", body.path, body.content, {"Content-Type": body.content_type})
                answers[str(answer.status)] += 1
            except ExchangeError:
                answers["no answer"] += 1

    await asyncio.gather(*(client(make(size)) for _ in range(at_once)))
    return answers


def _chat(content: object, **fields: object) -> Body:
    whole = {"messages": [{"role": "user", "content": content}], **fields}
    return Body(json.dumps(whole, ensure_ascii=False).encode())


def _filled(start: str, size: int) -> str:
    return start + "A" * (size - SLACK - len(start.encode()))


def _jpeg(size: int) -> bytes:
    """A small picture with so many bytes of comments, all different from the last."""
    file = io.BytesIO()
    Image.new("RGB", (32, 32), (random.randrange(256), 0, 0)).save(file, "JPEG")
    picture = file.getvalue()
    comments = b"".join(_comments(size - len(picture)))
    return picture[:2] + comments + picture[2:]


def _comments(size: int) -> Iterator[bytes]:
    while size > 4:
        length = min(size - 4, 60_000)
        yield b"\xff\xfe" + (length + 2).to_bytes(2, "big") + random.randbytes(length)
        size -= length + 4


def cells(row: Row) -> list[str]:
    """A line of the table."""
    return [
        row.name,
        str(row.sent),
        str(row.at_once),
        ", ".join(f"{count} x {status}" for status, count in sorted(row.answers.items())),
        *(f"{size / MIB:.0f}" for size in (row.grew, row.kept, row.plan)),
    ]


def main() -> None:
    arguments, options = _parser().parse_known_args()
    bundle = find_bundle(None if arguments.bundle == "demo" else Path(arguments.bundle))
    chosen = [name for name in BODIES if arguments.only is None or arguments.only in name]
    loads = [(arguments.bodies, arguments.at_once), (arguments.bodies, 1)]
    rows = [drive(bundle, name, sent, at_once, options) for name in chosen for sent, at_once in loads]
    print(f"{heading()}\n")
    print(table(COLUMNS, map(cells, rows)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bodies",
        description=(__doc__ or "").partition("\n")[0],
        epilog="Any other option is handed to 'edgevlm serve'.",
        allow_abbrev=False,
    )
    parser.add_argument("bundle", help="folder made by 'edgevlm export', or 'demo'")
    parser.add_argument("--bodies", type=int, default=80, metavar="N", help="of each kind (default: 80)")
    parser.add_argument("--at-once", type=int, default=25, metavar="N", help="of them (default: 25)")
    parser.add_argument("--only", metavar="WORD", help="kinds of bodies with this word in their names")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
