"""How connections behave, and that the driver's errors become ours."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis import exceptions
from redis.asyncio import Redis

from phoenix95.common.bus import Connection, connect, connect_reader, ping, translated
from phoenix95.common.bus.client import translate
from phoenix95.common.errors import ConfigError, InvariantBroken, TransientError


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Connection]:
    connection = connect(redis_url, name="p95-test")
    yield connection
    await connection.aclose()


async def test_a_connection_carries_its_name_and_speaks_bytes(redis: Connection) -> None:
    await ping(redis)
    assert any(client["name"] == "p95-test" for client in await redis.client_list())
    assert await redis.echo("x") == b"x"


async def test_only_commands_of_redis_7_0_are_sent_on_connecting(redis: Connection) -> None:
    await redis.config_resetstat()
    await ping(redis)
    sent = set(await redis.info("commandstats"))
    assert not any("setinfo" in name for name in sent)


@pytest.mark.parametrize("url", ["127.0.0.1:6379", "http://127.0.0.1", "", "redis://localhost:port"])
def test_an_address_that_is_none_is_refused_by_name(url: str) -> None:
    with pytest.raises(ConfigError, match="P95_REDIS_URL"):
        connect(url, name="x")


async def test_a_write_is_not_repeated_behind_our_back() -> None:
    """A server that takes requests and never answers them: each is sent once."""
    seen: list[bytes] = []

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(65536):
            seen.append(request)
            if b"XADD" in request:
                break
            writer.write(b"+OK\r\n" * request.count(b"*"))
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = connect(f"redis://127.0.0.1:{port}", name="x")
    with pytest.raises(TransientError), translated("order"):
        await connection.xadd("key", {"d": "1"})
    assert sum(b"XADD" in request for request in seen) == 1
    await connection.aclose()
    server.close()


@pytest.mark.parametrize("scheme", ["redis://localhost", "rediss://localhost", "unix:///nowhere"])
def test_commands_are_packed_as_the_driver_packs_them(scheme: str) -> None:
    packed = connect(scheme, name="x").connection_pool.make_connection()
    plain = Redis.from_url(scheme).connection_pool.make_connection()
    for command in (
        ("XINFO STREAM", "p95:tick:{00}:Ä"),
        (b"SCRIPT LOAD", b"\x00\r\n"),
        ("SET", "key", 1.5, -7, 2**60, "", b""),
        ("GET", "x" * 100_000),
    ):
        assert b"".join(packed.pack_command(*command)) == b"".join(plain.pack_command(*command))


async def test_a_reader_outwaits_its_block(redis_url: str) -> None:
    connection = connect_reader(redis_url, name="x", block_ms=2500)
    with translated("block"):
        assert not await connection.xread({"a": "0-0"}, block=2500)
    await connection.aclose()


async def test_a_server_that_is_away_is_transient_and_named(free_port: int) -> None:
    with pytest.raises(TransientError, match="Redis, ping"):
        await ping(connect(f"redis://127.0.0.1:{free_port}", name="x"))


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (exceptions.ConnectionError("gone"), TransientError),
        (exceptions.TimeoutError("slow"), TransientError),
        (exceptions.BusyLoadingError("loading"), TransientError),
        (exceptions.OutOfMemoryError("full"), TransientError),
        (exceptions.ReadOnlyError("replica"), TransientError),
        (exceptions.ResponseError("MISCONF disk"), TransientError),
        (exceptions.ResponseError("BUSY script"), TransientError),
        (exceptions.ResponseError("NOREPLICAS few"), TransientError),
        (ConnectionRefusedError("refused"), TransientError),
        (exceptions.AuthenticationError("WRONGPASS"), ConfigError),
        (exceptions.NoPermissionError("xadd"), ConfigError),
        (exceptions.ResponseError("WRONGTYPE Operation"), InvariantBroken),
        (exceptions.ResponseError("ERR syntax"), None),
        (KeyError("x"), None),
        (asyncio.CancelledError(), None),
    ],
)
def test_the_table_of_errors(error: BaseException, ours: type[Exception] | None) -> None:
    found = translate("what", error)
    assert (None if found is None else type(found)) is ours
    assert found is None or "what" in str(found)


async def test_what_is_not_in_the_table_passes_unchanged() -> None:
    with pytest.raises(KeyError):
        async with translated("x"):
            raise KeyError("mine")


async def test_disk_trouble_is_transient(make_redis) -> None:
    server = make_redis()
    connection = connect(server.url, name="x")
    await connection.config_set("maxmemory", "1")
    with pytest.raises(TransientError, match="key"):
        async with translated("key"):
            await connection.xadd("key", {"d": "1"})
    await connection.aclose()


async def test_a_cancellation_always_ends_the_task(redis_url: str) -> None:
    redis = connect(redis_url, name="cancelled")
    await ping(redis)

    async def work() -> None:
        while True:
            await ping(redis)

    for turns in range(400):
        task = asyncio.create_task(work())
        for _ in range(turns % 40):  # a different moment each time
            await asyncio.sleep(0)
        cancellations = 0
        while not task.done():
            task.cancel()
            cancellations += 1
            await asyncio.wait([task], timeout=0.5)
        assert cancellations == 1, f"a cancellation after {turns % 40} turns was lost"
    await redis.aclose()
