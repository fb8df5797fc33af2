"""Every message that crosses a service boundary.

Each is the field `d` of a stream entry: the compact JSON of one struct, with the tag `t` that names it.
Unknown fields are ignored on read, because a producer may be newer. Times are exchange time in ms unless
the name says otherwise. Prices and quantities of the market stay the exchange's own decimal strings.
"""

from typing import Literal

import msgspec

TYPE_TAG = "t"

Action = Literal["EXECUTE", "HOLD", "EXIT", "ERROR"]
Side = Literal["BUY", "SELL"]
RiskLevel = Literal["low", "medium", "high", "critical"]
Severity = Literal["info", "success", "warning", "error", "critical"]
Stage = Literal["signal", "position", "portfolio"]


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field=TYPE_TAG, gc=False):
    """Base of all messages."""


# ---------------------------------------------------------------- ticks: the engine's only market input


class Trade(Event, frozen=True, kw_only=True, tag="trade"):
    """One aggregate trade; its id in the stream is `<T>-<aggTradeId>`.

    `received_ms` is the feed's own wall clock and never read by the engine. The first trade of each
    exchange second also carries the best bid and ask, mark price and funding rate as the feed knew them.
    """

    price: str = msgspec.field(name="p")
    quantity: str = msgspec.field(name="q")
    buyer_is_maker: bool = msgspec.field(name="m")
    received_ms: int = msgspec.field(name="rx")
    bid: str | None = msgspec.field(name="b", default=None)
    ask: str | None = msgspec.field(name="a", default=None)
    mark: str | None = msgspec.field(name="k", default=None)
    funding: str | None = msgspec.field(name="f", default=None)


class Gap(Event, frozen=True, kw_only=True, tag="gap"):
    """Trades that the exchange could not supply; final. Its id is `<T of the next trade>-<last missing>`."""

    first: int
    last: int


class Seed(Event, frozen=True, kw_only=True, tag="seed"):
    """A closed historical bar, written before the first trade of a symbol; its id is `<close time>-0`."""

    open_time: int
    length_ms: int
    open: str
    high: str
    low: str
    close: str
    volume: str


class Resume(Event, frozen=True, kw_only=True, tag="resume"):
    """A symbol that was unsubscribed starts again behind `after`, the last id of the earlier stretch."""

    after: str


Tick = Trade | Gap | Seed | Resume

# ---------------------------------------------------------------- analyses


