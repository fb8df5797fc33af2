"""The one table of every `P95_*` name. A name that is not here is a typo and refused at start.

`python -m phoenix95.common.settings_registry` writes `.env.example`.
"""

import sys
from collections.abc import Mapping
from typing import Final, NamedTuple

from phoenix95.common.errors import InvariantBroken

SERVICES: Final = ("feed", "engine", "executor", "monitor", "gateway", "paper")
SECTIONS: Final = ("common", *SERVICES, "stack", "cli", "make")
_PLAIN: Final = frozenset({"common", "stack", "cli", "make"})  # sections whose name is no part of a variable's
OPS_PORTS: Final[Mapping[str, int]] = {
    "feed": 9101,
    "engine": 9102,
    "executor": 9103,
    "monitor": 9104,
    "gateway": 9105,
    "paper": 9106,
}
REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "feed": ("redis_url",),
    "engine": ("redis_url",),
    "executor": ("redis_url", "postgres_url"),
    "monitor": ("redis_url",),
    "gateway": ("redis_url", "postgres_url"),
}


class Setting(NamedTuple):
    """`default` is what the service takes when nothing is set, as text; empty when there is none."""

    section: str
    default: str
    doc: str
    secret: bool = False


def variable(section: str, key: str) -> str:
    """The variable of a key in a section: `P95_X` for common, `P95_<SECTION>_X` for a service."""
    return f"P95_{key}".upper() if section in _PLAIN else f"P95_{section}_{key}".upper()


