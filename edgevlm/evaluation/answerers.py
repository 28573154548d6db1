"""Who answers an evaluation's questions: a server over HTTP, or a model in this process. Knows no scores."""

import base64
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgevlm.cli import CommandError
from edgevlm.demo_bundle import find_bundle
from edgevlm.http_client import ExchangeError, Server, fetch
from edgevlm.own_server import own_server

if TYPE_CHECKING:
    from edgevlm_demo.evaluation import EvaluationQuestion
    from edgevlm_server.model import Model

MAX_TOKENS = 40
SECONDS = 120


class Answerer(Protocol):
    """Answers one question greedily; `concurrent` questions may be asked at a time, each from its own thread."""

    concurrent: int

    def __call__(self, question: "EvaluationQuestion") -> str: ...


@contextmanager
def answerer(bundle: Path | None, url: str | None, *, directly: bool) -> Iterator[Answerer]:
    """What was asked for: a running server, the engine itself, or a server that lives as long as the evaluation."""
    if url is not None:
        yield HttpAnswerer(Server.at(url))
    elif directly:
        from edgevlm_server.model import load_model
        from edgevlm_server.settings import Settings

        model = load_model(find_bundle(bundle), Settings.offline())
        try:
            yield EngineAnswerer(model)
        finally:
            model.engine.close()
    else:
        with own_server(find_bundle(bundle)) as own:
            yield HttpAnswerer(Server.at(own))


class EngineAnswerer:
    """One question after another in this process."""

    concurrent = 1

    def __init__(self, model: "Model") -> None:
        self._model = model

    def __call__(self, question: "EvaluationQuestion") -> str:
        from edgevlm_server.images.decode.preprocess import preprocess
        from edgevlm_server.offline import answer, encode
        from edgevlm_server.text.prompt import Mark, Turn

        features = encode(self._model, [preprocess(question.image, self._model.manifest.preprocessing)])
        turns = [Turn("user", (Mark.IMAGE, question.text))]
        return "".join(answer(self._model, turns, features, max_tokens=MAX_TOKENS))


class HttpAnswerer:
    """The chat endpoint of a server, with the picture as a PNG in a data URL."""

    concurrent = 8

    def __init__(self, server: Server) -> None:
        self._server = server

    def __call__(self, question: "EvaluationQuestion") -> str:
        file = io.BytesIO()
        question.image.save(file, "PNG")
        picture = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
        content = [
            {"type": "image_url", "image_url": {"url": picture}},
            {"type": "text", "text": question.text},
        ]
        body = {"messages": [{"role": "user", "content": content}], "max_tokens": MAX_TOKENS, "temperature": 0}
        try:
            answer = fetch(self._server, "POST", "/v1/chat/completions", json.dumps(body).encode(), seconds=SECONDS)
        except ExchangeError as error:
            raise CommandError(f"{self._server.url} does not answer: {error}.") from None
        try:
            text: str = json.loads(answer.body)["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError):
            raise CommandError(f"{self._server.url} gave no answer (status {answer.status}).") from None
        return text
