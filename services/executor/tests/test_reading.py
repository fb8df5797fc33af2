"""Entries whose handling fails for a reason that nobody foresaw."""

from decimal import Decimal
from typing import Any, cast

import msgspec
import pytest

from phoenix95.common.errors import TransientError
from phoenix95.common.events import ClosePosition, DeadLetter
from phoenix95.common.wire import encode
from phoenix95.executor import reading
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.desk import Desk
from phoenix95.executor.protocol.intake import Standing
from phoenix95.executor.reading import TRIES_MAX, Analyses, Commands
from tests.explorer.executor import Executor
from tests.explorer.scenarios import SCENARIOS

STREAM = "analysis"
ENTRIES: Any = [(f"{number}-0", {b"d": b"?"}) for number in (1, 2, 3)]


@pytest.mark.parametrize("foreseen", [False, True])
async def test_one_entry_that_always_fails_does_not_keep_what_is_behind_it(
    monkeypatch: pytest.MonkeyPatch, foreseen: bool
) -> None:
    handled: list[str] = []
    told: list[tuple[str, ...]] = []
    executor = Executor(SCENARIOS["flatten"])

    class Telling:
        async def poison(self, source: str, entry_id: str, fields: Any, error: str, now_ms: int) -> None:
            told.append((source, entry_id, error))

        async def alert(self, severity: str, kind: str, message: str, symbol: str | None) -> None:
            told.append((severity, kind))

    async def handle(_ports: Any, _desk: Any, _stream: str, entries: Any, *_others: Any) -> None:
        for entry_id, _ in entries:
            if entry_id == "2-0":
                raise TransientError("away") if foreseen else ValueError("no such thing")
            handled.append(entry_id)

    monkeypatch.setattr(reading, "handle", handle)
    ports: Any = executor.ports
    analyses = Analyses(msgspec.structs.replace(ports, ledger=Telling()), Any, Limits())
    offsets: dict[str, str] = {}
    for _ in range(TRIES_MAX + 1):
        left = [one for one in ENTRIES if one[0] > offsets.get(STREAM, "")]
        try:
            await analyses.follow(STREAM, left, Standing(None, None), offsets)
        except (ValueError, TransientError):
            assert offsets.get(STREAM, "") < "2-0"
    if foreseen:
        assert (offsets, told) == ({}, [])
        return
    assert offsets == {STREAM: "3-0"}
    assert handled[-1] == "3-0"
    assert told == [(STREAM, "2-0", "ValueError: no such thing"), ("error", "entry_given_up")]
    assert analyses.broken == {}


async def test_a_command_that_nobody_foresaw_is_given_up_and_kept() -> None:
    told: list[object] = []
    ports: Any = Executor(SCENARIOS["flatten"]).ports

    class Ledger:
        async def close_by_command(self, *_words: object) -> None:
            raise ValueError("no such thing")

        async def skip_to(self, _stream: str, entry_id: str, letter: DeadLetter) -> None:
            told.append((entry_id, letter.error, letter.attempts))

        async def alert(self, severity: str, kind: str, _message: str, _symbol: str | None) -> None:
            told.append((severity, kind))

    kept: Any = Ledger()
    commands = Commands(msgspec.structs.replace(ports, ledger=kept), kept, cast(Desk, None), Limits(), Decimal("0.01"))
    wish = encode(ClosePosition(symbol="BTCUSDT", reason="enough"))
    for _ in range(TRIES_MAX - 1):
        with pytest.raises(ValueError, match="no such thing"):
            await commands.obey("7-1", {b"d": wish}, Standing(None, None))
    assert told == []
    await commands.obey("7-1", {b"d": wish}, Standing(None, None))
    assert told == [("7-1", "ValueError: no such thing", TRIES_MAX), ("error", "entry_given_up")]
