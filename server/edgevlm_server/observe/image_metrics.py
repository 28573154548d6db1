"""What is counted of pictures, from their addresses to their features."""

from prometheus_client import Histogram

from edgevlm_server.observe.families import LATENCY_BUCKETS, Families

FETCHES = ("ok", "cancelled", "not_allowed", "failed", "timeout", "too_large")


class ImageMetrics:
    """The pictures' part of a server's metrics."""

    def __init__(self, families: Families, encode_step: Histogram) -> None:
        """`encode_step` is the encoder's series among those of the engine's calls."""
        self.encode_step = encode_step
        self.decode = families.histogram("image_decode_seconds", "From a picture's file to pixels.", LATENCY_BUCKETS)
        self.encode = families.histogram("image_encode_seconds", "From pixels to features.", LATENCY_BUCKETS)
        self._fetches = families.counter(
            "image_fetches", "Pictures fetched from an address, by outcome.", "outcome", values=FETCHES
        )
        self._fetch_seconds = families.histogram(
            "image_fetch_seconds", "From a picture's address to its file, successful or not.", LATENCY_BUCKETS
        )
        self.queries = families.counter("mm_cache_queries", "Pictures looked up in the image cache.")
        self.hits = families.counter(
            "mm_cache_hits", "Pictures found in the image cache, or shared with a request that was encoding them."
        )

    def fetched(self, outcome: str, seconds: float) -> None:
        """Note the fetching of one picture; `outcome` is one of `FETCHES`."""
        self._fetches.labels(outcome).inc()
        self._fetch_seconds.observe(seconds)
