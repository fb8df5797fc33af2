"""A key that could move money away, or works from everywhere, is not traded with; no answer is no permission."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from phoenix95.common.errors import ConfigError, TransientError
from phoenix95.executor.venue.exchange import Requests
from phoenix95.executor.venue.permissions import key_faults
from phoenix95.executor.vigil import KeyCheck

from .conftest import KEY, NOW_MS, Stub

PATH = "/sapi/v1/account/apiRestrictions"
GOOD = {
    "ipRestrict": True, "createTime": 1_623_840_271_000, "enableReading": True, "enableWithdrawals": False,
    "enableInternalTransfer": False, "enableMargin": False, "enableFutures": True, "permitsUniversalTransfer": False,
    "enableVanillaOptions": False, "enableSpotAndMarginTrading": False, "enablePortfolioMarginTrading": False,
}  # fmt: skip
STAMP = {"timestamp": NOW_MS, "recvWindow": 5_000}


class Time:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def check(requests: Requests, time: Time) -> KeyCheck:
    return KeyCheck(lambda: key_faults(requests, STAMP), time)


async def test_a_key_that_can_only_trade_is_traded_with(stub: Stub, check: KeyCheck) -> None:
    stub.say("GET", PATH, 200, GOOD)
    assert check.reason() is not None
    await check.first()
    assert check.reason() is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("enableWithdrawals", True),
        ("permitsUniversalTransfer", True),
        ("enableInternalTransfer", True),
        ("ipRestrict", False),
        ("enableFutures", False),
    ],
)
async def test_a_key_that_can_do_more_is_refused_and_the_permission_named(
    stub: Stub, check: KeyCheck, field: str, value: bool
) -> None:
    stub.say("GET", PATH, 200, {**GOOD, field: value})
    with pytest.raises(ConfigError, match=rf"P95_EXECUTOR_API_KEY must not be traded with: .*{field}"):
        await check.first()
    assert field in str(check.reason())


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, {}),
        (200, {name: value for name, value in GOOD.items() if name != "ipRestrict"}),
        (200, {**GOOD, "enableWithdrawals": None}),
        (404, b"<html>"),
        (400, {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}),
        (429, b""),
        (500, b""),
    ],
)
async def test_what_is_no_clear_answer_is_no_permission(stub: Stub, check: KeyCheck, status: int, body: Any) -> None:
    stub.say("GET", PATH, status, body)
    await check.first()  # what is held already has to be looked after all the same
    assert check.reason() == "the exchange does not say what the API key may do"


@pytest.fixture
async def forged(stub: Stub) -> AsyncIterator[Callable[[str, str], Requests]]:
    made: list[Requests] = []

    def make(key: str, secret: str) -> Requests:
        made.append(Requests(stub.url, key, secret, account_url=stub.url))
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.mark.parametrize(("key", "secret", "code"), [(KEY, "another", "-1022"), ("another", "the-secret", "-2014")])
async def test_a_wrong_key_or_signature_is_refused(
    stub: Stub, forged: Callable[[str, str], Requests], key: str, secret: str, code: str
) -> None:
    stub.say("GET", PATH, 200, GOOD)
    assert code in (await key_faults(forged(key, secret), STAMP))[0]


async def test_without_the_endpoint_nobody_is_asked(stub: Stub) -> None:
    requests = Requests(stub.url, KEY, "the-secret")
    with pytest.raises(TransientError, match="nobody to ask"):
        await key_faults(requests, STAMP)
    await requests.close()
    assert stub.asked == []


async def test_a_key_that_changes_halts_once_and_entries_wait_for_a_good_answer(
    stub: Stub, check: KeyCheck, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phoenix95.executor.vigil.KEY_EVERY_S", 0.001)
    monkeypatch.setattr("phoenix95.executor.vigil.KEY_AGAIN_S", 0.001)
    for body in (GOOD, {**GOOD, "enableWithdrawals": True}, {**GOOD, "enableWithdrawals": True}, b"", GOOD):
        stub.say("GET", PATH, 200, body)
    stop, halts = asyncio.Event(), []

    async def halt(cause: str, reason: str) -> None:
        halts.append((cause, reason, len(stub.asked)))

    await check.first()
    stub.heard = lambda: stop.set() if len(stub.asked) == 5 else None
    await check.keep(halt, stop)
    assert [(cause, asked) for cause, _, asked in halts] == [("key_permissions", 2)]
    assert "enableWithdrawals" in halts[0][1]
    assert check.reason() is None
    time.s += 7_201
    assert check.reason() == "the exchange does not say what the API key may do"


async def test_a_start_without_an_answer_asks_again_soon(
    stub: Stub, check: KeyCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phoenix95.executor.vigil.KEY_AGAIN_S", 0.001)
    for status, body in ((500, b""), (500, b""), (200, GOOD)):
        stub.say("GET", PATH, status, body)
    stop = asyncio.Event()
    stub.heard = lambda: stop.set() if len(stub.asked) == 3 else None

    async def halt(cause: str, reason: str) -> None:
        raise AssertionError(cause)

    await check.first()
    await check.keep(halt, stop)
    assert check.reason() is None
