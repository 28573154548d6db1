"""What choosing the tokens of one step costs, beside a plain loop over the rows: `python -m benchmarks.sampling`."""

import timeit
from collections.abc import Callable

import numpy as np
from edgevlm_engines import Floats
from edgevlm_server.sampling import Sampler, SamplingParams, choose

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
    ours = microseconds(lambda: choose(samplers, logits))
    loop = microseconds(lambda: [plain(params, 0.5, row) for row in logits])
    rows, vocabulary = logits.shape
    return f"| {vocabulary:,} | {rows} | {name} | {ours:,.0f} | {loop:,.0f} |"


def main() -> None:
    random = np.random.default_rng(0)
    print("| vocabulary | rows | sampling | `choose`, microseconds a step | plain loop, microseconds a step |")
    print("|---:|---:|---|---:|---:|")
    for vocabulary in (800, 32_000):
        for rows in (1, 8, 16):
            logits = (SPREAD * random.standard_normal((rows, vocabulary))).astype(np.float32)
            for name, params in SETTINGS.items():
                print(line(name, params, logits), flush=True)


if __name__ == "__main__":
    main()
