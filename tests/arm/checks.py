"""What is tried in the root: the golden cases, the demo model's answers in every precision, forms and pictures.

Each check is a row of the table that `python -m tests.arm` prints. Questions come over HTTP from outside the root.
"""

import base64
import io
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
import pillow_heif
from edgevlm_server.images.formats.limits import FORMATS
from PIL import Image

from edgevlm.own_server import free_port
from tests.arm.root import Arm
from tests.boundaries.walls import ROOT
from tests.conftest import CASES
from tests.live import sse

PRECISIONS = ("fp32", "int8", "int4")
PACKAGES = ("onnxruntime", "llguidance", "sentencepiece", "numpy", "pillow", "pillow-heif")
EXAMPLES: list[dict[str, str]] = json.loads((ROOT / "examples/examples.json").read_text())[:4]
MOST_SLOTS = 8
START_SECONDS = 300
"""Of a server; under emulation, on a machine with other work."""

Json = dict[str, Any]


class Row(NamedTuple):
    """One check: whether what was `seen` is right."""

    check: str
    passed: bool
    seen: str


def rows(arm: Arm) -> Iterator[Row]:
    """All checks on one processor, as they are done."""
    yield row("edgevlm doctor", doctor, arm)
    for case in CASES:
        yield row(f"golden case {case}", parity, arm, case)
    for precision in PRECISIONS:
        yield row(f"demo model, {precision}", answers, arm, precision)
        yield row(f"slots of the demo model, {precision}", slots, arm, precision)
    with served(arm, demo(arm, "fp32")) as url:
        for name, check in (("streamed", streamed), ("JSON schema", schema), ("regular expression", regex)):
            yield row(f"{name} answer", check, url)
        yield row("pictures", pictures, url)


def row(name: str, check: Callable[..., str], *arguments: object) -> Row:
    """Of a check, which says what it saw or fails by an assertion."""
    try:
        return Row(name, True, check(*arguments))
    except (AssertionError, httpx.HTTPError) as error:
        return Row(name, False, str(error))


def versions(arm: Arm) -> dict[str, str]:
    """Of Python and of what is installed in the root."""
    code = f"import platform; from importlib.metadata import version; names = {PACKAGES}"
    show = "import json; print(json.dumps({'python': platform.python_version(), **{n: version(n) for n in names}}))"
    found: dict[str, str] = json.loads(_ended(arm, "-c", f"{code}; {show}"))
    return found


def doctor(arm: Arm) -> str:
    said = _ended(arm, "-m", "edgevlm", "doctor")
    assert "(aarch64)" in said and "CPUExecutionProvider" in said and said.endswith("Nothing is wrong.\n"), said
    return "nothing is wrong"


def parity(arm: Arm, case: str) -> str:
    said = _ended(arm, "-m", "edgevlm", "parity", f"/mnt/golden/{case}")
    differences = {line[:34].strip(): float(line[34:54]) for line in said.splitlines()[1:]}
    ids, pixels, *others, tokens = differences.values()
    assert len(differences) == 7 and ids == pixels == tokens == 0, said
    return f"ids, pixels, tokens equal; {max(others):.1e}"


def answers(arm: Arm, precision: str) -> str:
    with served(arm, demo(arm, precision)) as url:
        given = [ask(url, example) for example in EXAMPLES]
    wanted = [example["answer"] for example in EXAMPLES]
    assert given == wanted, f"{given} instead of {wanted}"
    return f"{len(given)} of {len(wanted)} right"


def slots(arm: Arm, precision: str) -> str:
    """The memory plan is made before an engine finds out how many slots it must hold: it must be enough."""
    found = json.loads(_ended(arm, "/mnt/sizes.py", demo(arm, precision), str(MOST_SLOTS)))
    assert all(one["held"] <= one["planned"] for one in found), found
    return f"steps of {', '.join(map(str, found[-1]['sizes']))}"


def streamed(url: str) -> str:
    example = EXAMPLES[1]
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body(example, stream=True), timeout=300) as response:
        events = [event for event in sse(response) if not isinstance(event, str)]
    pieces = [event["choices"][0]["delta"].get("content") or "" for event in events]
    assert "".join(pieces) == example["answer"], pieces
    return f"{example['answer']} in {len(list(filter(None, pieces)))} pieces"


def schema(url: str) -> str:
    lamps = {"type": "string", "enum": ["red", "amber", "green"]}
    wanted = {"type": "object", "properties": {"lamp": lamps}, "required": ["lamp"], "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "lamp", "schema": wanted, "strict": True}}
    answer = ask(url, EXAMPLES[0], response_format=form)
    # the form is promised; the model has learnt no JSON, and names a wrong lamp
    assert json.loads(answer)["lamp"] in lamps["enum"], answer
    return answer


def regex(url: str) -> str:
    answer = ask(url, EXAMPLES[1], guided_regex=r"\d\d\d\.\d")
    assert re.fullmatch(r"\d\d\d\.\d", answer) and answer == EXAMPLES[1]["answer"], answer
    return answer


def pictures(url: str) -> str:
    """The same picture as a file of each format."""
    pillow_heif.register_heif_opener()
    picture = Image.open(ROOT / "examples" / EXAMPLES[0]["picture"]).convert("RGB")
    given = {name: ask(url, _as_format(picture, name)) for name in FORMATS}
    assert set(given.values()) == {EXAMPLES[0]["answer"]}, given
    return ", ".join(given)


def _as_format(picture: Image.Image, name: str) -> dict[str, str]:
    """The first example with its picture in another format."""
    file = io.BytesIO()
    picture.save(file, name, quality=95)
    return {**EXAMPLES[0], "url": f"data:image/{name.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"}


def demo(arm: Arm, precision: str) -> str:
    """The demo model's bundle, exported in the root; the path is as seen there."""
    bundle, package = f"/mnt/demo-{precision}", "/mnt/product/edgevlm_demo"
    export = ["export", f"{package}/checkpoint", bundle, "--vision-tower", f"{package}/clip", "--if-absent"]
    _ended(arm, "-m", "edgevlm", *export, "--precision", precision)
    return bundle


@contextmanager
def served(arm: Arm, bundle: str) -> Iterator[str]:
    """The address of a server in the root."""
    port = free_port()
    command = ["-m", "edgevlm", "serve", bundle, "--port", str(port)]
    with tempfile.TemporaryFile() as log, arm.running(*command, log=log) as process:
        url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + START_SECONDS
        while not ready(url):
            if process.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                raise AssertionError(log.read().decode()[-2000:])
            time.sleep(0.2)
        yield url


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", timeout=30).status_code == 200
    except httpx.HTTPError:
        return False


def ask(url: str, example: dict[str, str], **fields: object) -> str:
    reply = httpx.post(f"{url}/v1/chat/completions", json=body(example, **fields), timeout=300)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["choices"][0]["message"]["content"])


def body(example: dict[str, str], **fields: object) -> Json:
    """The request of an example, with another picture where it has a `url`."""
    request: Json = {**json.loads((ROOT / "examples" / example["body"]).read_text()), **fields}
    if "url" in example:
        request["messages"][0]["content"][0]["image_url"]["url"] = example["url"]
    return request


def _ended(arm: Arm, *arguments: str) -> str:
    """What a program printed that had nothing to complain of."""
    done = arm.python(*arguments)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout
