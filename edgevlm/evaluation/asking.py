"""Questions put to an answerer, several at a time, their answers in order. Knows no server and no scores."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from edgevlm.evaluation.answerers import Answerer
from edgevlm.evaluation.said import Said, VisualQuestion

Q = TypeVar("Q", bound=VisualQuestion)


def answered(ask: Answerer, questions: Iterable[Q], name: str) -> Iterator[tuple[Q, Said]]:
    """Each question with what was said, in order; `name` is for the progress bar."""
    from tqdm import tqdm

    waiting: deque[tuple[Q, Future[Said]]] = deque()
    with ThreadPoolExecutor(ask.concurrent) as pool, tqdm(desc=name, unit=" questions", disable=None) as progress:
        for question in questions:
            waiting.append((question, pool.submit(ask, question)))
            # drawings are made as they are needed: thousands of them would fill the memory
            while len(waiting) >= 4 * ask.concurrent:
                yield _first(waiting)
                progress.update()
        while waiting:
            yield _first(waiting)
            progress.update()


def _first(waiting: deque[tuple[Q, Future[Said]]]) -> tuple[Q, Said]:
    question, future = waiting.popleft()
    return question, future.result()
