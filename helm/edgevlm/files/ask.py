"""`helm test`: asks a server about a picture, for a whole answer or a stream, and fails unless one comes.

ask.py URL PICTURE whole|stream; ASK_KEYS says whether the server has keys (yes, no), ASK_KEY is one of them. Needs
nothing but Python, because it runs in the server's image without the server's own code.
"""

import base64
import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request

QUESTION = "What does the display read?"
ATTEMPTS = 12
PAUSE = 5
"""Seconds between two attempts while the server cannot be reached, is loading, or is full."""
UNCHECKED = ssl._create_unverified_context()
"""A certificate is for the name that clients use, and not for the service's name inside the cluster."""


def ask(url: str, picture: str, stream: bool, key: str) -> str:
    """The answer's text. Raises `HTTPError` for a refusal, `ValueError` for an answer that is not whole."""
    with open(picture, "rb") as file:
        data = base64.b64encode(file.read()).decode()
    content = [
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}},
        {"type": "text", "text": QUESTION},
    ]
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": 32, "stream": stream}
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=120, context=UNCHECKED) as response:
        text, reason = streamed(response) if stream else whole(json.load(response))
    if not text.strip() or reason not in ("stop", "length"):
        raise ValueError(f"no whole answer came: {text!r}, ended by {reason!r}")
    return text


def whole(answer: dict) -> tuple:
    """Text and reason to end of an answer in one piece."""
    [choice] = answer["choices"]
    return choice["message"]["content"], choice["finish_reason"]


def streamed(lines) -> tuple:
    """Text and reason to end of server-sent events, which must come as such and have their last one."""
    if lines.headers.get_content_type() != "text/event-stream":
        raise ValueError(f"no stream came, but {lines.headers.get_content_type()}")
    events = [line[6:].strip().decode() for line in lines if line.startswith(b"data: ")]
    if not events or events.pop() != "[DONE]":
        raise ValueError("the stream broke off")
    text, reason = "", None
    for event in map(json.loads, events):
        if "error" in event:
            raise ValueError(event["error"]["message"])
        for choice in event["choices"]:
            text += choice["delta"].get("content") or ""
            reason = choice["finish_reason"] or reason
    return text, reason


def main() -> int:
    url, picture, mode = sys.argv[1:]
    key, has_keys = os.environ.get("ASK_KEY", ""), os.environ.get("ASK_KEYS") == "yes"
    for attempt in range(1, ATTEMPTS + 1):
        try:
            text = ask(url, picture, mode == "stream", key)
        except urllib.error.HTTPError as error:
            if error.code == 401 and has_keys and not key:
                print("Turned away without a key, as it should be; set tests.keySecret to test an answer.")
                return 0
            if error.code not in (429, 503):
                print(f"HTTP {error.code}: {error.read().decode(errors='replace')}")
                return 1
            reason = f"HTTP {error.code}"
        except OSError as error:
            reason = str(error)
        except (ValueError, KeyError) as error:
            print(f"The answer is not one: {error}")
            return 1
        else:
            if has_keys and not key:
                print("The server answered without a key, though it has keys.")
                return 1
            print(f"{QUESTION} {text}")
            return 0
        print(f"{attempt} of {ATTEMPTS}: {reason}")
        if attempt < ATTEMPTS:
            time.sleep(PAUSE)
    return 1


if __name__ == "__main__":
    sys.exit(main())
