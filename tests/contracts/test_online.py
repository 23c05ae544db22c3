"""The online contract on each adapter."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inseam.adapters.lmdb.store import LmdbStore
from inseam.adapters.postgres.store import PostgresStore
from inseam.adapters.redis.store import RedisStore
from inseam.ports.online import OnlineStore
from inseam.testing.contracts.online import OnlineContract
from inseam.testing.postgres import postgres_server
from inseam.testing.redis import WHY_NOT, is_installed, redis_cluster, redis_server

needs_redis = pytest.mark.skipif(not is_installed(), reason=WHY_NOT)


class TestLmdb(OnlineContract):
    @pytest.fixture
    def opener(self, tmp_path: Path) -> Callable[[], LmdbStore]:
        # A small map: the suite's writes make it grow.
        return lambda: LmdbStore(tmp_path / "online", map_size_bytes=1 << 16)


class RowByRow(OnlineContract):
    """A store whose reads may fall between the rows of a batch."""

    def test_a_read_sees_one_state_of_all_tables(self, store: OnlineStore) -> None:
        """Each row is whole and of one write, and no reader ever goes back in time."""
        keys = [number.to_bytes(8, "big") for number in range(200)]
        store.write("a@1", [(key, b"00000" * 40) for key in keys])
        stop = threading.Event()

        def move() -> None:
            for turn in range(1, 100):
                store.write("a@1", [(key, b"%05d" % turn * 40) for key in keys])
            stop.set()

        writer = threading.Thread(target=move)
        writer.start()
        newest = [0] * len(keys)
        while not stop.is_set():
            (found,) = store.read(["a@1"], [keys])
            assert all(row is not None and row == row[:5] * 40 for row in found), "half a row was seen"
            turns = [int(row[:5]) for row in found if row is not None]
            assert all(turn >= last for turn, last in zip(turns, newest, strict=True))
            newest = turns
        writer.join()


@needs_redis
class TestRedis(RowByRow):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls) -> Iterator[str]:
        with redis_server() as server:
            yield server.url

    @pytest.fixture
    def opener(self, url: str, request: pytest.FixtureRequest) -> Callable[[], RedisStore]:
        return lambda: RedisStore(f"{url}?timeout=10s", namespace=f"shop:{request.node.name}")


@needs_redis
class TestRedisCluster(RowByRow):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls) -> Iterator[str]:
        with redis_cluster() as servers:
            yield servers[1].url

    @pytest.fixture
    def opener(self, url: str, request: pytest.FixtureRequest) -> Callable[[], RedisStore]:
        return lambda: RedisStore(f"{url}?timeout=10s", namespace=f"shop:{request.node.name}")


class TestPostgres(OnlineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls) -> Iterator[str]:
        with postgres_server() as url:
            yield url

    @pytest.fixture
    def opener(self, url: str, request: pytest.FixtureRequest) -> Callable[[], PostgresStore]:
        slow = f"{url}{'&' if '?' in url else '?'}timeout=10s"
        return lambda: PostgresStore(slow, namespace=f"shop:{request.node.name}")
