"""What `phoenix95 up` is asked for, checked before anything starts."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from phoenix95.common.errors import ConfigError

SEED_DEFAULT: Final = 95
SPEED_MAX: Final = 1000.0
_DURATION: Final = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?")
_KINDS: Final = ("synthetic", "recorded")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where the paper exchange takes its market from: a `seed`, or recorded `files` (absolute, in order)."""

    kind: Literal["synthetic", "recorded"]
    seed: int = SEED_DEFAULT
    files: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"synthetic:{self.seed}" if self.kind == "synthetic" else f"recorded:{','.join(self.files)}"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`source` None takes up what the data folder was started with. `run_seconds` None runs until it is stopped."""

    data: Path
    source: Source | None = None
    speed: float = 1.0
    run_seconds: float | None = None
    until_end: bool = False
    profile: str = "default"
    fresh: bool = False
    as_json: bool = False


def read_options(
    *,
    data: Path,
    source: str | None,
    speed: float,
    run_for: str | None,
    until_end: bool,
    profile: str,
    fresh: bool,
    as_json: bool,
) -> Options:
    """Check the words of the command line. Raises ConfigError that names the option."""
    if not 0 < speed <= SPEED_MAX:
        raise ConfigError(f"--speed {speed:g}: must be above 0 and at most {SPEED_MAX:g}")
    if run_for is not None and until_end:
        raise ConfigError("--for and --until-end exclude each other")
    return Options(
        data=data.absolute(),
        source=None if source is None else parse_source(source),
        speed=speed,
        run_seconds=None if run_for is None else parse_duration(run_for),
        until_end=until_end,
        profile=profile,
        fresh=fresh,
        as_json=as_json,
    )


def parse_source(text: str) -> Source:
    """Read `synthetic[:seed]` or `recorded:FILE[,FILE...]`. Raises ConfigError that names what is wrong."""
    kind, _, rest = text.partition(":")
    if kind == "synthetic":
        if rest and not rest.isdecimal():
            raise ConfigError(f"--source {text}: the seed must be a whole number")
        return Source(kind="synthetic", seed=int(rest) if rest else SEED_DEFAULT)
    if kind == "recorded":
        names = [name for name in rest.split(",") if name]
        if not names:
            raise ConfigError(f"--source {text}: name at least one file, recorded:FILE[,FILE...]")
        for name in names:
            if not Path(name).is_file():
                raise ConfigError(f"--source: no file {name}")
        return Source(kind="recorded", files=tuple(str(Path(name).absolute()) for name in names))
    raise ConfigError(f"--source {text}: must be synthetic[:seed] or recorded:FILE[,FILE...]")


def parse_duration(text: str) -> float:
    """Seconds of `90`, `90s`, `5m`, `1h30m`. Raises ConfigError."""
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        raise ConfigError(f"--for {text}: must be a duration like 90s, 5m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if total <= 0:
        raise ConfigError(f"--for {text}: must be longer than nothing")
    return total


def resolve_source(asked: Source | None, stored: Source | None, *, until_end: bool) -> Source:
    """The source to run: what is asked for, else what the data folder began with, else synthetic.

    Raises ConfigError when the folder holds another market, and when the end of an endless one is waited for.
    """
    if asked is not None and stored is not None and asked != stored:
        raise ConfigError(f"--source: this data folder was started with {stored}; add --fresh or choose another --data")
    source = asked or stored or Source(kind="synthetic")
    if until_end and source.kind == "synthetic":
        raise ConfigError("--until-end: a synthetic market has no end; use --for")
    return source


def scaled_ms(names: Mapping[str, tuple[int, int | None]], speed: float) -> dict[str, str]:
    """Bounds on latency in exchange ms, by variable: (at normal speed, upper limit or None).

    At ten times the speed the market's time passes ten times faster than the machine works, so the same
    wall-clock latency is ten times as long in exchange time. Slower than real time needs nothing.
    """
    factor = max(1.0, speed)
    return {
        name: str(min(round(base * factor), limit) if limit is not None else round(base * factor))
        for name, (base, limit) in names.items()
    }
