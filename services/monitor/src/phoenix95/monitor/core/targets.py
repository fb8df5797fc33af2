"""Whose figures the monitor keeps."""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import urlsplit

OURSELVES: Final = "monitor"  # reads its own figures without a request
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")


class Target(NamedTuple):
    """A service and the whole address of its metrics."""

    name: str
    url: str


def targets_of(texts: Iterable[str]) -> tuple[Target, ...]:
    """Read `name=http://host:port` each; `/metrics` is added. Raises ValueError that names what is wrong."""
    targets: dict[str, Target] = {}
    for text in texts:
        name, _, url = text.partition("=")
        if not _NAME.fullmatch(name) or not _is_address(url):
            raise ValueError(f"{text!r} is not like engine=http://127.0.0.1:9102")
        if name == OURSELVES:
            raise ValueError(f"{text!r}: the monitor keeps its own figures anyway")
        if name in targets:
            raise ValueError(f"{name} is given twice")
        targets[name] = Target(name, url.rstrip("/") + "/metrics")
    return tuple(targets.values())


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and not parts.query
    except ValueError:  # a port that is none
        return False
