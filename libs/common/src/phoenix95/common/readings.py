"""What a collector counted, as data: read out of a process, or read back from its /metrics."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

QUANTILE_SUFFIX: Final = "_quantile"
CREATED_SUFFIX: Final = "_created"  # prometheus-client tells when each counter began; nobody asks for it
QUANTILES: Final = (0.0, 0.5, 0.95, 0.99, 1.0)  # 0 and 1 are the smallest and the largest observation
_FIELD_OF: Final[Mapping[float, str]] = dict(zip(QUANTILES, ("min", "p50", "p95", "p99", "max"), strict=True))


class _Reading(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    name: str
    tags: dict[str, str]


class CounterReading(_Reading, frozen=True, kw_only=True, tag="counter"):
    """A number that only grows, since the process began or the collector was reset."""

    value: float


class GaugeReading(_Reading, frozen=True, kw_only=True, tag="gauge"):
    """A number as it stands now; NaN when nobody can say."""

    value: float


class HistogramReading(_Reading, frozen=True, kw_only=True, tag="histogram"):
    """All observations since the process began or the collector was reset; None where there were none.

    `count`, `sum`, `min`, `max` and `avg` are exact, percentiles are by nearest rank over every observation
    and given to three digits.
    """

    count: int
    sum: float
    min: float | None
    max: float | None
    avg: float | None
    p50: float | None
    p95: float | None
    p99: float | None


Reading = CounterReading | GaugeReading | HistogramReading


def in_order(readings: Iterable[Reading]) -> tuple[Reading, ...]:
    """Sorted by name and tags."""
    return tuple(sorted(readings, key=lambda reading: (reading.name, sorted(reading.tags.items()))))


def histogram_reading(
    name: str, tags: Mapping[str, str], *, count: int, total: float, quantiles: Mapping[float, float]
) -> HistogramReading:
    """`quantiles` by share, those of QUANTILES, or none at all when `count` is 0."""
    return HistogramReading(
        name=name,
        tags=dict(tags),
        count=count,
        sum=total,
        avg=total / count if count else None,
        **{field: quantiles.get(q) for q, field in _FIELD_OF.items()},
    )


def plain_readings(families: Iterable[Metric]) -> list[Reading]:
    """The counters and gauges among Prometheus families, by the names under which they are scraped."""
    families = list(families)
    counters = {family.name for family in families if family.type == "counter"}
    readings: list[Reading] = []
    for family in families:
        if family.type == "gauge" and family.name.removesuffix(CREATED_SUFFIX) in counters:
            continue
        for sample in family.samples:
            if family.type == "counter" and not sample.name.endswith(CREATED_SUFFIX):
                readings.append(CounterReading(name=sample.name, tags=dict(sample.labels), value=sample.value))
            elif family.type == "gauge":
                readings.append(GaugeReading(name=sample.name, tags=dict(sample.labels), value=sample.value))
    return readings


def readings_of(text: str) -> tuple[Reading, ...]:
    """Read what `Metrics.text` wrote, here or in another process, as its `read_out` would give it.

    Raises ValueError for what is no Prometheus text.
    """
    families = {family.name: family for family in text_string_to_metric_families(text)}
    histograms = [family for family in families.values() if family.type == "histogram"]
    beside = {family.name + QUANTILE_SUFFIX for family in histograms}
    plain = [family for name, family in families.items() if family.type != "histogram" and name not in beside]
    readings = plain_readings(plain)
    for family in histograms:
        readings += _histogram_readings(family, families.get(family.name + QUANTILE_SUFFIX))
    return in_order(readings)


_Tags = tuple[tuple[str, str], ...]


def _histogram_readings(family: Metric, quantiles: Metric | None) -> list[Reading]:
    counts: dict[_Tags, int] = {}
    totals: dict[_Tags, float] = {}
    for sample in family.samples:
        tags = tuple(sample.labels.items())
        if sample.name == f"{family.name}_count":
            counts[tags] = int(sample.value)
        elif sample.name == f"{family.name}_sum":
            totals[tags] = sample.value
    shares: dict[_Tags, dict[float, float]] = {}
    for sample in quantiles.samples if quantiles is not None else ():
        tags = tuple((name, value) for name, value in sample.labels.items() if name != "quantile")
        shares.setdefault(tags, {})[float(sample.labels["quantile"])] = sample.value
    return [
        histogram_reading(
            family.name, dict(tags), count=count, total=totals.get(tags, 0.0), quantiles=shares.get(tags, {})
        )
        for tags, count in counts.items()
    ]
