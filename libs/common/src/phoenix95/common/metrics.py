"""Prometheus metrics of one process, and exact percentiles of each hop over its last observations."""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

HOP_BUCKETS_MS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000)
HOP_WINDOW: Final = 4096  # observations kept for exact percentiles
QUANTILES: Final = (0.5, 0.95, 0.99)

M = TypeVar("M", Counter, Gauge, Histogram)


class Hop:
    """The latency of one hop, in ms."""

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._window: deque[float] = deque(maxlen=HOP_WINDOW)

    def observe(self, ms: float) -> None:
        """Count one passage. Negative values (clocks that disagree) are kept in the window as they are."""
        self._histogram.observe(ms)
        self._window.append(ms)

    def quantile(self, q: float) -> float | None:
        """The nearest-rank quantile of the last observations; None when there are none."""
        return quantile(sorted(self._window), q)

    def quantiles(self) -> list[tuple[float, float]]:
        """(quantile, ms) of the usual quantiles; empty when nothing was observed."""
        ranked = sorted(self._window)
        return [(q, value) for q in QUANTILES if (value := quantile(ranked, q)) is not None]


class Metrics:
    """One registry a process. Asking twice for a name gives the same metric."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._made: dict[str, Counter | Gauge | Histogram] = {}
        self._hops: dict[str, Hop] = {}
        ProcessCollector(registry=self.registry)
        self.registry.register(_HopQuantiles(self._hops))

    def counter(self, name: str, doc: str, labels: Sequence[str] = ()) -> Counter:
        """A number that only grows."""
        return self._once(Counter, name, doc, labels)

    def gauge(self, name: str, doc: str, labels: Sequence[str] = ()) -> Gauge:
        """A number that goes up and down."""
        return self._once(Gauge, name, doc, labels)

    def histogram(
        self, name: str, doc: str, labels: Sequence[str] = (), buckets: Sequence[float] = HOP_BUCKETS_MS
    ) -> Histogram:
        """Counts by bucket; the default buckets are for ms."""
        if name not in self._made:
            self._made[name] = Histogram(name, doc, labels, registry=self.registry, buckets=buckets)
        made = self._made[name]
        if not isinstance(made, Histogram):
            raise TypeError(f"{name} is a {type(made).__name__}")
        return made

    def hop_histogram(self, hop: str) -> Hop:
        """The latency of a hop of a tick's way: `p95_hop_latency_ms{hop=...}` and its exact quantiles."""
        if hop not in self._hops:
            family = self.histogram("p95_hop_latency_ms", "Latency of one hop in ms", ["hop"])
            self._hops[hop] = Hop(family.labels(hop))
        return self._hops[hop]

    def text(self) -> bytes:
        """Everything in the Prometheus text format."""
        return generate_latest(self.registry)

    def _once(self, kind: type[M], name: str, doc: str, labels: Sequence[str]) -> M:
        if name not in self._made:
            self._made[name] = kind(name, doc, labels, registry=self.registry)
        made = self._made[name]
        if not isinstance(made, kind):
            raise TypeError(f"{name} is a {type(made).__name__}")
        return made


class _HopQuantiles(Collector):
    def __init__(self, hops: dict[str, Hop]) -> None:
        self._hops = hops

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "p95_hop_latency_ms_quantile",
            f"Exact quantile of the last {HOP_WINDOW} observations of a hop in ms",
            labels=["hop", "quantile"],
        )
        for name, hop in self._hops.items():
            for q, value in hop.quantiles():
                family.add_metric([name, str(q)], value)
        yield family


def quantile(ranked: Sequence[float], q: float) -> float | None:
    """The nearest-rank quantile of ascending numbers; None when there are none."""
    if not ranked:
        return None
    return ranked[min(len(ranked), max(1, math.ceil(q * len(ranked)))) - 1]
