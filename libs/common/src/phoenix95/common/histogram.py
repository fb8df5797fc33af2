"""Histograms that forget no observation: count, sum, extremes and buckets are exact, percentiles to three digits.

Each series is one HdrHistogram: a fixed array of counts over cells that are at most 0.1 % wide, so that a
percentile is the true one by rank, rounded up within its cell. With the defaults (0.001 to 600,000: a
microsecond to ten minutes, in ms) a series takes 172 kB, however much it observes.
"""

import math
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import accumulate
from typing import Final

from hdrh.histogram import HdrHistogram
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from phoenix95.common.readings import QUANTILE_SUFFIX, QUANTILES, HistogramReading, histogram_reading

BUCKETS_MS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000)
STEP: Final = 0.001
HIGHEST: Final = 600_000.0
DIGITS: Final = 3
SERIES_MAX: Final = 64  # of one histogram: 11 MB at most; the tags of what comes later are all OTHER
OTHER: Final = "other"
_RESERVED: Final = frozenset({"le", "quantile"})  # labels that Prometheus text uses itself


class Series:
    """The observations under one set of tags. For the thread of the event loop only."""

    def __init__(
        self, name: str, tags: Mapping[str, str], *, buckets: Sequence[float], step: float, highest: float
    ) -> None:
        self.name = name
        self.tags = dict(tags)
        self._bounds = tuple(buckets)
        self._per_unit = 1 / step
        self._cell_max = round(highest / step)
        self._cells = HdrHistogram(1, self._cell_max, DIGITS)
        self._in_bucket = [0] * (len(self._bounds) + 1)
        self._sum = 0.0
        self._min = math.inf
        self._max = -math.inf

    def observe(self, value: float) -> None:
        """Count one observation.

        For percentiles only, one below 0 counts as 0 (clocks disagree) and one above the highest value as the
        highest. Raises ValueError for NaN and infinity.
        """
        if not math.isfinite(value):
            raise ValueError(f"{self.name}: {value} cannot be observed")
        self._sum += value
        if value < self._min:
            self._min = value
        if value > self._max:
            self._max = value
        self._in_bucket[bisect_left(self._bounds, value)] += 1
        cell = round(value * self._per_unit)
        self._cells.record_value(cell if 0 <= cell <= self._cell_max else 0 if cell < 0 else self._cell_max)

    def time(self) -> AbstractContextManager[None]:
        """Observe in ms how long the block takes, also when it raises."""
        return self._timed()

    @property
    def count(self) -> int:
        """How many observations there were."""
        return int(self._cells.get_total_count())

    def quantile(self, q: float) -> float | None:
        """The smallest observation with the share `q` of all at or below it; None when there were none."""
        return self.quantiles((q,)).get(q)

    def quantiles(self, shares: Iterable[float] = QUANTILES) -> dict[float, float]:
        """`quantile` for several shares in one pass; empty when there were no observations."""
        if not self.count:
            return {}
        # One pass over a copy, at the speed of C: the library's own way takes some ms, and the event loop waits.
        below = list(accumulate(self._cells.counts[:]))
        return {q: self._at(q, below) for q in shares}

    def reading(self) -> HistogramReading:
        """All figures of this series."""
        return histogram_reading(self.name, self.tags, count=self.count, total=self._sum, quantiles=self.quantiles())

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, observations at or below it), as Prometheus has them."""
        bounds = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        return list(zip(bounds, accumulate(self._in_bucket), strict=True))

    @property
    def sum(self) -> float:
        """The sum of all observations."""
        return self._sum

    def reset(self) -> None:
        """Forget all observations."""
        self._cells.reset()
        self._in_bucket = [0] * (len(self._bounds) + 1)
        self._sum = 0.0
        self._min = math.inf
        self._max = -math.inf

    def _at(self, q: float, below: Sequence[int]) -> float:
        if q <= 0 or q >= 1:
            return self._min if q <= 0 else self._max
        rank = max(1, math.ceil(q * below[-1] - 1e-9))  # takes back what 0.07 * 100 is above 7
        cell = self._cells.get_value_from_index(bisect_left(below, rank))
        value: float = self._cells.get_highest_equivalent_value(cell) / self._per_unit
        return min(max(value, self._min), self._max)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started_ns = time.perf_counter_ns()
        try:
            yield
        finally:
            self.observe((time.perf_counter_ns() - started_ns) / 1e6)


class Histogram(Collector):
    """Series of observations by tags. Scraped as `NAME_bucket`, `_sum`, `_count` and `NAME_quantile`."""

    def __init__(
        self, name: str, doc: str, labels: Sequence[str], *, buckets: Sequence[float], step: float, highest: float
    ) -> None:
        if _RESERVED & set(labels):
            raise ValueError(f"{name}: le and quantile are Prometheus' own labels")
        if not buckets or buckets[0] < 0 or list(buckets) != sorted(set(buckets)):
            raise ValueError(f"{name}: buckets must ascend from 0 or more")
        if not 0 < step <= highest / 2:
            raise ValueError(f"{name}: step {step} does not fit below {highest}")
        self.name = name
        self._doc = doc
        self._labels = tuple(labels)
        self._buckets = buckets
        self._step = step
        self._highest = highest
        self._series: dict[tuple[str, ...], Series] = {}

    def labels(self, *values: object, **tags: object) -> Series:
        """The series of these tags, by position or by name. Raises ValueError when they are not this histogram's."""
        given = dict(zip(self._labels, values, strict=False)) if values else tags
        if given.keys() != set(self._labels) or len(values) + len(tags) != len(self._labels):
            raise ValueError(f"{self.name} has the tags ({', '.join(self._labels)})")
        key = tuple(str(given[label]) for label in self._labels)
        if key not in self._series:
            if self._labels and len(self._series) >= SERIES_MAX:
                key = (OTHER,) * len(self._labels)
            self._series.setdefault(key, self._new(key))
        return self._series[key]

    def observe(self, value: float) -> None:
        """`Series.observe` of a histogram without tags."""
        self.labels().observe(value)

    def time(self) -> AbstractContextManager[None]:
        """`Series.time` of a histogram without tags."""
        return self.labels().time()

    def series(self) -> tuple[Series, ...]:
        """All series there are."""
        return tuple(self._series.values())

    def reset(self) -> None:
        """Forget all observations; who holds a series may go on with it."""
        for series in self._series.values():
            series.reset()

    def describe(self) -> Iterable[Metric]:
        """The names that this takes in a registry."""
        return self._families()

    def collect(self) -> Iterable[Metric]:
        """The families that are scraped."""
        whole, quantiles = self._families()
        for key, series in self._series.items():
            whole.add_metric(key, series.buckets(), series.sum)
            for q, value in series.quantiles().items():
                quantiles.add_metric([*key, f"{q:g}"], value)
        return whole, quantiles

    def _families(self) -> tuple[HistogramMetricFamily, GaugeMetricFamily]:
        doc = f"Exact quantile since the start: {self._doc}"
        return (
            HistogramMetricFamily(self.name, self._doc, labels=self._labels),
            GaugeMetricFamily(self.name + QUANTILE_SUFFIX, doc, labels=[*self._labels, "quantile"]),
        )

    def _new(self, key: tuple[str, ...]) -> Series:
        tags = dict(zip(self._labels, key, strict=True))
        return Series(self.name, tags, buckets=self._buckets, step=self._step, highest=self._highest)
