"""Asks a server a benchmark's questions, several at a time, and keeps every answer as it comes. Knows no scores."""

import asyncio
import base64
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from edgevlm.errors import CommandError
from edgevlm.evaluation.published.answer_file import AnswerFile
from edgevlm.evaluation.published.question import Answer, Question
from edgevlm.http_client import ExchangeError, NoConnection, Server, read, within

SECONDS = 600.0
"""For one answer."""
BUSY = (429, 503)
TRIES = 8
FIRST_WAIT = 0.5
"""Seconds after which a busy server is asked again; then twice as long, and so on."""
GO_ON = "The same command goes on where it stopped."


class HowToAsk(NamedTuple):
    """`tokens` at most in an answer, `concurrent` questions at a time."""

    server: Server
    model: str
    tokens: int
    concurrent: int


def answers(
    how: HowToAsk, questions: Sequence[Question], file: AnswerFile, advance: Callable[[], object]
) -> list[Answer]:
    """Every question with its answer, those of the file first; `advance` is called at each new one.

    Raises `CommandError`; what was answered until then is in the file.
    """
    known = file.read(how.model)
    asyncio.run(_ask_all(how, [question for question in questions if question not in known], file, advance))
    known = file.read(how.model)
    file.arrange(questions)
    return [Answer(question, known[question]) for question in questions]


async def _ask_all(
    how: HowToAsk, questions: Sequence[Question], file: AnswerFile, advance: Callable[[], object]
) -> None:
    waiting = iter(questions)

    async def work() -> None:
        for question in waiting:
            file.add(how.model, Answer(question, await _ask(how, question)))
            advance()

    workers = [asyncio.create_task(work()) for _ in range(how.concurrent)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()


async def _ask(how: HowToAsk, question: Question) -> str:
    body = json.dumps(_body(how, question)).encode()
    for attempt in range(TRIES):
        if attempt:
            await asyncio.sleep(FIRST_WAIT * 2 ** (attempt - 1))
        try:
            answer = await within(SECONDS, read(how.server, "POST", "/v1/chat/completions", body))
        except NoConnection as error:
            raise CommandError(f"{how.server.url} does not answer: {error}. {GO_ON}") from None
        except ExchangeError as error:
            raise CommandError(f"{how.server.url} broke off at question {question.id}: {error}. {GO_ON}") from None
        if answer.status not in BUSY:
            return _text(how, question, answer.status, answer.body)
    raise CommandError(f"{how.server.url} has been too busy for a minute (status {answer.status}). {GO_ON}")


def _body(how: HowToAsk, question: Question) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": question.text}]
    if question.picture is not None:
        url = "data:;base64," + base64.b64encode(question.picture()).decode()
        content.insert(0, {"type": "image_url", "image_url": {"url": url}})
    messages = [{"role": "user", "content": content}]
    return {"model": how.model, "messages": messages, "max_tokens": how.tokens, "temperature": 0}


def _text(how: HowToAsk, question: Question, status: int, body: bytes) -> str:
    try:
        parsed = json.loads(body)
        if status != 200:
            told = parsed["error"]["message"]
        elif (text := parsed["choices"][0]["message"]["content"]) is not None:
            return str(text).strip()
        else:
            told = "the server refused its own answer; measure one without --min-confidence"
    except (ValueError, LookupError, TypeError, AttributeError):
        told = "no answer in OpenAI's form"
    raise CommandError(f"{how.server.url}, question {question.id}: {told} (status {status})")
