"""What is asked for when the metrics are read: how full the server is, and how full it may be. Knows no server.

Whoever has a value says with `watch` how to get it; until then it is 0. Nothing is counted here, so it costs nothing
between two readings.
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edgevlm_server.observe.families import PREFIX

Name = Literal[
    "num_requests_running_limit",
    "num_requests_waiting_limit",
    "num_requests_inside",
    "num_requests_inside_limit",
    "bodies_arriving",
    "connections",
    "connections_limit",
    "connections_refused",
    "image_cache_bytes",
    "image_cache_limit_bytes",
    "image_cache_evictions",
    "prefix_cache_bytes",
    "prefix_cache_limit_bytes",
    "prefix_cache_evictions",
    "threads",
    "uptime_seconds",
]


class Level(NamedTuple):
    text: str
    counts: bool = False
    """It only ever grows."""


LEVELS: dict[Name, Level] = {
    "num_requests_running_limit": Level("Slots: as many requests run together."),
    "num_requests_waiting_limit": Level("Requests that may wait in addition to those; any more are refused."),
    "num_requests_inside": Level("Places taken: requests that are prepared, wait or run; n answers count as n."),
    "num_requests_inside_limit": Level("Places: slots, and those that may wait."),
    "bodies_arriving": Level("Requests whose body is on its way; they have no place yet."),
    "connections": Level("Open connections."),
    "connections_limit": Level("Connections that may be open; any more are refused."),
    "connections_refused": Level("Connections that were refused: too many, in all or of one address.", counts=True),
    "image_cache_bytes": Level("Memory that the features of pictures seen before take."),
    "image_cache_limit_bytes": Level("Memory that they may take."),
    "image_cache_evictions": Level("Pictures whose features gave way to others'.", counts=True),
    "prefix_cache_bytes": Level("Memory that keys and values of prompts computed before take."),
    "prefix_cache_limit_bytes": Level("Memory that they may take."),
    "prefix_cache_evictions": Level("Parts of prompts whose keys and values gave way to others'.", counts=True),
    "threads": Level("Threads of the process, those of libraries included."),
    "uptime_seconds": Level("Since the process began to serve."),
}


class Levels(Collector):
    """Read by Prometheus' client in any thread: what is watched must be quick, and one plain value."""

    def __init__(self) -> None:
        began = time.monotonic()
        self._read: dict[Name, Callable[[], float]] = {}
        self.watch("uptime_seconds", lambda: time.monotonic() - began)
        self.watch("threads", _threads)

    def watch(self, name: Name, read: Callable[[], float]) -> None:
        """From now on `read` gives this value."""
        self._read[name] = read

    def collect(self) -> Iterator[Metric]:
        for name, level in LEVELS.items():
            read = self._read.get(name)
            family = CounterMetricFamily if level.counts else GaugeMetricFamily
            yield family(PREFIX + name, level.text, value=0 if read is None else read())


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))
