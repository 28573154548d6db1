"""What sampling the tokens of one step costs, beside a plain loop over the slots: `python -m benchmarks.sampling`.

Then what a slot costs more if its request asks for penalties, a bias, log probabilities, or guided output.
"""

import tempfile
import timeit
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from edgevlm_engines import Floats, Tokens
from edgevlm_server.guided.compiler import GrammarCompiler
from edgevlm_server.guided.constraint import Constraint
from edgevlm_server.guided.grammar import any_object, one_of, that_matches, valid_json
from edgevlm_server.request import Structure
from edgevlm_server.runtime.logits_processors import LogitsProcessors
from edgevlm_server.runtime.logprobs import logprobs_of
from edgevlm_server.runtime.sampling import ROUNDING, Sampler, SamplingParams, sample_batch
from edgevlm_server.text.tokenizer import Tokenizer

from benchmarks.random_tokenizer import tokenizer_model
from benchmarks.report import table

SETTINGS = {
    "greedy": SamplingParams(),
    "temperature": SamplingParams(temperature=0.8),
    "top_p": SamplingParams(temperature=0.8, top_p=0.9),
    "top_k, top_p": SamplingParams(temperature=0.8, top_k=40, top_p=0.9),
}
SPREAD = 3.0
"""Standard deviation of the logits. Of 32,000 tokens, the settings above then leave top_p some hundred."""


def plain(params: SamplingParams, uniform: float, logits: Floats) -> int | None:
    """One row of logits `[vocab_size]` in the plainest way; `uniform` is its draw from [0, 1).

    The tests hold `sample_batch` to it.
    """
    if not np.isfinite(logits).all():
        return None
    if params.temperature == 0:
        return int(logits.argmax())
    with np.errstate(over="ignore"):
        weights = np.exp((logits.astype(np.float64) - float(logits.max())) / params.temperature)
    tokens: Tokens = np.arange(len(logits))
    if 0 < params.top_k < len(logits) or params.top_p < 1:
        tokens = np.argsort(-logits, kind="stable")[: params.top_k or len(logits)]
        weights = weights[tokens]
    if params.top_p < 1:
        keep = int(np.searchsorted(np.cumsum(weights) / weights.sum(), params.top_p - ROUNDING)) + 1
        tokens, weights = tokens[:keep], weights[:keep]
    cumulated = np.cumsum(weights)
    place = np.searchsorted(cumulated, uniform * cumulated[-1], side="right")
    return int(tokens[min(place, len(tokens) - 1)])


def microseconds(call: Callable[[], object]) -> float:
    """The best of several turns: what the machine's other work adds is not ours."""
    timer = timeit.Timer(call)
    number = max(timer.autorange()[0] // 10, 1)
    return min(timer.repeat(repeat=5, number=number)) / number * 1e6


def step_cells(name: str, params: SamplingParams, logits: Floats) -> list[str]:
    """A line of the first table, for logits `[slots, vocab_size]`."""
    samplers = [Sampler(params) for _ in logits]
    ours = microseconds(lambda: sample_batch(samplers, logits))
    loop = microseconds(lambda: [plain(params, 0.5, row) for row in logits])
    slots, vocabulary = logits.shape
    return [name, f"{vocabulary:,}", str(slots), f"{ours:,.0f}", f"{loop:,.0f}"]


def steps(random: np.random.Generator) -> Iterator[list[str]]:
    """What a step costs, by vocabulary, slots and settings."""
    for vocabulary in (800, 32_000):
        for slots in (1, 8, 16):
            logits = (SPREAD * random.standard_normal((slots, vocabulary))).astype(np.float32)
            for name, params in SETTINGS.items():
                yield step_cells(name, params, logits)


EXTRAS = {
    "frequency_penalty": SamplingParams(frequency_penalty=0.5),
    "repetition_penalty": SamplingParams(repetition_penalty=1.2),
    "logit_bias, 10 tokens": SamplingParams(logit_bias=tuple((token, 1.0) for token in range(10))),
}
PROMPT = 250
"""Tokens of the prompt, for the penalty that counts them."""

COUNTED = {
    "type": "object",
    "properties": {
        "part": {"enum": ["bolt", "nut", "washer"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 999},
        "remark": {"type": "string", "maxLength": 200},
        "scratched": {"type": "boolean"},
    },
    "required": ["part", "count", "remark", "scratched"],
    "additionalProperties": False,
}
GRAMMARS = {
    "one of three texts": one_of(["yes", "no", "cannot tell"]),
    "regular expression": that_matches("[a-z]{3,12}( [a-z]{2,12}){0,20}"),
    "JSON schema, four fields": valid_json(COUNTED),
    "any JSON object": any_object(),
}


def extras(random: np.random.Generator, vocabulary: int) -> Iterator[list[str]]:
    """What the less usual parameters cost a greedy slot."""
    logits = (SPREAD * random.standard_normal(vocabulary)).astype(np.float32)
    prompt, batch = np.arange(PROMPT, dtype=np.int64), logits[np.newaxis]
    samplers = {"nothing else": Sampler(SamplingParams())}
    for name, params in EXTRAS.items():
        samplers[name] = Sampler(params, LogitsProcessors(params, prompt))
    for name, sampler in samplers.items():
        yield [name, f"{microseconds(partial(sample_batch, [sampler], batch)):,.0f}"]
    for count in (0, 20):
        cost = microseconds(partial(logprobs_of, logits, 5, count))
        yield [f"logprobs, {count} alternatives (to add)", f"{cost:,.0f}"]


def constraint_cells(name: str, begun: Constraint, tokens: int) -> list[str]:
    """A line of the third table: answers of random tokens, `tokens` of them at most."""
    random = np.random.default_rng(0)
    masks: list[float] = []
    for _ in range(20):
        constraint = begun.fresh()
        for _ in range(tokens):
            start = timeit.default_timer()
            allowed = constraint.allowed()
            middle = timeit.default_timer()
            token = int(random.choice(allowed.nonzero()[0]))
            again = timeit.default_timer()
            constraint.take(token)
            masks.append((timeit.default_timer() - again + middle - start) * 1e6)
            if constraint.complete:
                break
    ordered = np.sort(masks)
    return [name, *(f"{cost:,.0f}" for cost in (np.median(ordered), ordered[int(0.99 * len(ordered))], ordered[-1]))]


def constraints(vocabulary: int) -> Iterator[list[str]]:
    """What guided output costs a slot."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tokenizer.model"
        file.write_bytes(tokenizer_model(vocabulary))
        compiler = GrammarCompiler(Tokenizer(file), bos_id=1, end_ids={2})
    for name, grammar in GRAMMARS.items():
        begun = compiler.constraint(Structure(grammar, name, risky=False))
        yield constraint_cells(name, begun, tokens=100)
    compiler.close()


def main() -> None:
    random, vocabulary = np.random.default_rng(0), 32_000
    print("Microseconds a step.\n")
    print(table(["sampling", "vocabulary", "slots", "`sample_batch`", "plain loop"], steps(random)), flush=True)
    print(f"\n{table([f'one greedy slot, {vocabulary:,} tokens', 'cost'], extras(random, vocabulary))}", flush=True)
    columns = [f"guided output, {vocabulary:,} tokens (to add)", "median", "99 %", "most"]
    print(f"\n{table(columns, constraints(vocabulary))}")


if __name__ == "__main__":
    main()