_TABLE: Final[Mapping[str, tuple[tuple[str, str, str] | tuple[str, str, str, bool], ...]]] = {
    "common": (
        ("redis_url", "", "Redis: unix:///path or redis://host:port/0"),
        ("redis_username", "", "the service's own ACL user"),
        ("redis_password", "", "its password", True),
        ("postgres_url", "", "Postgres: postgresql://user:password@host:port/database", True),
        ("partitions", "16", "partitions of the streams; fixed for the life of a deployment"),
        ("mode", "paper", "paper, demo (the exchange's demo trading) or live (real money)"),
        ("exchange_rest_url", "", "the exchange's REST address; empty: the one of the mode"),
        ("exchange_ws_url", "", "the exchange's websocket address; empty: the one of the mode"),
        ("log_level", "info", "debug, info, warning or error"),
        ("log_format", "auto", "json, console, or auto: console on a terminal"),
        ("http_host", "127.0.0.1", "where /metrics, /livez and /readyz listen"),
        ("config", "", "a TOML file with the tables [common] and one for each service"),
    ),
    "feed": (
        ("source", "binance", "where market data comes from"),
        ("symbols", "BTCUSDT,ETHUSDT,BNBUSDT,ADAUSDT,XRPUSDT", "the symbols of the first start"),
        ("seed_bars", "1440", "one-minute bars of history before a symbol's first trade; 0: none"),
        ("batch_max", "500", "trades of a symbol in one call to Redis at most"),
        ("linger_ms", "2", "how long the first trade of a batch waits for more, in ms"),
        ("line_max", "10000", "trades of a symbol that may wait while Redis is away"),
        ("backfill_max", "50000", "trades fetched again for one hole at most"),
        ("backfill_wait_ms", "60000", "ms without progress after which a hole becomes a gap"),
    ),
    "engine": (
        ("strategy", "momentum", "the strategy that draws conclusions"),
        ("bar_ms", "60000", "lengths of the bars, in exchange ms"),
        ("signal_ttl_ms", "1500", "how long an analysis may be acted upon, in exchange ms"),
        ("lease_ms", "5000", "how long a partition stays ours without a renewal, in ms"),
    ),
    "executor": (
        ("account", "main", "the account's name in the ledger and in order ids"),
        ("api_key", "", "the exchange's API key; without the right to withdraw", True),
        ("api_secret", "", "its secret", True),
        ("allow_live", "false", "the second switch of trading with real money, beside P95_MODE"),
        ("hedge_mode", "true", "long and short positions of a symbol are held apart; false: one-way mode"),
        ("margin_type", "isolated", "isolated or cross margin"),
        ("recv_window_ms", "5000", "how late a signed request may arrive, in exchange ms"),
        ("naked_ms", "5000", "a position without a verified stop is closed after this many exchange ms"),
        ("confidence_threshold", "0.75", "least confidence of a signal"),
        ("score_threshold", "0.70", "least phoenix95 score of a signal"),
        ("max_position_risk_percent", "0.02", "largest position as a share of equity"),
        ("max_leverage", "20", "largest leverage"),
        ("max_portfolio_risk_percent", "0.10", "largest loss if every stop is hit, as a share of equity"),
        ("max_exposure_percent", "1", "largest notional of all positions, as a multiple of equity"),
        ("max_active_positions", "10", "positions at a time at most"),
        ("symbols", "", "symbols that may be entered; empty: every one that is followed"),
        ("max_signal_age_ms", "60000", "oldest signal, in exchange ms, whatever it says of itself"),
        ("delisting_margin_ms", "86400000", "how long a symbol must go on trading after a trade's end, in exchange ms"),
        ("max_price_deviation_percent", "0.005", "farthest from the last trade, as a share of its price"),
        ("max_market_age_ms", "10000", "oldest last trade, best bid and ask, and mark price, in exchange ms"),
        ("duplicate_ms", "2000", "no second entry in the same symbol and side within, in exchange ms"),
        ("min_stop_percent", "0.0005", "nearest stop, as a share of price"),
        ("min_stop_ticks", "3", "nearest stop, in ticks"),
        ("min_liquidation_ratio", "1.25", "least distance to liquidation, as a multiple of that to the stop"),
        ("max_spread_percent", "0.001", "widest spread, as a share of price"),
        ("stop_cooldown_ms", "60000", "no entry in a symbol after its stop was hit for, in exchange ms"),
        ("max_account_age_ms", "15000", "oldest figures of the account, in exchange ms"),
        ("max_symbol_exposure_percent", "0.2", "largest notional in one symbol, as a multiple of equity"),
        ("max_daily_loss_percent", "0.05", "largest loss since UTC midnight, as a share of the equity at its start"),
        ("max_drawdown_percent", "0.2", "farthest that equity may be under its peak, as a share of the peak"),
        ("min_free_margin_percent", "0.05", "margin that stays free after an entry, as a share of equity"),
        ("max_entries_10s", "10", "entries within 10 s of exchange time at most"),
        ("max_entries_minute", "30", "entries within a minute of exchange time at most"),
        (
            "max_clock_uncertainty_ms",
            "250",
            "largest doubt about exchange time, in exchange ms; live: at most 250",
        ),
        ("staged_trades", "20", "so many of the first trades with real money are capped"),
        ("staged_notional", "200", "largest notional of those, in quote currency"),
        ("manual_stop_percent", "0.01", "distance of the stop of a manual trade that names none, as a share of price"),
        ("reconcile_ms", "10000", "ms between two comparisons of ledger and exchange"),
        ("reconcile_fully_ms", "60000", "ms between two comparisons of settings and income history as well"),
        ("foreign", "adopt", "positions and orders that we did not make: adopt, alert or ignore"),
        ("foreign_symbols", "", "symbols with a policy of their own: ETHUSDT=ignore,BTCUSDT=alert"),
        ("clock_lost_ms", "60000", "ms of uncertain exchange time after which entries wait for a person"),
        ("poll_ms", "1000", "ms between two looks at what is open on the exchange"),
        ("trailing_percent", "0", "a trailing stop at this share of price behind the best one, 0.001 to 0.2; 0: none"),
        (
            "breakeven_r",
            "0",
            "the stop moves to the entry after so many times the initial risk in our favour; 0: no",
        ),
        ("targets", "", "scaled targets in place of one: share@multiple of the initial risk, such as 0.5@1,0.5@2"),
        ("exit_on_opposite", "true", "an analysis that would enter the other side closes what is held"),
        ("unknowns_max", "5", "requests in a row without an answer to trust that halt entries"),
    ),
    "monitor": (
        ("sample_ms", "3000", "time between two looks at the host, in ms"),
        ("disk_path", ".", "a path on the file system to watch"),
        ("targets", "", "whose figures are kept: name=address of the operations port, ..."),
        ("figures_ms", "60000", "ms between two rows of a figure in performance_metrics"),
        ("max_memory_mb", "500", "memory of all our processes in MB above which there is an alert"),
        ("memory_threshold", "85", "percent of the host's memory above which there is an alert"),
        ("cpu_threshold", "80", "percent of the host's CPUs above which there is an alert"),
        ("disk_threshold", "85", "percent of the disk above which there is an alert"),
        ("connections_threshold", "100", "connections of all our processes above which there is an alert"),
        ("enable_notifications", "true", "people are told of alerts and trades, once a channel is given"),
        ("telegram_bot_token", "", "the token of the Telegram bot that tells people", True),
        ("telegram_chat_id", "", "the Telegram chat that is told"),
        ("slack_webhook_url", "", "the incoming webhook of Slack that is told", True),
        ("notify_urls", "", "further channels as apprise addresses, with blanks or new lines between them", True),
    ),
    "gateway": (
        ("host", "127.0.0.1", "where the API listens; other than loopback only with an API key"),
        ("port", "8103", "the API's port"),
        ("api_key", "", "the key for the header X-API-Key; without it nothing can be ordered", True),
        ("wait_ms", "2000", "how long an answer waits for the decision, in ms"),
        ("trade_ttl_ms", "5000", "how long a manual trade may still be entered, in exchange ms"),
    ),
    "paper": (
        ("port", "9500", "port of the REST API"),
        ("ws_port", "9501", "port of the websockets"),
        ("source", "synthetic", "synthetic[:seed] or recorded:FILE[,FILE...]"),
        ("speed", "1", "exchange ms that pass in one ms of ours"),
        ("symbols", "", "the symbols that are traded; empty: five of our own, or all that are recorded"),
        ("state", "", "a SQLite file for accounts and orders; empty: they are forgotten at the end"),
        ("balance", "10000", "USDT of a new account"),
        ("api_key", "paper-key", "the API key that is accepted; no money hangs on it", True),
        ("api_secret", "paper-secret", "its secret", True),
        ("limit_weight", "2400", "request weight that a minute allows"),
        ("limit_orders_10s", "300", "orders that ten seconds allow"),
        ("limit_orders_1m", "1200", "orders that a minute allows"),
        ("fault_seed", "95", "the schedule of faults to follow"),
        ("fault_rate", "0", "the share of requests and events that meet a fault"),
        ("fault_kinds", "", "which kinds of fault; empty: all"),
    ),
    "cli": (
        ("gateway_url", "", "the gateway's address; empty: that of the system running here"),
        ("api_key", "", "the gateway's API key; empty: that of the system running here", True),
    ),
    "make": (("compose", "docker compose", "what `make up`, `make down` and `make logs` call"),),
}


def _settings() -> dict[str, Setting]:
    rows = [(variable(section, row[0]), Setting(section, *row[1:])) for section, rows in _TABLE.items() for row in rows]
    table = dict(rows)
    if len(table) != len(rows):
        raise InvariantBroken("a setting stands twice in the registry")
    for service, port in OPS_PORTS.items():
        table[variable(service, "http_port")] = Setting(service, str(port), "port of /metrics, /livez and /readyz")
    return table


SETTINGS: Final[Mapping[str, Setting]] = _settings()


def env_example() -> str:
    """The text of `.env.example`: every setting with its default, commented out."""
    lines = ["# Every setting with its default. Secrets can be read from a file: append _FILE to the name."]
    for section in SECTIONS:
        lines += ["", f"# {section}"]
        for name, setting in SETTINGS.items():
            if setting.section == section:
                lines += [f"# {setting.doc}", f"#{name}={setting.default}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(env_example())
