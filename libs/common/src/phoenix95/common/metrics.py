"""The one collector of a process: counters, gauges, histograms and timers with tags, scraped as Prometheus text.

Tags are Prometheus' labels: `metrics.counter("p95_x", "what it is", ["symbol"]).labels("BTCUSDT").inc()`.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest
from prometheus_client.core import Metric

from phoenix95.common.histogram import BUCKETS_MS, HIGHEST, STEP, Histogram, Series
from phoenix95.common.readings import HistogramReading, Reading, in_order, plain_readings

HOP_LATENCY: Final = "p95_hop_latency_ms"

M = TypeVar("M", Counter, Gauge, Histogram)


class Metrics:
    """One registry a process. Asking twice for a name gives the same metric; TypeError when it is another kind."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._made: dict[str, Counter | Gauge | Histogram] = {}
        self._process = ProcessCollector(registry=self.registry)

    def counter(self, name: str, doc: str, labels: Sequence[str] = ()) -> Counter:
        """A number that only grows."""
        return self._known(name, Counter) or self._keep(name, Counter(name, doc, labels, registry=self.registry))

    def gauge(self, name: str, doc: str, labels: Sequence[str] = ()) -> Gauge:
        """A number that goes up and down."""
        return self._known(name, Gauge) or self._keep(name, Gauge(name, doc, labels, registry=self.registry))

    def histogram(
        self,
        name: str,
        doc: str,
        labels: Sequence[str] = (),
        buckets: Sequence[float] = BUCKETS_MS,
        *,
        step: float = STEP,
        highest: float = HIGHEST,
    ) -> Histogram:
        """Observations with exact percentiles; the defaults are for ms.

        Values are told apart down to `step` and up to `highest`; `buckets` are what Prometheus gets.
        """
        known = self._known(name, Histogram)
        if known is None:
            known = Histogram(name, doc, labels, buckets=buckets, step=step, highest=highest)
            self.registry.register(known)
            self._keep(name, known)
        return known

    def hop_histogram(self, hop: str) -> Series:
        """The latency in ms of a hop of a tick's way: `p95_hop_latency_ms{hop=...}`."""
        return self.histogram(HOP_LATENCY, "Latency of one hop in ms", ["hop"]).labels(hop)

    def timer(self, name: str, doc: str, **tags: str) -> AbstractContextManager[None]:
        """Observe in ms how long the block takes, also when it raises: `with metrics.timer("p95_x_ms", "..."):`."""
        return self.histogram(name, doc, tuple(tags)).labels(**tags).time()

    def read_out(self) -> tuple[Reading, ...]:
        """Everything there is, and the process's own figures, in the order of names and tags."""
        histograms = [made for made in self._made.values() if isinstance(made, Histogram)]
        distributions = [series.reading() for histogram in histograms for series in histogram.series()]
        return in_order([*plain_readings(self._plain_families()), *distributions])

    def average(self, name: str, **tags: str) -> float | None:
        """The mean of one metric over all its series with these tags; None when there is nothing to average.

        Of a histogram that is the mean of its observations, of a counter or gauge the mean of its series' values.
        Raises KeyError when nothing has this name.
        """
        names = {name, f"{name}_total"}
        found = [one for one in self.read_out() if one.name in names]
        if not found and name not in self._made:
            raise KeyError(name)
        total, count = 0.0, 0
        for one in found:
            if tags.items() <= one.tags.items():
                total += one.sum if isinstance(one, HistogramReading) else one.value
                count += one.count if isinstance(one, HistogramReading) else 1
        return total / count if count else None

    def reset(self) -> None:
        """Put everything back to zero; who holds a metric may go on with it."""
        for made in self._made.values():
            if isinstance(made, Histogram):
                made.reset()
                continue
            for child in list(_children(made)):
                if isinstance(child, Counter):
                    child.reset()
                else:
                    child.set(0)

    def text(self) -> bytes:
        """Everything in the Prometheus text format; `readings.readings_of` reads it back."""
        return generate_latest(self.registry)

    def _plain_families(self) -> Iterable[Metric]:
        for made in self._made.values():
            if not isinstance(made, Histogram):
                yield from made.collect()
        yield from self._process.collect()

    def _known(self, name: str, kind: type[M]) -> M | None:
        made = self._made.get(name)
        if made is not None and not isinstance(made, kind):
            raise TypeError(f"{name} is a {type(made).__name__}")
        return made

    def _keep(self, name: str, made: M) -> M:
        self._made[name] = made
        return made


def _children(made: Counter | Gauge) -> Iterator[Counter | Gauge]:
    """Each labelled child, or the metric itself when it has no labels."""
    for family in made.collect():
        seen = {tuple(sample.labels.items()) for sample in family.samples}
        for tags in seen:
            yield made.labels(**dict(tags)) if tags else made
