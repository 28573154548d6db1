"""The same metrics under vLLM's own names, for dashboards that were made for it. Knows names, no values.

vLLM's labels `model_name` and `engine` are added; its reason `abort` is our `cancelled`. What vLLM counts and we do
not is left out: an empty panel says more than an invented 0.
"""

from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from edgevlm_server.observe.families import PREFIX

NAMES: dict[str, tuple[str, ...]] = {
    **{
        name: (name,)
        for name in (
            *(
                "num_requests_running",
                "num_requests_waiting",
                "prompt_tokens",
                "generation_tokens",
                "request_success",
            ),
            *("prefix_cache_queries", "prefix_cache_hits", "mm_cache_queries", "mm_cache_hits"),
            *("time_to_first_token_seconds", "e2e_request_latency_seconds", "request_queue_time_seconds"),
            *("request_prefill_time_seconds", "request_decode_time_seconds"),
            *("request_prompt_tokens", "request_generation_tokens"),
        )
    },
    # the second is the older name
    "inter_token_latency_seconds": ("inter_token_latency_seconds", "time_per_output_token_seconds"),
}
"""Of ours to vLLM's, both without their prefixes."""

REASONS = {"cancelled": "abort"}


class WithVllmNames(Collector):
    """What another one collects, and some of it again under vLLM's names."""

    def __init__(self, own: Collector) -> None:
        self._own = own

    def collect(self) -> Iterator[Metric]:
        families = list(self._own.collect())
        yield from families
        labels = {"model_name": _model(families), "engine": "0"}
        for family in families:
            for name in NAMES.get(family.name.removeprefix(PREFIX), ()):
                yield _renamed(family, f"vllm:{name}", labels)


def _renamed(family: Metric, name: str, labels: dict[str, str]) -> Metric:
    made = Metric(name, family.documentation, family.type)
    for sample in family.samples:
        own = dict(sample.labels)
        if "finished_reason" in own:
            own["finished_reason"] = REASONS.get(own["finished_reason"], own["finished_reason"])
        made.samples.append(Sample(name + sample.name.removeprefix(family.name), {**labels, **own}, sample.value))
    return made


def _model(families: Iterable[Metric]) -> str:
    """What is served; nothing while it is loaded."""
    for family in families:
        if family.name == f"{PREFIX}model_info":
            for sample in family.samples:
                return sample.labels["model"]
    return ""
