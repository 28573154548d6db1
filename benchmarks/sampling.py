"""What choosing the tokens of one step costs, beside a plain loop over the rows: `python -m benchmarks.sampling`.

Then what a row costs more if it asks for penalties, a bias, probabilities, or an answer of a given form.
"""

import tempfile
import timeit
from collections.abc import Callable
from pathlib import Path

import numpy as np
from edgevlm_engines import Floats
from edgevlm_server.guided.compiler import GrammarCompiler
from edgevlm_server.guided.constraint import Constraint
from edgevlm_server.guided.grammar import any_object, one_of, that_matches, valid_json
from edgevlm_server.request import Structure
from edgevlm_server.runtime.logits_processors import LogitsProcessors
from edgevlm_server.runtime.logprobs import logprobs_of
from edgevlm_server.runtime.sampling import Sampler, SamplingParams, sample_batch
from edgevlm_server.text.tokenizer import Tokenizer

from benchmarks.random_tokenizer import tokenizer_model

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

    The tests hold `choose` to it.
    """
    if not np.isfinite(logits).all():
        return None
    if params.temperature == 0:
        return int(logits.argmax())
    with np.errstate(over="ignore"):
        weights = np.exp((logits.astype(np.float64) - float(logits.max())) / params.temperature)
    tokens = np.arange(len(logits))
    if 0 < params.top_k < len(logits) or params.top_p < 1:
        tokens = np.argsort(-logits, kind="stable")[: params.top_k or len(logits)]
        weights = weights[tokens]
    if params.top_p < 1:
        keep = int(np.searchsorted(np.cumsum(weights) / weights.sum(), params.top_p)) + 1
        tokens, weights = tokens[:keep], weights[:keep]
    cumulated = np.cumsum(weights)
    place = np.searchsorted(cumulated, uniform * cumulated[-1], side="right")
    return int(tokens[min(place, len(tokens) - 1)])


def microseconds(call: Callable[[], object]) -> float:
    """The best of several turns: what the machine's other work adds is not ours."""
    timer = timeit.Timer(call)
    number = max(timer.autorange()[0] // 10, 1)
    return min(timer.repeat(repeat=5, number=number)) / number * 1e6


def line(name: str, params: SamplingParams, logits: Floats) -> str:
    """One line of the table for logits `[n, vocab_size]`."""
    samplers = [Sampler(params) for _ in logits]
    ours = microseconds(lambda: sample_batch(samplers, logits))
    loop = microseconds(lambda: [plain(params, 0.5, row) for row in logits])
    rows, vocabulary = logits.shape
    return f"| {vocabulary:,} | {rows} | {name} | {ours:,.0f} | {loop:,.0f} |"


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
FORMS = {
    "one of three texts": one_of(["yes", "no", "cannot tell"]),
    "regular expression": that_matches("[a-z]{3,12}( [a-z]{2,12}){0,20}"),
    "JSON schema, four fields": valid_json(COUNTED),
    "any JSON object": any_object(),
}


def extra_line(name: str, params: SamplingParams, logits: Floats) -> str:
    """One line of the second table: a greedy row of logits `[vocab_size]` that is changed first."""
    prompt = np.arange(PROMPT, dtype=np.int64)
    sampler = Sampler(params, LogitsProcessors(params, prompt))
    batch = logits[np.newaxis]
    return f"| {name} | {microseconds(lambda: sample_batch([sampler], batch)):,.0f} |"


def form_line(name: str, begun: Constraint, tokens: int) -> str:
    """One line of the third table: answers of random tokens, `tokens` of them at most."""
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
    return f"| {name} | {np.median(ordered):,.0f} | {ordered[int(0.99 * len(ordered))]:,.0f} | {ordered[-1]:,.0f} |"


def extras(random: np.random.Generator, vocabulary: int) -> None:
    """Print what the less usual wishes cost a row."""
    logits = (SPREAD * random.standard_normal(vocabulary)).astype(np.float32)
    print(f"\n| one greedy row of {vocabulary:,} | microseconds a step |\n|---|---:|")
    alone, batch = Sampler(SamplingParams()), logits[np.newaxis]
    print(f"| nothing else | {microseconds(lambda: sample_batch([alone], batch)):,.0f} |")
    for name, params in EXTRAS.items():
        print(extra_line(name, params, logits), flush=True)
    for count in (0, 20):
        cost = microseconds(lambda count=count: logprobs_of(logits, 5, count))  # type: ignore[misc]
        print(f"| logprobs, {count} alternatives (to add) | {cost:,.0f} |", flush=True)


def forms(vocabulary: int) -> None:
    """Print what following a form costs a row."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tokenizer.model"
        file.write_bytes(tokenizer_model(vocabulary))
        compiler = GrammarCompiler(Tokenizer(file), bos_id=1, end_ids={2})
    print(
        f"\n| form, {vocabulary:,} tokens (to add) | median microseconds a step | 99 % | most |\n|---|---:|---:|---:|"
    )
    for name, grammar in FORMS.items():
        begun = compiler.constraint(Structure(grammar, name, risky=False))
        print(form_line(name, begun, tokens=100), flush=True)
    compiler.close()


def main() -> None:
    random = np.random.default_rng(0)
    print("| vocabulary | rows | sampling | `choose`, microseconds a step | plain loop, microseconds a step |")
    print("|---:|---:|---|---:|---:|")
    for vocabulary in (800, 32_000):
        for rows in (1, 8, 16):
            logits = (SPREAD * random.standard_normal((rows, vocabulary))).astype(np.float32)
            for name, params in SETTINGS.items():
                print(line(name, params, logits), flush=True)
    extras(random, 32_000)
    forms(32_000)


if __name__ == "__main__":
    main()
