"""The demo model behind HTTP: a server process on a socket, asked about pictures by one and by eight."""

import base64
import io
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import httpx
import pytest
from edgevlm_demo.evaluation import EvaluationQuestion, evaluation_questions, is_right

from tests.gpu.conftest import Note

ROW = "answers over HTTP"

STREAMS = 8
RIGHT = 0.9
"""Share of the demo model's questions about pictures that it never saw."""


@pytest.fixture(scope="module")
def url(demo_server: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    with demo_server() as address:
        yield address


@pytest.fixture(scope="module")
def questions() -> list[EvaluationQuestion]:
    """All about one picture of every scene."""
    return list(evaluation_questions(1))


def streamed(url: str, question: EvaluationQuestion) -> str:
    """The answer, greedy, put together from a stream."""
    file = io.BytesIO()
    question.image.save(file, "PNG")
    picture = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    content = [{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": question.text}]
    body = {
        "messages": [{"role": "user", "content": content}],
        "max_tokens": 40,
        "temperature": 0,
        "stream": True,
    }
    pieces = []
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as response:
        assert response.status_code == 200, response.read()
        for line in response.iter_lines():
            if line.startswith("data: {"):
                delta = json.loads(line.removeprefix("data: "))["choices"][0]["delta"]
                pieces.append(delta.get("content") or "")
    return "".join(pieces)


def test_eight_streams_with_pictures_say_what_each_says_alone(url: str, questions: list[EvaluationQuestion]) -> None:
    firsts = {question.scene: question for question in reversed(questions)}.values()
    asked = [*firsts, *questions][:STREAMS]
    alone = [streamed(url, question) for question in asked]
    assert len(set(alone)) > 1
    with ThreadPoolExecutor(STREAMS) as pool:
        assert list(pool.map(lambda question: streamed(url, question), asked)) == alone


def test_answers_about_pictures_never_seen(url: str, questions: list[EvaluationQuestion], note: Note) -> None:
    with ThreadPoolExecutor(STREAMS) as pool:
        said = list(pool.map(lambda question: streamed(url, question), questions))
    right = sum(is_right(text, question.answer) for text, question in zip(said, questions, strict=True))
    note(f"{right} of {len(questions)} answers of the demo model right")
    assert right >= RIGHT * len(questions)
