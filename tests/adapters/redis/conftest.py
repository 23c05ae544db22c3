"""A Redis of one's own, or a reason why there is none."""

from collections.abc import Iterator

import pytest

from inseam.testing.redis import WHY_NOT, RedisServer, is_installed, redis_cluster, redis_server


@pytest.fixture(scope="session", autouse=True)
def _needs_redis() -> None:
    if not is_installed():
        pytest.skip(WHY_NOT)


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    """One server a module: tests take namespaces of their own."""
    with redis_server() as server:
        yield server


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[RedisServer]]:
    with redis_cluster() as servers:
        yield servers
