"""What the server counts, in Prometheus' format. vLLM's suffixes under `edgevlm_`, so dashboards carry over.

Every series exists from the start, at 0, and labels come from fixed lists, never from what a client sent.
"""

from collections.abc import Iterable

from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import ALLOWUTF8
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS_TYPE
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from edgevlm_server.device.device import Device
from edgevlm_server.observe.answer_metrics import AnswerMetrics
from edgevlm_server.observe.device import DeviceCollector
from edgevlm_server.observe.families import (
    BATCH_BUCKETS,
    FIRST_TOKEN_BUCKETS,
    INTER_TOKEN_BUCKETS,
    LATENCY_BUCKETS,
    STEP_BUCKETS,
    TOKEN_BUCKETS,
    Families,
)
from edgevlm_server.observe.image_metrics import ImageMetrics
from edgevlm_server.observe.labels import AUDITED, END_REASONS, STATES, EndReason, State
from edgevlm_server.observe.levels import Levels
from edgevlm_server.observe.recent import Rate
from edgevlm_server.observe.request_metrics import RequestMetrics
from edgevlm_server.observe.vllm_names import WithVllmNames
from edgevlm_server.settings import Settings
from edgevlm_server.version import commit, version

REJECTIONS = ("invalid_request", "queue_full", "rate_limited", "timeout", "unavailable", "client_left", "error")
KINDS = ("prefill", "decode", "encode")


