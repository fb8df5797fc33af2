"""What the engine measures of itself."""

from phoenix95.common.metrics import Metrics
from phoenix95.engine.holding import Taken


class Gauges:
    """Counters and histograms of this process. A restart folds some entries again, and counts them again."""

    def __init__(self, metrics: Metrics) -> None:
        self._ticks = metrics.counter("p95_engine_ticks_total", "Entries of tick streams that were folded")
        self._published = metrics.counter("p95_engine_published_total", "New entries of analysis streams", ["kind"])
        self._replies = metrics.counter("p95_engine_replies_total", "Requests that were answered")
        self._recalled = metrics.counter(
            "p95_engine_replies_recalled_total", "Requests that were answered from the result cache"
        )
        self._unreadable = metrics.counter("p95_engine_unreadable_total", "Entries that went to the dead letters")
        self._commits = metrics.counter("p95_engine_commits_total", "Fenced commits that were stored")
        self._folding = metrics.counter("p95_engine_fold_seconds_total", "Time spent folding and answering")
        self._held = metrics.gauge("p95_engine_partitions", "Partitions that this worker holds")
        self._lag = metrics.gauge("p95_partition_lag_ms", "How far a partition is behind, exchange ms", ["partition"])
        self._from_feed = metrics.hop_histogram("feed_to_engine")
        self._to_commit = metrics.hop_histogram("engine_to_commit")

    def took(self, taken: Taken, *, seconds: float, wall_ms: int) -> None:
        """Count one read that was folded."""
        self._ticks.inc(taken.ticks)
        self._folding.inc(seconds)
        self._replies.inc(taken.replies)
        self._recalled.inc(taken.recalled)
        self._unreadable.inc(taken.unreadable)
        for kind, count in taken.published.items():
            self._published.labels(kind).inc(count)
        for received_ms in taken.received:
            self._from_feed.observe(wall_ms - received_ms)

    def committed(self, outputs: int, *, seconds: float) -> None:
        """Count one stored commit, and how long its outputs took from the read on."""
        self._commits.inc()
        if outputs:
            self._to_commit.observe(seconds * 1000)

    def lag(self, partition: int, lag_ms: int) -> None:
        """Note how far a partition is behind its tick streams."""
        self._lag.labels(f"{partition:02d}").set(lag_ms)

    def held(self, partitions: int) -> None:
        """Note how many partitions are ours."""
        self._held.set(partitions)
