"""What the server counts, in Prometheus' format. vLLM's suffixes under `edgevlm_`, so dashboards carry over.

Every series exists from the start, at 0, and labels come from fixed lists, never from what a client sent.
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from edgevlm_server.device.device import Device
from edgevlm_server.observe.device import DeviceCollector
from edgevlm_server.version import commit, version

CONTENT_TYPE = CONTENT_TYPE_LATEST

FIRST_TOKEN_BUCKETS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560),
)
INTER_TOKEN_BUCKETS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75),
    *(1, 2.5, 5, 7.5, 10, 20, 40, 80),
)
LATENCY_BUCKETS = (
    *(0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.2, 0.3, 0.5, 0.8),
    *(1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680),
)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64)
TOKEN_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)

REASONS = ("stop", "length", "cancelled", "error")
REJECTIONS = ("invalid_request", "queue_full", "rate_limited", "timeout", "unavailable", "client_left", "error")
FETCHES = ("ok", "cancelled", "not_allowed", "failed", "timeout", "too_large")
STATES = ("loading", "ready", "draining", "dead")


class Metrics:
    """One server's metrics, in a registry of its own. Also the batcher's observer: safe from any thread."""

    def __init__(self) -> None:
        # otherwise each counter gets a second series that no dashboard reads
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"edgevlm_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"edgevlm_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"edgevlm_{name}", text, buckets=buckets, registry=registry)

        self._running = gauge("num_requests_running", "Requests that own a slot.")
        self._waiting = gauge("num_requests_waiting", "Requests that wait for a slot.")
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
        )
        self.accepted = counter("requests_accepted", "Requests handed to the engine's queue.")
        self._ended = counter("request_success", "Accepted requests that ended, by reason.", "finished_reason")
        self._completed = counter("requests_completed", "Accepted requests that were answered completely.")
        self._cancelled = counter("requests_cancelled", "Accepted requests whose client left.")
        self._failed = counter("requests_failed", "Accepted requests that ended with an error.")
        self._prompt_tokens = counter("prompt_tokens", "Prompt positions processed, images included.")
        self._generation_tokens = counter("generation_tokens", "Tokens generated.")
        self._batch = histogram("decode_batch_size", "Sequences in one decode step.", BATCH_BUCKETS)
        self.first_token = histogram(
            "time_to_first_token_seconds",
            "From the request's arrival to its first token.",
            FIRST_TOKEN_BUCKETS,
        )
        self.inter_token = histogram(
            "inter_token_latency_seconds", "Between two tokens of one answer.", INTER_TOKEN_BUCKETS
        )
        self.end_to_end = histogram(
            "e2e_request_latency_seconds", "From the request's arrival to its last token.", LATENCY_BUCKETS
        )
        self.image_decode = histogram("image_decode_seconds", "From a picture's file to pixels.", LATENCY_BUCKETS)
        self.image_encode = histogram("image_encode_seconds", "From pixels to features.", LATENCY_BUCKETS)
        self._fetches = counter("image_fetches", "Pictures fetched from an address, by outcome.", "outcome")
        self._fetch_seconds = histogram(
            "image_fetch_seconds", "From a picture's address to its file, successful or not.", LATENCY_BUCKETS
        )
        self.image_queries = counter("mm_cache_queries", "Pictures looked up in the image cache.")
        self.image_hits = counter(
            "mm_cache_hits", "Pictures found in the image cache, or shared with a request that was encoding them."
        )
        self._prefix_queries = counter("prefix_cache_queries", "Prompt positions looked up in the prefix cache.")
        self._prefix_hits = counter(
            "prefix_cache_hits", "Prompt positions copied from the cache instead of computed."
        )
        self.request_prompt = histogram("request_prompt_tokens", "Positions of one prompt.", TOKEN_BUCKETS)
        self.request_generation = histogram("request_generation_tokens", "Tokens of one answer.", TOKEN_BUCKETS)
        build.labels(version(), commit() or "").set(1)
        for reason in REASONS:
            self._ended.labels(reason)
        for rejection in REJECTIONS:
            self.rejected.labels(rejection)
        for outcome in FETCHES:
            self._fetches.labels(outcome)
        self.state("loading")

    def fetched(self, outcome: str, seconds: float) -> None:
        """Note the fetching of one picture; `outcome` is one of `FETCHES`."""
        self._fetches.labels(outcome).inc()
        self._fetch_seconds.observe(seconds)

    def state(self, state: str) -> None:
        """Note the state that the server is in."""
        for name in STATES:
            self._state.labels(name).set(name == state)

    def model(self, model: str, engine: str, device: str, precision: str) -> None:
        """Note what is served."""
        self._model.labels(model, engine, device, precision).set(1)

    def load(self, running: int, waiting: int) -> None:
        self._running.set(running)
        self._waiting.set(waiting)

    def step(self, decoded: int, prefilled: int, generated: int) -> None:
        if decoded:
            self._batch.observe(decoded)
        self._prompt_tokens.inc(prefilled)
        self._generation_tokens.inc(generated)

    def reused(self, looked_up: int, found: int) -> None:
        self._prefix_queries.inc(looked_up)
        self._prefix_hits.inc(found)
        self._prompt_tokens.inc(found)

    def ended(self, reason: str) -> None:
        self._ended.labels(reason).inc()
        ledger = {"cancelled": self._cancelled, "error": self._failed}.get(reason, self._completed)
        ledger.inc()

    def watch(self, device: Device) -> None:
        """From now on, tell of the device too."""
        self._registry.register(DeviceCollector(device))

    def text(self) -> bytes:
        """Everything, as Prometheus reads it. Asks the device's sensors, so not on the event loop."""
        return generate_latest(self._registry)
