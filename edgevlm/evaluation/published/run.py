"""A benchmark from its folder to its score: who answers, one after the other, and what is printed. Knows no rules."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, cast

from edgevlm.cli import CommandError
from edgevlm.evaluation.published.answer_file import AnswerFile
from edgevlm.evaluation.published.asking import Asked, answers, served_model
from edgevlm.evaluation.published.question import Benchmark, Units
from edgevlm.http_client import Server
from edgevlm.own_server import own_server
from edgevlm.progress import Bar


class Job(NamedTuple):
    """`data` is the benchmark's folder, `answers` the file to keep answers in, `limit` the number of questions."""

    name: str
    data: Path
    answers: Path | None
    concurrent: int
    limit: int | None
    key: str | None


def load(name: str) -> Benchmark:
    return cast(Benchmark, import_module(f"edgevlm.evaluation.published.{name}"))


def measure(job: Job, target: str | None) -> Units:
    """Ask a bundle or a server all questions and print its table. Raises `CommandError`."""
    benchmark = load(job.name)
    questions = benchmark.questions(job.data)[: job.limit]
    if not questions:
        raise CommandError(f"{job.data} holds no questions.")
    with _server(target, job.key) as server:
        model = served_model(server)
        path = job.answers or Path(f"{job.name}-{_file_name(target or model)}.jsonl")
        how = Asked(server, model, benchmark.TOKENS, job.concurrent)
        bar = Bar(f"{job.name}: {model}", "question")
        bar.start(len(questions))
        given = answers(how, questions, AnswerFile(path), lambda: bar.advance(1))
        bar.finish()
    units = benchmark.judged(job.data, given)
    print(_table(job, benchmark, model, units, len(questions)))
    print(f"\nThe answers are in {path}.")
    return units


def _table(job: Job, benchmark: Benchmark, model: str, units: Units, count: int) -> str:
    part = "" if job.limit is None else ", a part, whose score is not the official one"
    rows = "".join(f"| {name} | {figure} |\n" for name, figure in benchmark.rows(units.values()))
    return f"{benchmark.TITLE}: {count} questions{part}\n\n| {model} | |\n|---|---:|\n{rows}".rstrip()


@contextmanager
def _server(target: str | None, key: str | None) -> Iterator[Server]:
    """A server by its address, or one of ours on a bundle for as long as it is asked."""
    if target is not None and "://" in target:
        yield Server.at(target, key)
        return
    from edgevlm.demo_bundle import find_bundle

    with own_server(find_bundle(None if target is None else Path(target))) as url:
        yield Server.at(url)


def _file_name(target: str) -> str:
    """From a folder or an address: two of the same model are still two files."""
    name = target.partition("://")[2] if "://" in target else Path(target).resolve().name
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)
