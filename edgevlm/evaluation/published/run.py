"""A benchmark from its folder to its score: who answers, one after the other, and what is printed. Knows no rules."""

from importlib import import_module
from pathlib import Path
from typing import NamedTuple, cast

from edgevlm.errors import CommandError
from edgevlm.evaluation.published.answer_file import AnswerFile
from edgevlm.evaluation.published.asking import HowToAsk, answers
from edgevlm.evaluation.published.question import Benchmark, Units
from edgevlm.evaluation.published.target import Target, file_name, server_of
from edgevlm.progress import Bar
from edgevlm.served_model import served_model


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


def answer_path(job: Job, target: Target) -> Path:
    """The file that keeps a target's answers."""
    return job.answers or Path(f"{job.name}-{file_name(target)}.jsonl")


def measure(job: Job, target: Target) -> Units:
    """Ask a bundle or a server all questions and print its table. Raises `CommandError`."""
    benchmark = load(job.name)
    questions = benchmark.questions(job.data)[: job.limit]
    if not questions:
        raise CommandError(f"{job.data} holds no questions.")
    path = answer_path(job, target)
    with server_of(target, job.key) as server:
        model = served_model(server)
        how = HowToAsk(server, model, benchmark.TOKENS, job.concurrent)
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
