"""Who answers an evaluation's questions: a server over HTTP, or a model in this process. Knows no scores."""

import base64
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgevlm.demo_bundle import find_bundle
from edgevlm.errors import CommandError
from edgevlm.evaluation.forms import Way, form_of, worded
from edgevlm.evaluation.said import TEMPERATURES, Said, VisualQuestion
from edgevlm.http_client import ExchangeError, Server, fetch
from edgevlm.own_server import own_server
from edgevlm.pictures import PillowPicture, picture_pixels

if TYPE_CHECKING:
    from edgevlm_server.images.intake import ImageIntake
    from edgevlm_server.model import Model

MAX_TOKENS = 40
SECONDS = 120
ANSWER = "answer"
"""The name of the only value that is asked for."""


class Answerer(Protocol):
    """Answers one question greedily; `concurrent` questions may be asked at a time, each from its own thread."""

    concurrent: int

    def __call__(self, question: VisualQuestion) -> Said: ...


@contextmanager
def answerer(
    bundle: Path | None, url: str | None, key: str | None = None, *, directly: bool = False, way: Way = "free"
) -> Iterator[Answerer]:
    """What was asked for: a running server, the engine itself, or a server that lives as long as the evaluation."""
    if directly:
        with _engine_answerer(find_bundle(bundle)) as engine:
            yield engine
    else:
        with asked_server(bundle, url, key) as server:
            yield HttpAnswerer(server, way)


@contextmanager
def asked_server(bundle: Path | None, url: str | None, key: str | None = None) -> Iterator[Server]:
    """The running one, asked with the key, or one of the bundle (`None`: the demo model) that ends with the block."""
    if url is not None:
        yield Server.at(url, key)
    else:
        with own_server(find_bundle(bundle)) as own:
            yield Server.at(own)


@contextmanager
def _engine_answerer(bundle: Path) -> Iterator["EngineAnswerer"]:
    from edgevlm_server.images.formats.limits import ImageLimits
    from edgevlm_server.images.intake import ImageIntake
    from edgevlm_server.model import load_model
    from edgevlm_server.settings import Settings

    model = load_model(bundle, Settings.offline())
    intake = ImageIntake(ImageLimits(), model.manifest.preprocessing, workers=1)
    try:
        yield EngineAnswerer(model, intake)
    finally:
        intake.close()
        model.engine.close()


class EngineAnswerer:
    """One question after another in this process, each answer with its confidence at all temperatures."""

    concurrent = 1

    def __init__(self, model: "Model", intake: "ImageIntake") -> None:
        self._model = model
        self._intake = intake

    def __call__(self, question: VisualQuestion) -> Said:
        from edgevlm_server.offline import begun, encode, steps
        from edgevlm_server.refusals import Judge
        from edgevlm_server.runtime.logprobs import chosen_logprobs
        from edgevlm_server.text.detokenizer import Detokenizer
        from edgevlm_server.text.prompt import Mark, Turn

        features = encode(self._model, [picture_pixels(self._intake, question.image)])
        turns = [Turn("user", (Mark.IMAGE, question.text))]
        sequence = begun(self._model, turns, features, max_tokens=MAX_TOKENS)
        pieces, curve = Detokenizer(self._model.tokenizer), [0.0] * len(TEMPERATURES)
        text = ""
        for token, logits in steps(self._model, sequence):
            text += pieces.push(token)
            logprobs = (chosen_logprobs(logits[None], [token], temperature)[0] for temperature in TEMPERATURES)
            curve = [sum(pair) for pair in zip(curve, logprobs, strict=True)]
        text += pieces.finish()
        refused = Judge(self._model.about.refusal.text).refused(text, sequence.confidence) is not None
        return Said(text, sequence.confidence, refused, tuple(curve))


class HttpAnswerer:
    """A running server, with the picture as a PNG in a data URL: in a chat, in JSON, or as a reading.

    It is asked for what it reads, however unsure: a server's own `--min-confidence` would hide that.
    """

    concurrent = 8

    def __init__(self, server: Server, way: Way = "free") -> None:
        self._server = server
        self._ask = {"free": self._free, "json": self._json, "field": self._field}[way]

    def __call__(self, question: VisualQuestion) -> Said:
        return self._ask(question)

    def _free(self, question: VisualQuestion) -> Said:
        choice = self._chat(question, {})
        with self._expected():
            return Said(choice["message"]["content"], choice["confidence"], choice["refused"] is not None)

    def _json(self, question: VisualQuestion) -> Said:
        properties = {ANSWER: form_of(question.text).leaf()}
        schema = {"type": "object", "properties": properties, "required": [ANSWER], "additionalProperties": False}
        form = {"type": "json_schema", "json_schema": {"name": ANSWER, "schema": schema}}
        choice = self._chat(question, {"response_format": form})
        with self._expected():
            return _typed(_value(choice["message"]["content"]), choice["confidence"])

    def _field(self, question: VisualQuestion) -> Said:
        fields = [form_of(question.text).field(ANSWER, question.text)]
        body = {"image": data_url(question.image), "fields": fields, "min_confidence": 0}
        found = self._post("/v1/readings", body)
        with self._expected():
            [field] = found["fields"]
            return _typed(field["value"], field["confidence"])

    def _chat(self, question: VisualQuestion, more: dict[str, Any]) -> Any:
        content = [
            {"type": "image_url", "image_url": {"url": data_url(question.image)}},
            {"type": "text", "text": question.text},
        ]
        messages = [{"role": "user", "content": content}]
        body = {"messages": messages, "max_tokens": MAX_TOKENS, "temperature": 0, "min_confidence": 0, **more}
        found = self._post("/v1/chat/completions", body)
        with self._expected():
            return found["choices"][0]

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        try:
            answer = fetch(self._server, "POST", path, json.dumps(body).encode(), seconds=SECONDS)
        except ExchangeError as error:
            raise CommandError(f"{self._server.url} does not answer: {error}.") from None
        if answer.status == 401:
            raise CommandError(
                f"{self._server.url} wants another key: --key-file names the file that holds it (401)."
            )
        if answer.status != 200:
            raise CommandError(f"{self._server.url} gave no answer (status {answer.status}).")
        with self._expected():
            return json.loads(answer.body)

    @contextmanager
    def _expected(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, LookupError, TypeError):
            raise CommandError(f"{self._server.url} gave an answer of another form than edgevlm's.") from None


def _value(content: str | None) -> object:
    """Of JSON; an answer that was cut off or has another form stays as it is, for it is wrong."""
    if content is None:
        return None
    try:
        return json.loads(content)[ANSWER]
    except (ValueError, LookupError):
        return content


def _typed(value: object, confidence: float) -> Said:
    return Said(worded(value), confidence, value is None)


def data_url(image: PillowPicture) -> str:
    """A picture as chat messages hold it."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
