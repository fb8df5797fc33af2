"""The whole audit: every check of every account, one line each."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final, Literal, get_args

import msgspec

from phoenix95.common.errors import ConfigError, TransientError, VenueRejected
from phoenix95.common.settings import require
from phoenix95.executor.audit.checks import Check, checks
from phoenix95.executor.audit.looking import exchange_of, streams_of
from phoenix95.executor.audit.scene import Exchange, Scene, Streams, Unavailable
from phoenix95.executor.config import ExecutorSettings
from phoenix95.executor.core.chain import Head
from phoenix95.executor.ledger.connect import connect
from phoenix95.executor.ledger.evidence import Evidence

Verdict = Literal["ok", "skipped", "not checked", "violation"]  # from the best to the worst
BETWEEN_LOOKS_S: Final = 1.0
Progress = Callable[[str, int, int], None]
EXIT_OF: Final[dict[Verdict, int]] = {"ok": 0, "skipped": 0, "not checked": 2, "violation": 1}


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found. `note` says why it could not be made, or what to know beside it."""

    account: str
    check: str
    title: str
    verdict: Verdict
    checked: int = 0
    differences: tuple[str, ...] = ()
    note: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`anchors` is the head of each account's chain: kept elsewhere, it makes a cut tail detectable."""

    verdict: Verdict
    anchors: dict[str, str]
    lines: tuple[Line, ...]

    @property
    def exit_code(self) -> int:
        """1 for a violation, 2 when something could not be found out. What is left out on purpose is no failure."""
        return EXIT_OF[self.verdict]


async def audit(
    settings: ExecutorSettings, *, account: str | None, since_ms: int, anchor: Head | None, progress: Progress
) -> Report:
    """Look at everything; only reads. Raises ConfigError, and TransientError when Postgres does not answer."""
    require(settings, "postgres_url")
    engine = connect(settings.postgres_url.reveal())
    try:
        there = await Evidence(engine, "").accounts()
        if account is not None and account not in there:
            raise ConfigError(f"no account {account!r} in the ledger; there are: {', '.join(there) or 'none yet'}")
        async with AsyncExitStack() as held:
            exchange, no_exchange = await held.enter_async_context(exchange_of(settings))
            streams, no_streams = await held.enter_async_context(streams_of(settings))
            lines: list[Line] = []
            anchors: dict[str, str] = {}
            for name in there if account is None else (account,):
                keys_of = exchange if name == settings.account else None
                of_another = Unavailable(f"the exchange keys are of account {settings.account}", chosen=True)
                without = {"exchange": no_exchange or of_another, "streams": no_streams or Unavailable("")}
                ledger = Evidence(engine, name)
                scene = scene_of(
                    settings, ledger, since_ms=since_ms, anchor=anchor, streams=streams, exchange=keys_of,
                    without=without,
                )  # fmt: skip
                lines += [await _line(scene, one, progress) for one in checks()]
                anchors[name] = str(await ledger.head())
    finally:
        await engine.dispose()
    return report_of(lines, anchors)


def scene_of(
    settings: ExecutorSettings,
    ledger: Evidence,
    *,
    since_ms: int,
    anchor: Head | None,
    streams: Streams | None,
    exchange: Exchange | None,
    without: dict[str, Unavailable],
) -> Scene:
    return Scene(
        ledger=ledger, since_ms=since_ms, anchor=anchor, streams=streams, exchange=exchange, without=without,
        margin_ms=settings.bounds().margin_ms + settings.recv_window_ms,
        pause=lambda: asyncio.sleep(BETWEEN_LOOKS_S), step=lambda _done, _of: None,
    )  # fmt: skip


def report_of(lines: list[Line], anchors: dict[str, str]) -> Report:
    """The worst verdict is the whole one's."""
    order = get_args(Verdict).index
    verdict: Verdict = max((line.verdict for line in lines), key=order) if lines else "ok"
    return Report(verdict=verdict, anchors=anchors, lines=tuple(lines))


async def _line(scene: Scene, one: Check, progress: Progress) -> Line:
    told = msgspec.structs.replace(scene, step=lambda done, of: progress(one.title, done, of))
    line = Line(account=scene.ledger.account, check=one.name, title=one.title, verdict="not checked")
    try:
        found = await one.look(told)
    except Unavailable as error:
        return msgspec.structs.replace(line, verdict="skipped" if error.chosen else "not checked", note=str(error))
    except (TransientError, VenueRejected) as error:
        if str(error).startswith("Postgres"):
            raise
        return msgspec.structs.replace(line, note=str(error))
    return msgspec.structs.replace(
        line,
        verdict="violation" if found.differences else "ok",
        checked=found.checked,
        differences=found.differences,
        note=found.note,
    )
