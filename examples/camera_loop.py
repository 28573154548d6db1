"""Ask one question of every new picture in a folder, or of a camera's snapshot address; an answer is a line of JSON.

python camera_loop.py FOLDER-OR-URL "What does the display read?" [SECONDS]

Python alone is enough. For another camera put a generator of its own in the place of `frames`.
"""

import base64
import contextlib
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path


def frames(source: str, seconds: float) -> Iterator[bytes]:
    """Pictures as files, in any format that the server reads. In a folder they must get their names when whole.

    A camera or a folder that does not answer is asked again.
    """
    seen: set[str] = set()
    while True:
        try:
            if source.startswith(("http://", "https://")):
                with urllib.request.urlopen(source, timeout=10) as reply:
                    yield reply.read()
            else:
                new = {path.name for path in Path(source).iterdir() if path.is_file()} - seen
                for name in sorted(new):
                    # one that is gone by then must not take those behind it along
                    seen.add(name)
                    yield (Path(source) / name).read_bytes()
        except (OSError, http.client.HTTPException) as error:
            print(f"{source}: {error}", file=sys.stderr, flush=True)
        time.sleep(seconds)


def ask(frame: bytes, question: str) -> dict[str, str | None]:
    """The answer, and why it is none if it is a refusal: the model's own, or one that is not sure enough."""
    image = {"url": "data:;base64," + base64.b64encode(frame).decode()}
    content = [{"type": "image_url", "image_url": image}, {"type": "text", "text": question}]
    body = json.dumps({"messages": [{"role": "user", "content": content}]}).encode()
    url = os.environ.get("EDGEVLM_URL", "http://127.0.0.1:8000")
    key = os.environ.get("EDGEVLM_KEY", "none")
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request(f"{url}/v1/chat/completions", body, headers)
    with urllib.request.urlopen(request, timeout=120) as reply:
        choice = json.load(reply)["choices"][0]
    return {"answer": choice["message"]["content"], "refused": choice["refused"]}


def why(error: Exception) -> str:
    """In the server's own words, if it was the server that answered: a proxy in front of it has others."""
    if isinstance(error, urllib.error.HTTPError):
        with contextlib.suppress(ValueError, LookupError, TypeError):
            return str(json.load(error)["error"]["message"])
    return str(error)


def main(source: str, question: str, seconds: str = "1") -> None:
    for frame in frames(source, float(seconds)):
        line: dict[str, str | None] = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        try:
            line |= ask(frame, question)
        except (OSError, ValueError, http.client.HTTPException) as error:
            line["error"] = why(error)
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
