"""The fixtures of the plugin, as the other members' tests use them."""

from collections.abc import Callable

import psycopg
from sqlalchemy import create_engine, text

from phoenix95.stack.redis_server import RedisServer
from phoenix95.stack.testing import SessionRedis


def test_redis_url_is_an_empty_redis(redis_url: str, redis_server: SessionRedis) -> None:
    assert redis_server.command("DBSIZE") == b":0"
    redis_server.command("SET", "left", "over")


def test_redis_url_forgets_what_the_test_before_wrote(redis_url: str, redis_server: SessionRedis) -> None:
    assert redis_server.command("DBSIZE") == b":0"


def test_a_redis_of_ones_own_keeps_its_data_over_a_kill(make_redis: Callable[..., RedisServer]) -> None:
    server = make_redis()
    assert server.command("SET", "a", "1") == b"+OK"
    server.kill()
    assert not server.answers()
    server.start()
    assert server.command("EXISTS", "a") == b":1"


def test_a_redis_with_an_acl_refuses_the_default_user(make_redis: Callable[..., RedisServer]) -> None:
    server = make_redis(acl="user default off\nuser one on >secret ~* +@all\n")
    assert server.command("GET", "a").startswith(b"-NOAUTH")


def test_postgres_url_is_a_database_of_ones_own(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE t (x int)")
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (1,)


def test_the_same_url_works_for_sqlalchemy(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM pg_tables WHERE schemaname='public'")).scalar() == 0
    engine.dispose()
