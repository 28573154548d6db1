"""Ask one question of every new picture in a folder, or of a camera's snapshot address; an answer is a line of JSON.

python camera_loop.py FOLDER-OR-URL "What does the display read?" [SECONDS]

Python alone is enough. For another camera put a generator of its own in the place of `frames`.
"""

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path


def frames(source: str, seconds: float) -> Iterator[bytes]:
    """Pictures as files, in any format that the server reads. In a folder they must get their names when whole."""
    seen: set[str] = set()
    while True:
        if source.startswith(("http://", "https://")):
            with urllib.request.urlopen(source, timeout=10) as reply:
                yield reply.read()
        else:
            new = {path.name for path in Path(source).iterdir()} - seen
            seen |= new
            yield from ((Path(source) / name).read_bytes() for name in sorted(new))
        time.sleep(seconds)


def ask(frame: bytes, question: str) -> str:
    image = {"url": "data:;base64," + base64.b64encode(frame).decode()}
    content = [{"type": "image_url", "image_url": image}, {"type": "text", "text": question}]
    body = json.dumps({"messages": [{"role": "user", "content": content}]}).encode()
    url = os.environ.get("EDGEVLM_URL", "http://127.0.0.1:8000")
    key = os.environ.get("EDGEVLM_KEY", "none")
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request(f"{url}/v1/chat/completions", body, headers)
    with urllib.request.urlopen(request, timeout=120) as reply:
        return str(json.load(reply)["choices"][0]["message"]["content"])


def main(source: str, question: str, seconds: str = "1") -> None:
    for frame in frames(source, float(seconds)):
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        try:
            line["answer"] = ask(frame, question)
        except urllib.error.HTTPError as error:
            line["error"] = json.load(error)["error"]["message"]
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