class Metrics:
    """One server's metrics, in a registry of its own. Also the batcher's observer: safe from any thread."""

    def __init__(self, *, clients: bool = False, vllm: bool = False) -> None:
        """With `clients`, requests are counted by the names of their keys, too; `vllm` adds its names."""
        families = Families()
        counter, gauge, histogram = families.counter, families.gauge, families.histogram
        self._registry = registry = families.registry
        self._all: Collector = WithVllmNames(registry) if vllm else registry
        ProcessCollector(registry=registry)
        self.levels = Levels()
        registry.register(self.levels)
        self.requests = RequestMetrics(families, clients=clients)
        """A reader of records."""
        self.running = self.waiting = 0
        """Requests that own a slot, and those that wait for one."""
        self.tokens = Rate()
        """Tokens generated lately."""
        running = gauge("num_requests_running", "Requests that own a slot.")
        running.set_function(lambda: self.running)
        waiting = gauge("num_requests_waiting", "Requests that wait for a slot.")
        waiting.set_function(lambda: self.waiting)
        self._state = gauge("server_state", "1 for the current state of the server.", "state")
        self._model = gauge("model_info", "1; what is served.", "model", "engine", "device", "precision")
        build = gauge("build_info", "1; the program's version and commit.", "version", "commit")
        self.unauthorized = counter("unauthorized_requests", "Requests of any kind without a valid key.")
        self.received = counter(
            "requests_received", "Requests that reached the server; one for n answers counts as n."
        )
        self.rejected = counter(
            "admission_rejections",
            "Requests that were not accepted, by reason; one for n answers counts as n.",
            "reason",
            values=REJECTIONS,
        )
        self.accepted = counter("requests_accepted", "Requests handed to the engine's queue.")
        self._ended = counter(
            "request_success", "Accepted requests that ended, by reason.", "finished_reason", values=END_REASONS
        )
        self._completed = counter("requests_completed", "Accepted requests that were answered completely.")
        self._cancelled = counter("requests_cancelled", "Accepted requests whose client left.")
        self._failed = counter("requests_failed", "Accepted requests that ended with an error.")
        self._prompt_tokens = counter("prompt_tokens", "Prompt positions processed, images included.")
        self._generation_tokens = counter("generation_tokens", "Tokens generated.")
        self._batch = histogram("decode_batch_size", "Sequences in one decode step.", BATCH_BUCKETS)
        steps = histogram(
            "step_seconds",
            "One call of the engine: a chunk of a prompt, a token of every running answer, or a picture.",
            STEP_BUCKETS,
            "kind",
            values=KINDS,
        )
        self._prefill_step, self._decode_step, encode_step = (steps.labels(kind) for kind in KINDS)
        self.loop_lag = histogram(
            "event_loop_lag_seconds",
            "How late the event loop is for what is due, looked at once a second.",
            STEP_BUCKETS,
        )
        self.first_token = histogram(
            "time_to_first_token_seconds",
            "From the request's arrival to its first token; of a reading, for each field.",
            FIRST_TOKEN_BUCKETS,
        )
        self.inter_token = histogram(
            "inter_token_latency_seconds", "Between two tokens of one answer.", INTER_TOKEN_BUCKETS
        )
        self.end_to_end = histogram(
            "e2e_request_latency_seconds",
            "From the request's arrival to its last token; of a reading, for each field.",
            LATENCY_BUCKETS,
        )
        self.images = ImageMetrics(families, encode_step)
        self._prefix_queries = counter("prefix_cache_queries", "Prompt positions looked up in the prefix cache.")
        self._prefix_hits = counter(
            "prefix_cache_hits", "Prompt positions copied from the cache instead of computed."
        )
        self.request_prompt = histogram("request_prompt_tokens", "Positions of one prompt.", TOKEN_BUCKETS)
        self.request_generation = histogram("request_generation_tokens", "Tokens of one answer.", TOKEN_BUCKETS)
        self.answers = AnswerMetrics(families)
        self.audit_written = counter("audit_written", "Entries of the audit on its disk.", "kind", values=AUDITED)
        self.audit_dropped = counter(
            "audit_dropped",
            "Entries that the audit lost: its disk is full, gone or too slow.",
            "kind",
            values=AUDITED,
        )
        build.labels(version(), commit() or "").set(1)
        self.state("loading")

    @classmethod
    def of(cls, settings: Settings) -> "Metrics":
        """As it was asked for."""
        return cls(clients=settings.metrics_clients, vllm=settings.metrics_aliases == "vllm")

    def state(self, state: State) -> None:
        """Note the state that the server is in."""
        for name in STATES:
            self._state.labels(name).set(name == state)

    def model(self, model: str, engine: str, device: str, precision: str) -> None:
        """Note what is served."""
        self._model.labels(model, engine, device, precision).set(1)

    def load(self, running: int, waiting: int) -> None:
        self.running, self.waiting = running, waiting

    def decoded(self, sequences: int, seconds: float) -> None:
        self._batch.observe(sequences)
        self._decode_step.observe(seconds)

    def prefilled(self, positions: int, seconds: float) -> None:
        self._prompt_tokens.inc(positions)
        self._prefill_step.observe(seconds)

    def generated(self, tokens: int) -> None:
        self._generation_tokens.inc(tokens)
        self.tokens.add(tokens)

    def reused(self, looked_up: int, found: int) -> None:
        self._prefix_queries.inc(looked_up)
        self._prefix_hits.inc(found)
        self._prompt_tokens.inc(found)

    def ended(self, reason: EndReason) -> None:
        self._ended.labels(reason).inc()
        ledger = {"cancelled": self._cancelled, "error": self._failed}.get(reason, self._completed)
        ledger.inc()

    def watch(self, device: Device) -> None:
        """From now on, tell of the device too."""
        self._registry.register(DeviceCollector(device))

    def collect(self) -> Iterable[Metric]:
        """Every metric with its series."""
        return self._all.collect()

    def text(self) -> bytes:
        """Everything, as Prometheus reads it. Asks the device's sensors, so not on the event loop."""
        return generate_latest(self._all)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """The same with its media type: OpenMetrics for those whose `Accept` header names it."""
        if "application/openmetrics-text" in accept:
            # otherwise the colon in vLLM's names becomes an underscore
            content: bytes = generate_openmetrics(self._all, ALLOWUTF8)  # type: ignore[no-untyped-call]
            return content, OPENMETRICS_TYPE
        return self.text(), CONTENT_TYPE_LATEST
