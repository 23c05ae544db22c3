"""The online contract on each adapter."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inseam.adapters.lmdb.store import LmdbStore
from inseam.adapters.postgres.store import PostgresStore
from inseam.adapters.redis.store import RedisStore
from inseam.testing.contracts.online import OneStateContract, OnlineContract
from inseam.testing.postgres import postgres_server
from inseam.testing.redis import WHY_NOT, is_installed, redis_cluster, redis_server

needs_redis = pytest.mark.skipif(not is_installed(), reason=WHY_NOT)


class TestLmdb(OneStateContract):
    @pytest.fixture
    def opener(self, tmp_path: Path) -> Callable[[], LmdbStore]:
        # A small map: the suite's writes make it grow.
        return lambda: LmdbStore(tmp_path / "online", map_size_bytes=1 << 16)


@needs_redis
class TestRedis(OneStateContract):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls) -> Iterator[str]:
        with redis_server() as server:
            yield server.url

    @pytest.fixture
    def opener(self, url: str, request: pytest.FixtureRequest) -> Callable[[], RedisStore]:
        return lambda: RedisStore(f"{url}?timeout=10s", namespace=f"shop:{request.node.name}")


@needs_redis
class TestRedisCluster(OnlineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls) -> Iterator[str]:
        with redis_cluster() as servers:
            yield servers[1].url

    @pytest.fixture
    def opener(self, url: str, request: pytest.FixtureRequest) -> Callable[[], RedisStore]:
        return lambda: RedisStore(f"{url}?timeout=10s", namespace=f"shop:{request.node.name}")


class TestPostgres(OneStateContract):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls) -> Iterator[str]:
        with postgres_server() as url:
            yield url

    @pytest.fixture
    def opener(self, url: str, request: pytest.FixtureRequest) -> Callable[[], PostgresStore]:
        slow = f"{url}{'&' if '?' in url else '?'}timeout=10s"
        return lambda: PostgresStore(slow, namespace=f"shop:{request.node.name}")
