"""Structured logs to stderr: JSON, or readable lines on a terminal. Secrets are struck out on the way."""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

STRUCK: Final = "***"
_DEPTH: Final = 6  # of nested values; what lies deeper is struck as a whole

_SECRET_KEY: Final = re.compile(
    r"secret|passw(or)?d|api[-_]?key|authori[sz]ation|signature|listen[-_]?key|bot[-_]?token|webhook[-_]?url", re.I
)
# name=value, name: value, "name": "value" inside a text; the value ends where a header, query or JSON would end it
_SECRET_PAIR: Final = re.compile(
    r"""(?P<name>[\w-]*(?:signature|listen[-_]?key|api[-_]?key|api[-_]?secret|secret[-_]?key|passw(?:or)?d|secret))"""
    r"""(?P<mid>["']?\s*[=:]\s*b?["']?)(?P<value>[^\s"'&,;}\])]+)""",
    re.I,
)
_AUTHORIZATION: Final = re.compile(r"""(?P<mid>authorization["']?\s*[=:]\s*b?["']?)(?P<value>[^"'\r\n,}\])]+)""", re.I)
# the greedy user part lets a password hold colons, the greedy password part lets it hold an @
_DSN: Final = re.compile(r"(?P<mid>[a-z][a-z0-9+.-]*://[^\s:/@\"']*:)(?P<value>[^\s/\"']+)(?=@)", re.I)


def configure(service: str, *, level: str = "info", fmt: str = "auto", stream: TextIO | None = None) -> None:
    """Send structlog and the standard library's logging to `stream` (stderr), both through the redaction.

    `fmt` is json, console or auto (console on a terminal). Libraries are heard from WARNING on: at DEBUG some
    of them write whole requests.
    """
    out = stream or sys.stderr
    threshold = logging.getLevelNamesMapping()[level.upper()]
    console = fmt == "console" or (fmt == "auto" and out.isatty())
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=out.isatty())
        if console
        else structlog.processors.JSONRenderer(default=str, ensure_ascii=False)
    )

    def name_service(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_service,
    ]
    # the redaction is last before the renderer, so that tracebacks are text by then
    ending: list[Processor] = [structlog.processors.format_exc_info, redact, renderer]
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.WARNING))


def get_logger(**bound: Any) -> FilteringBoundLogger:
    """A logger with fields of its own; it follows `configure` whenever that happens."""
    logger: FilteringBoundLogger = structlog.get_logger(**bound)
    return logger


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Strike out what is named like a secret, and what looks like one inside a text."""
    return {key: STRUCK if _is_secret(key, value) else _clean(value, _DEPTH) for key, value in event.items()}


def redacted(text: str) -> str:
    """The text without signatures, keys, listen keys, passwords and the passwords of addresses."""
    text = _DSN.sub(rf"\g<mid>{STRUCK}", text)
    text = _AUTHORIZATION.sub(rf"\g<mid>{STRUCK}", text)
    return _SECRET_PAIR.sub(rf"\g<name>\g<mid>{STRUCK}", text)


def _is_secret(key: object, value: object) -> bool:
    named = isinstance(key, str) and _SECRET_KEY.search(key) is not None
    return named and value is not None and not isinstance(value, bool)


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return redacted(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth == 0:
        return STRUCK
    if isinstance(value, bytes):
        return redacted(value.decode(errors="replace"))
    if isinstance(value, Mapping):
        return {
            str(key): STRUCK if _is_secret(key, inner) else _clean(inner, depth - 1) for key, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(inner, depth - 1) for inner in value]
    return redacted(str(value))
