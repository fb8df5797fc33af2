"""Claim, fenced commit, renew and release on a real Redis: every rule, and a mutant for every guard."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from phoenix95.common import keys
from phoenix95.common.bus import Connection, commit, connect
from phoenix95.common.bus.commit import FencedLog, Output
from phoenix95.common.bus.reader import entries_between
from phoenix95.common.bus.script import Script
from phoenix95.common.errors import Diverged, Fenced, InvariantBroken, TransientError
from phoenix95.common.ids import StreamId

PP = 3
TTL_MS = 60_000
OUT = "p95:analysis:{03}:SYM"
OTHER = "p95:reply:{03}:SYM"
DEAD = keys.dead_letter_engine(PP)
CKPT, LEASE = keys.checkpoint(PP), keys.lease(PP)

Rule = Callable[[FencedLog, Connection], Awaitable[None]]
RULES: dict[str, Rule] = {}


def rule(check: Rule) -> Rule:
    RULES[check.__name__] = check
    return check


def output(ms: int, d: bytes = b"d", *, seq: int = 0, key: str = OUT, s: bytes | None = None) -> Output:
    return Output(key, StreamId(ms, seq), d, s)


async def put(log: FencedLog, token: str, n: int, *outputs: Output, **more: dict[str, str]) -> bool:
    offsets = more.get("offsets", {})
    return await log.commit(PP, token, n, outputs=outputs, offsets=offsets, states={}, ttl_ms=TTL_MS)


async def ids(redis: Connection, key: str = OUT) -> list[str]:
    return [entry_id for entry_id, _ in await entries_between(redis, key, "-", "+", 10_000)]


async def n_of(redis: Connection) -> bytes | None:
    return await redis.hget(CKPT, "n")


@rule
async def a_first_claim_starts_at_nothing(log: FencedLog, redis: Connection) -> None:
    checkpoint = await log.claim(PP, "a", ttl_ms=TTL_MS)
    assert checkpoint is not None
    assert (checkpoint.token, checkpoint.epoch, checkpoint.n, checkpoint.version) == ("a", 1, 0, "")
    assert (checkpoint.offsets, checkpoint.states) == ({}, {})
    assert await redis.get(LEASE) == b"a"
    assert TTL_MS - 5000 < await redis.pttl(LEASE) <= TTL_MS


@rule
async def a_held_lease_refuses_a_claim_and_changes_nothing(log: FencedLog, redis: Connection) -> None:
    await log.claim(PP, "a", ttl_ms=TTL_MS)
    assert await log.claim(PP, "b", ttl_ms=TTL_MS) is None
    assert await redis.hgetall(CKPT) == {b"owner": b"a", b"epoch": b"1"}
    assert await put(log, "a", 0)


@rule
async def a_claim_whose_reply_was_lost_may_be_repeated(log: FencedLog, redis: Connection) -> None:
    await log.claim(PP, "a", ttl_ms=TTL_MS)
    again = await log.claim(PP, "a", ttl_ms=TTL_MS)
    assert again is not None
    assert again.n == 0
    assert again.epoch == 2


@rule
async def a_lease_that_ran_out_is_free_and_its_checkpoint_is_inherited(log: FencedLog, redis: Connection) -> None:
    await log.claim(PP, "a", ttl_ms=TTL_MS)
    offsets, states = {"SYM": "9-1", "req:SYM": "7-0"}, {"SYM": b"state", "req:SYM": b"\x00\xff"}
    await log.commit(PP, "a", 0, outputs=(), offsets=offsets, states=states, ttl_ms=TTL_MS, version="2")
    await put(log, "a", 1, offsets={"SYM": "10-1"})
    await redis.delete(LEASE)
    checkpoint = await log.claim(PP, "b", ttl_ms=TTL_MS)
    assert checkpoint is not None
    assert (checkpoint.token, checkpoint.epoch, checkpoint.n, checkpoint.version) == ("b", 2, 2, "2")
    assert checkpoint.offsets == {"SYM": "10-1", "req:SYM": "7-0"}
    assert checkpoint.states == states


@rule
async def a_commit_appends_everything_and_counts(log: FencedLog, redis: Connection) -> None:
    await log.claim(PP, "a", ttl_ms=TTL_MS)
    assert await put(log, "a", 0, output(5, b"one"), output(6, b"other", key=OTHER), output(7, b"two", s=b"stamp"))
    assert await entries_between(redis, OUT, "-", "+", 9) == [
        ("5-0", {b"d": b"one"}),
        ("7-0", {b"d": b"two", b"s": b"stamp"}),
    ]
    assert await ids(redis, OTHER) == ["6-0"]
    assert await n_of(redis) == b"1"
    assert await put(log, "a", 1, output(7, b"three", seq=1))
    assert await ids(redis) == ["5-0", "7-0", "7-1"]


@rule
async def a_zombie_is_fenced_by_its_token(log: FencedLog, redis: Connection) -> None:
    await log.claim(PP, "a", ttl_ms=TTL_MS)
    await redis.delete(LEASE)
    await log.claim(PP, "b", ttl_ms=TTL_MS)
    with pytest.raises(Fenced, match="FENCED_OWNER") as refused:
        await put(log, "a", 0, output(5))
    assert (refused.value.rule, refused.value.key) == ("FENCED_OWNER", CKPT)
    assert await ids(redis) == []
    assert await redis.get(LEASE) == b"b"


@rule
async def nobody_commits_without_a_claim(log: FencedLog, redis: Connection) -> None:
    with pytest.raises(Fenced, match="FENCED_OWNER"):
        await put(log, "a", 0, output(5))


@rule
async def a_lost_reply_is_told_as_already_done(log: FencedLog, redis: Connection) -> None:
    await log.claim(PP, "a", ttl_ms=TTL_MS)
    assert await put(log, "a", 0, output(5)) is True
    assert await put(log, "a", 0, output(5)) is False
    assert (await ids(redis), await n_of(redis)) == (["5-0"], b"1")


@rule
async def the_same_number_under_another_token_is_not_already_done(log: FencedLog, redis: Connection) -> None:
    await log.claim(PP, "a", ttl_ms=TTL_MS)
    await put(log, "a", 0, output(5))
    await redis.delete(LEASE)
    await log.claim(PP, "b", ttl_ms=TTL_MS)
    with pytest.raises(Fenced, match="FENCED_SEQ"):
        await put(log, "b", 0, output(6))


@rule
async def a_rollback_of_redis_is_noticed_by_the_number(log: FencedLog, redis: Connection) -> None:
    await log.claim(PP, "a", ttl_ms=TTL_MS)
    await put(log, "a", 0, output(5))
    older = await redis.dump(CKPT)
    await put(log, "a", 1, output(6))
    await redis.restore(CKPT, 0, older, replace=True)
    with pytest.raises(Fenced, match="FENCED_SEQ"):
        await put(log, "a", 2, output(7))
    assert await ids(redis) == ["5-0", "6-0"]


@rule
async def an_old_number_is_refused(log: FencedLog, redis: Connection) -> None:
    await log.claim(PP, "a", ttl_ms=TTL_MS)
    for n in range(3):
        await put(log, "a", n, output(5 + n))
    with pytest.raises(Fenced, match="FENCED_SEQ"):
        await put(log, "a", 1, output(9))
    assert await ids(redis) == ["5-0", "6-0", "7-0"]


@rule
async def an_output_that_is_there_is_skipped(log: FencedLog, redis: Connection) -> None:
    await log.claim(PP, "a", ttl_ms=TTL_MS)
    await put(log, "a", 0, output(5, b"one", s=b"then"), output(6, b"two"))
    assert await put(log, "a", 1, output(5, b"one", s=b"now"), output(6, b"two"), output(7, b"three"))
    assert await ids(redis) == ["5-0", "6-0", "7-0"]


@rule
async def a_stored_output_that_differs_stops_before_any_write(log: FencedLog, redis: Connection) -> None:
    await log.claim(PP, "a", ttl_ms=TTL_MS)
    await put(log, "a", 0, output(5, b"one"), output(6, b"two"))
    for second in (b"2", b"two "):
        with pytest.raises(Diverged) as refused:
            await put(log, "a", 1, output(1, key=OTHER), output(5, b"one"), output(6, second), offsets={"SYM": "1-1"})
        assert (refused.value.key, refused.value.entry_id) == (OUT, "6-0")
    assert await ids(redis, OTHER) == []
    assert (await n_of(redis), await redis.hget(CKPT, "off:SYM")) == (b"1", None)


@rule
async def an_output_that_was_left_out_before_is_a_divergence(log: FencedLog, redis: Connection) -> None:
    await log.claim(PP, "a", ttl_ms=TTL_MS)
    await put(log, "a", 0, output(5), output(7))
    for missing in (output(4), output(6), output(5, seq=1)):
        with pytest.raises(Diverged):
            await put(log, "a", 1, missing)


@rule
async def outputs_of_one_commit_must_be_in_order(log: FencedLog, redis: Connection) -> None:
    await log.claim(PP, "a", ttl_ms=TTL_MS)
    for outputs in ((output(6), output(5)), (output(5), output(5)), (output(5, seq=10), output(5, seq=9))):
        with pytest.raises(Diverged):
            await put(log, "a", 0, *outputs)
    assert await ids(redis) == []
    assert await put(log, "a", 0, output(5, seq=9), output(5, seq=10), output(10))


@rule
async def what_was_trimmed_counts_as_there(log: FencedLog, redis: Connection) -> None:
    await log.claim(PP, "a", ttl_ms=TTL_MS)
    await put(log, "a", 0, *(output(ms) for ms in (5, 6, 7)))
    await redis.xtrim(OUT, maxlen=1, approximate=False)
    assert await put(log, "a", 1, output(5), output(6), output(7), output(8))
    with pytest.raises(Diverged):
        await put(log, "a", 2, output(7, b"other"))
    await redis.xtrim(OUT, maxlen=0, approximate=False)
    with pytest.raises(Diverged):
        await put(log, "a", 2, output(10), output(9))
    assert await put(log, "a", 2, output(8), output(9))
    assert await ids(redis) == ["9-0"]


@rule
async def dead_letters_take_ids_of_redis(log: FencedLog, redis: Connection) -> None:
    await log.claim(PP, "a", ttl_ms=TTL_MS)
    dead = Output(DEAD, None, b"dead")
    assert await put(log, "a", 0, dead, dead)
    assert await put(log, "a", 0, dead, dead) is False
    assert await put(log, "a", 1, dead)
    assert len(await ids(redis, DEAD)) == 3


@rule
async def a_stream_of_another_kind_stops_before_any_write(log: FencedLog, redis: Connection) -> None:
    await log.claim(PP, "a", ttl_ms=TTL_MS)
    await redis.set(OTHER, "no stream")
    with pytest.raises(InvariantBroken, match="p95:reply"):
        await put(log, "a", 0, output(5), output(5, key=OTHER))
    assert (await ids(redis), await n_of(redis)) == ([], None)


@rule
async def a_commit_extends_the_lease_even_when_it_ran_out(log: FencedLog, redis: Connection) -> None:
    await log.claim(PP, "a", ttl_ms=1000)
    await put(log, "a", 0)
    assert await redis.pttl(LEASE) > TTL_MS - 5000
    await redis.delete(LEASE)
    await put(log, "a", 1)
    assert await redis.get(LEASE) == b"a"
    assert await log.claim(PP, "b", ttl_ms=TTL_MS) is None


@rule
async def many_offsets_fit_into_one_commit(log: FencedLog, redis: Connection) -> None:
    await log.claim(PP, "a", ttl_ms=TTL_MS)
    offsets = {f"S{n}": f"{n}-1" for n in range(9001)}
    await put(log, "a", 0, output(5), offsets=offsets)
    checkpoint = await log.claim(PP, "a", ttl_ms=TTL_MS)
    assert checkpoint is not None
    assert checkpoint.offsets == offsets
    assert await ids(redis) == ["5-0"]


@rule
async def renewing_is_for_the_owner(log: FencedLog, redis: Connection) -> None:
    assert await log.renew(PP, "a", TTL_MS) is False
    assert await redis.get(LEASE) is None
    await log.claim(PP, "a", ttl_ms=1000)
    assert await log.renew(PP, "a", TTL_MS) is True
    assert await redis.pttl(LEASE) > TTL_MS - 5000
    assert await log.renew(PP, "b", 2 * TTL_MS) is False
    assert await redis.get(LEASE) == b"a"
    await redis.delete(LEASE)
    assert await log.renew(PP, "a", TTL_MS) is True
    await redis.set(LEASE, "b")
    assert await log.renew(PP, "a", TTL_MS) is False


@rule
async def a_release_frees_the_partition_at_once(log: FencedLog, redis: Connection) -> None:
    await log.claim(PP, "a", ttl_ms=TTL_MS)
    await put(log, "a", 0, offsets={"SYM": "5-1"})
    await log.release(PP, "a")
    await log.release(PP, "a")
    with pytest.raises(Fenced, match="FENCED_OWNER"):
        await put(log, "a", 1, output(5))
    assert await log.renew(PP, "a", TTL_MS) is False
    checkpoint = await log.claim(PP, "b", ttl_ms=TTL_MS)
    assert checkpoint is not None
    assert (checkpoint.n, checkpoint.offsets) == (1, {"SYM": "5-1"})


@rule
async def a_release_by_another_changes_nothing(log: FencedLog, redis: Connection) -> None:
    await log.claim(PP, "a", ttl_ms=TTL_MS)
    await log.release(PP, "b")
    assert await redis.get(LEASE) == b"a"
    assert await put(log, "a", 0)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Connection]:
    connection = connect(redis_url, name="test")
    yield connection
    await connection.aclose()


@pytest.mark.parametrize("name", RULES)
async def test_rule(name: str, redis: Connection) -> None:
    await RULES[name](FencedLog(redis, 16), redis)


# (script, what is there, what instead): each takes one guard out.
MUTANTS = {
    "a claim ignores the lease": ("CLAIM", "if holder and holder ~= ARGV[1] then return false end", ""),
    "a claim refuses its own lease": ("CLAIM", "if holder and holder ~= ARGV[1]", "if holder"),
    "a claim has no end": ("CLAIM", ", 'PX', ARGV[2]", ""),
    "a claim does not take ownership": ("CLAIM", "'owner', ARGV[1], ", ""),
    "a claim counts no epoch": ("CLAIM", "epoch + 1", "epoch"),
    "the owner is not compared": ("COMMIT", "if now[1] ~= token then return {'FENCED_OWNER'} end", ""),
    "the number is not compared": ("COMMIT", "if at_n ~= n then return {'FENCED_SEQ'} end", ""),
    "only an older number is refused": ("COMMIT", "if at_n ~= n then", "if at_n > n then"),
    "only a newer number is refused": ("COMMIT", "if at_n ~= n then", "if at_n < n then"),
    "a repeat is not known": ("COMMIT", "return {'ALREADY'}", "do end"),
    "any token's commit is a repeat": ("COMMIT", " and now[3] == token .. ':' .. ARGV[2]", ""),
    "last_commit is not stored": ("COMMIT", ", 'last_commit', token .. ':' .. ARGV[2])", ")"),
    "the number is not counted": ("COMMIT", "string.format('%.0f', n + 1)", "string.format('%.0f', n)"),
    "the stored d is not compared": ("COMMIT", "return entry[2][f + 1] == d", "return true"),
    "whatever is there is skipped": (
        "COMMIT", "not (is_stored(key, id, ARGV[o + 1]) or was_trimmed(info, id))", "false"),
    "a stored output is not looked for": ("COMMIT", "is_stored(key, id, ARGV[o + 1]) or ", ""),
    "a missing output passes": ("COMMIT", "if not entry then return false end", "if not entry then return true end"),
    "trimming is not known": ("COMMIT", " or was_trimmed(info, id)", ""),
    "everything was trimmed": ("COMMIT", "return not first or before(id, first[1])", "return true"),
    "an untrimmed stream counts as trimmed": (
        "COMMIT", "if (info['entries-added'] or 0) <= (info['length'] or 0) then return false end", ""),
    "order is not looked at": ("COMMIT", "      top = id\n", ""),
    "disorder within a commit is skipped": ("COMMIT", "elseif before(stored, id) or not", "elseif not"),
    "ids are compared by ms alone": (
        "COMMIT", "ms < other_ms or (ms == other_ms and seq < other_seq)", "ms < other_ms"),
    "ids are compared as text": ("COMMIT", "return ms < other_ms or (ms == other_ms and seq < other_seq)",
                                 "return id < other"),
    "kinds are not looked at": ("COMMIT", "if not info then return {'WRONGKEY', key, broken} end",
                                "if not info then info = {['last-generated-id'] = '0-0'} end"),
    "stamps are dropped": ("COMMIT", "if ARGV[o + 2] == '' then", "if true then"),
    "empty stamps are stored": ("COMMIT", "if ARGV[o + 2] == '' then", "if false then"),
    "the last field is cut": ("COMMIT", "4 + 2 * fields)", "2 + 2 * fields)"),
    "fields are not cut into pieces": ("COMMIT", "chunk + 3999", "chunk + 39999"),
    "the lease is not extended": ("COMMIT", "call('SET', KEYS[2], token, 'PX', ARGV[3])", ""),
    "the lease is extended only while it runs": ("COMMIT", "call('SET', KEYS[2], token, 'PX', ARGV[3])",
                                                 "call('PEXPIRE', KEYS[2], ARGV[3])"),
    "anybody renews": ("RENEW", "if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end", ""),
    "another's lease is renewed": ("RENEW", "if holder and holder ~= ARGV[1] then return 0 end", ""),
    "a renewal does nothing": ("RENEW", "redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])", ""),
    "anybody releases the lease": ("RELEASE", "if holder == ARGV[1] then", "if true then"),
    "anybody releases the ownership": (
        "RELEASE", "if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then", "if true then"),
    "a release keeps the lease": ("RELEASE", "redis.call('DEL', KEYS[2])", ""),
    "a release keeps the ownership": ("RELEASE", "redis.call('HSET', KEYS[1], 'owner', '')", ""),
}  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS)
async def test_every_guard_of_the_scripts_is_needed(
    mutant: str, redis: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, here, instead = MUTANTS[mutant]
    script: Script = getattr(commit, name)
    assert script.source.count(here) == 1
    monkeypatch.setattr(commit, name, Script(script.source.replace(here, instead)))
    for check in RULES.values():
        await redis.flushall()
        try:
            await check(FencedLog(redis, 16), redis)
        except (Exception, pytest.fail.Exception):  # an error of Redis in the middle of a write is a catch too
            return
    pytest.fail("no rule noticed")


async def test_a_checkpoint_of_another_kind_is_named(redis: Connection) -> None:
    await redis.set(CKPT, "no hash")
    log = FencedLog(redis, 16)
    with pytest.raises(InvariantBroken, match="p95:ckpt"):
        await log.claim(PP, "a", ttl_ms=TTL_MS)
    with pytest.raises(InvariantBroken, match="p95:ckpt"):
        await put(log, "a", 0)
    assert await redis.get(LEASE) is None


async def test_an_epoch_that_is_no_number_is_told(redis: Connection) -> None:
    await redis.hset(CKPT, "epoch", "many")
    with pytest.raises(InvariantBroken, match="epoch is 'many'"):
        await FencedLog(redis, 16).claim(PP, "a", ttl_ms=TTL_MS)
    assert await redis.get(LEASE) is None


async def test_ids_of_ours_and_of_redis_are_not_mixed_in_one_stream(redis: Connection) -> None:
    log = FencedLog(redis, 16)
    await log.claim(PP, "a", ttl_ms=TTL_MS)
    with pytest.raises(ValueError, match="not both"):
        await put(log, "a", 0, output(5), Output(OUT, None, b"d"))


@pytest.mark.parametrize("partition", [-1, 16])
async def test_a_partition_out_of_range_is_refused(partition: int, redis: Connection) -> None:
    with pytest.raises(ValueError, match="not in"):
        await FencedLog(redis, 16).claim(partition, "a", ttl_ms=TTL_MS)


async def test_a_commit_whose_reply_is_lost_is_applied_once_and_then_known(
    redis_url: str, redis: Connection, server_folder: Path
) -> None:
    """The connection is cut between Redis' doing and our hearing of it: nothing may repeat it behind our back."""
    cut = asyncio.Event()

    async def relay(client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        server_in, server_out = await asyncio.open_unix_connection(redis_url.removeprefix("unix://"))
        try:
            while request := await client_in.read(65536):
                server_out.write(request)
                reply = await server_in.read(65536)
                if cut.is_set() and b"EVALSHA" in request:
                    cut.clear()
                    return
                client_out.write(reply)
        finally:
            server_out.close()
            client_out.close()

    if not redis_url.startswith("unix://"):
        pytest.skip("the relay speaks to a unix socket")
    path = server_folder / "relay.sock"
    server = await asyncio.start_unix_server(relay, path)
    connection = connect(f"unix://{path}", name="relayed")
    log = FencedLog(connection, 16)
    await log.claim(PP, "a", ttl_ms=TTL_MS)
    await put(log, "a", 0)
    cut.set()
    with pytest.raises(TransientError, match="p95:ckpt"):
        await put(log, "a", 1, output(5), Output(DEAD, None, b"dead"))
    assert (await ids(redis), len(await ids(redis, DEAD)), await n_of(redis)) == (["5-0"], 1, b"2")
    assert await put(log, "a", 1, output(5), Output(DEAD, None, b"dead")) is False
    assert (await ids(redis), len(await ids(redis, DEAD))) == (["5-0"], 1)
    await connection.aclose()
    server.close()