class Bar(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was traded in `[open_time, open_time + length_ms)`; `whole` is False when its start or a gap is missing."""

    open_time: int
    length_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int
    whole: bool


class Factor(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One piece of evidence: `value` in [-1, 1] (sign is the direction), its `weight`, and what it read."""

    name: str
    value: float
    weight: float
    inputs: dict[str, float]


class Quality(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How far the inputs can be trusted. `degraded_bars` counts bars since a gap until warm again."""

    warm: bool
    bars: int
    degraded_bars: int
    spread_bps: float | None


class Analysis(Event, frozen=True, kw_only=True, tag="analysis"):
    """What the engine concludes at a bar's close, or (`request` set) to a request from outside.

    `cause` is the id of the tick that closed the bar, `as_of` for a request the last tick that was folded.
    `position_fraction` is of equity in [0, 1] and already leveraged notional over equity; `win_probability`
    is None while there is too little history; `hold_ms` is the time barrier. `config` names the settings. EXIT ends
    the trade of this strategy in this symbol, if there is one; its `side`, size, stop and target mean nothing.
    """

    id: str
    strategy: str
    symbol: str
    action: Action
    side: Side | None
    cause: str
    ts: int
    expires_at: int
    price: float
    confidence: float
    phoenix95_score: float
    risk_level: RiskLevel
    win_probability: float | None
    win_samples: int
    brier: float | None
    position_fraction: float
    leverage: int
    stop_loss: float | None
    take_profit: float | None
    hold_ms: int
    bar: Bar | None
    indicators: dict[str, float | None]
    factors: tuple[Factor, ...]
    quality: Quality
    reasoning: tuple[str, ...]
    config: str
    request: str | None = None
    as_of: str | None = None
    trade: bool = True


class Marker(Event, frozen=True, kw_only=True, tag="marker"):
    """A change that governs the analyses from this tick on: `kind` is config, schema or quarantine."""

    symbol: str
    kind: str
    value: str
    cause: str


EngineOutput = Analysis | Marker


class Request(Event, frozen=True, kw_only=True, tag="request"):
    """An analysis asked for from outside. Its stream id is its name; `trade` asks to trade what comes out.

    `side` None asks for the engine's own opinion. `requested_at` is the asker's exchange time. Explicit
    `stop_loss`, `take_profit` and `hold_ms` replace the engine's own. From `signal_ms` on is what an outside signal
    may also say, kept as it came; `signal_ms` is the time that it gives itself. The engine does not weigh it.
    """

    symbol: str
    requested_at: int
    side: Side | None = None
    price: float | None = None
    confidence: float | None = None
    rsi: float | None = None
    macd: float | None = None
    volume: float | None = None
    trade: bool = False
    stop_loss: float | None = None
    take_profit: float | None = None
    hold_ms: int | None = None
    source: str = "api"
    signal_ms: int | None = None
    alpha_score: float | None = None
    z_score: float | None = None
    ml_signal: str | None = None
    ml_confidence: float | None = None
    strategy: str | None = None
    timeframe: str | None = None


# ---------------------------------------------------------------- money


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one gate said: `reason` is None when it let the trade pass. `numbers` are what it compared."""

    gate: str
    stage: Stage
    reason: str | None
    numbers: dict[str, str]


class Decided(Event, frozen=True, kw_only=True, tag="decided"):
    """The gates' answer to one analysis. Exactly one for each analysis and reply."""

    analysis_id: str
    symbol: str
    ts: int
    action: Action
    side: Side | None
    accepted: bool
    reason: str
    verdicts: tuple[Verdict, ...] = ()
    request: str | None = None


class OrderChanged(Event, frozen=True, kw_only=True, tag="order"):
    """An order moved on. `role` is entry, stop, target, trail or exit; `state` is the intent's state."""

    analysis_id: str
    symbol: str
    ts: int
    client_id: str
    role: str
    state: str
    side: Side
    quantity: str
    filled: str = "0"
    average_price: str | None = None
    trigger_price: str | None = None
    venue_id: str | None = None
    reason: str | None = None
    request: str | None = None


class PositionChanged(Event, frozen=True, kw_only=True, tag="position"):
    """A position opened, was protected, or closed. Amounts in quote currency; fees are positive costs."""

    analysis_id: str
    symbol: str
    ts: int
    state: Literal["opened", "protected", "closed"]
    side: Literal["long", "short"]
    size: str
    entry_price: str
    exit_price: str | None = None
    exit_reason: str | None = None
    realized_pnl: str | None = None
    fees: str | None = None
    request: str | None = None


OrderEvent = Decided | OrderChanged | PositionChanged

# ---------------------------------------------------------------- commands


class Subscribe(Event, frozen=True, kw_only=True, tag="subscribe"):
    """Start trading data of a symbol."""

    symbol: str


class Unsubscribe(Event, frozen=True, kw_only=True, tag="unsubscribe"):
    """Stop trading data of a symbol."""

    symbol: str


class ClosePosition(Event, frozen=True, kw_only=True, tag="close_position"):
    """Close what is held in a symbol at the market; a person's decision. `side` None: whichever is held."""

    symbol: str
    reason: str
    side: Literal["long", "short"] | None = None


class PlaceTrade(Event, frozen=True, kw_only=True, tag="place_trade"):
    """Enter a trade that a person decided on. Exact numbers travel as decimal strings.

    Exactly one of `amount` (base units) and `equity_fraction` (notional over equity) is set. Without `stop_loss` the
    stop lies at the executor's default distance; without `take_profit` there is no target; without `hold_ms` the time
    barrier is the executor's longest. Nothing is entered after `expires_at`. At most one entry comes of one command.
    """

    symbol: str
    side: Side
    requested_at: int
    expires_at: int
    leverage: int
    amount: str | None = None
    equity_fraction: str | None = None
    stop_loss: str | None = None
    take_profit: str | None = None
    hold_ms: int | None = None


class Notify(Event, frozen=True, kw_only=True, tag="notify"):
    """Tell people something over every channel of the monitor."""

    message: str
    severity: Severity


Command = Subscribe | Unsubscribe | ClosePosition | PlaceTrade | Notify


class Ack(Event, frozen=True, kw_only=True, tag="ack"):
    """The outcome of a command, by the id of its entry."""

    command_id: str
    service: str
    ok: bool
    message: str


# ---------------------------------------------------------------- operation


class HostSample(Event, frozen=True, kw_only=True, tag="host"):
    """One look at the machine. `ts_wall_ms` is wall-clock time, because hosts have no exchange time.

    `processes` are ours. `other_python` are the largest of the other Python processes; only the current state has
    them. The network's figures count bytes and packets over all its devices since the machine began.
    """

    ts_wall_ms: int
    cpu_percent: float
    cpu_count: int
    memory_total: int
    memory_available: int
    memory_percent: float
    disk_total: int
    disk_free: int
    disk_percent: float
    processes: tuple["ProcessSample", ...]
    memory_used: int = 0
    disk_used: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    packets_sent: int = 0
    packets_received: int = 0
    other_python: tuple["ProcessSample", ...] = ()


class ProcessSample(msgspec.Struct, frozen=True, kw_only=True):
    """One Python process. Bytes; `cpu_percent` since the last sample, 100 is one core.

    `connections` are its open internet sockets without those that listen; None where the kernel does not say.
    """

    pid: int
    name: str
    cpu_percent: float
    rss: int
    pss: int | None
    threads: int
    connections: int | None = None


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What a sample says in short. Memory (bytes), threads and connections are sums over our processes."""

    cpu_percent: float
    memory_percent: float
    disk_percent: float
    process_memory: int
    process_cpu_percent: float
    threads: float
    connections: float


class NotifyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How people are told. Counts since the monitor began: `left_out` were too many at a time."""

    channels: tuple[str, ...] = ()
    sent: int = 0
    failed: int = 0
    left_out: int = 0


class MonitorStatus(Event, frozen=True, kw_only=True, tag="monitor_status"):
    """How the machine and our processes are. Forgotten after two intervals: then the monitor does not run.

    Times are wall-clock ms. `average` is over the last `averaged` samples, at most 20. `samples_1h` and `alerts_24h`
    count what the streams hold of the last hour and day, alerts of every service. `unhealthy` says why not `healthy`.
    """

    ts_wall_ms: int
    started_wall_ms: int
    uptime_ms: int
    latest: Load
    average: Load
    averaged: int
    samples_1h: int
    alerts_24h: int
    memory_limit: int
    running: bool
    healthy: bool
    unhealthy: tuple[str, ...]
    notifications: NotifyStatus = NotifyStatus()


class Alert(Event, frozen=True, kw_only=True, tag="alert"):
    """Something a person should know."""

    ts_wall_ms: int
    service: str
    severity: Severity
    kind: str
    message: str
    symbol: str | None = None


class FeedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The feed's connection to the exchange. `connections` counts those made by this process over all its routes,
    `reconnects` those after the first of each route. `reason` says why not all symbols come, None when they do.
    """

    connected: bool
    reason: str | None
    symbols: tuple[str, ...]
    connections: int
    reconnects: int
    frames: int


class Heartbeat(Event, frozen=True, kw_only=True, tag="heartbeat"):
    """A service says it lives, and when it last got something done (wall-clock ms). `feed` is set by feeds."""

    service: str
    instance: str
    version: str
    started_wall_ms: int
    progress_wall_ms: int
    feed: FeedStatus | None = None


class DeadLetter(Event, frozen=True, kw_only=True, tag="dead"):
    """An entry nobody could read, kept whole: `fields` as text, `source` its stream, `entry_id` its id."""

    source: str
    entry_id: str
    error: str
    fields: dict[str, str]
    attempts: int
