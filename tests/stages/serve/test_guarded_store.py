"""Reads while a real Redis is killed, paused, restarted with and without its data, and cut off in mid-answer."""

import threading
import time
from collections.abc import Iterator

import pytest

from inseam.adapters.redis.store import RedisStore
from inseam.kernel.errors import UnavailableError
from inseam.stages.serve.breaker import Breaker, BreakerState
from inseam.stages.serve.guarded_store import GuardedStore, Notice
from inseam.stages.serve.recent import RecentRows
from inseam.testing.proxy import Proxy
from inseam.testing.redis import WHY_NOT, RedisServer, is_installed, redis_server

pytestmark = pytest.mark.skipif(not is_installed(), reason=WHY_NOT)
TABLE = "spend@1"
PAUSE = 0.2


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server("--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


HASTY = "timeout=100ms"
"""Where it is the deadline that counts; elsewhere a busy machine must not miss one."""


def open_store(url: str, options: str) -> RedisStore:
    return RedisStore(f"{url}?{options}", namespace="shop:default")


class World:
    """A guarded store on a server, and what it noticed."""

    def __init__(self, url: str, options: str = "timeout=5s", *, is_copied: bool = False) -> None:
        self.noticed: list[Notice] = []
        self.breaker = Breaker(failures=3, pause_seconds=PAUSE, longest_seconds=2 * PAUSE)
        self.store = GuardedStore(
            open_store(url, options),
            breaker=self.breaker,
            recent=RecentRows() if is_copied else None,
            notice=lambda notice, _: self.noticed.append(notice),
        )

    def read(self, *keys: bytes) -> list[bytes | None]:
        return self.store.read([TABLE], [keys])[0]

    def read_until_found(self, key: bytes) -> bytes | None:
        """As a server goes on being asked: every request is its own, some are refused."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                return self.read(key)[0]
            except UnavailableError:
                time.sleep(0.02)
        raise AssertionError("it did not recover")

    def read_until_away(self, key: bytes) -> None:
        """A store may remember for a second what it has read."""
        deadline = time.monotonic() + 20
        with pytest.raises(UnavailableError):
            while time.monotonic() < deadline:
                self.read(key)

    def break_it(self) -> None:
        for _ in range(3):
            with pytest.raises(UnavailableError):
                self.read(b"k")


@pytest.fixture
def world(server: RedisServer) -> Iterator[World]:
    world = World(server.url)
    world.store.write(TABLE, [(b"k", b"row"), (b"l", b"other")], b"mark")
    yield world
    world.store.close()


def test_a_killed_server_is_left_alone_and_found_again_when_it_is_back(server: RedisServer, world: World):
    assert world.read(b"k") == [b"row"]
    server.kill()
    world.break_it()
    assert world.breaker.state is BreakerState.OPEN
    with pytest.raises(UnavailableError, match="not asked"):
        world.read(b"k")
    server.start()
    assert world.read_until_found(b"k") == b"row"
    assert world.breaker.state is BreakerState.CLOSED
    told = [notice for notice in world.noticed if notice is not Notice.REFUSED]
    assert told[:5] == [Notice.READ, Notice.FAILED, Notice.FAILED, Notice.FAILED, Notice.OPENED]
    assert told[-2:] == [Notice.CLOSED, Notice.READ]


def test_a_restart_between_two_reads_is_not_noticed(server: RedisServer, world: World):
    assert world.read(b"k") == [b"row"]
    server.kill()
    server.start()
    assert world.read(b"k") == [b"row"]
    assert world.noticed == [Notice.READ, Notice.READ]


def test_a_server_that_comes_back_empty_is_no_server_that_never_saw_anybody(server: RedisServer, world: World):
    assert world.read(b"k", b"nobody") == [b"row", None]
    server.kill()
    for path in server.directory.glob("appendonlydir/*"):
        path.unlink()
    server.start()
    time.sleep(1.1)  # how long a table that was seen is taken to be there
    with pytest.raises(UnavailableError, match="no online rows"):
        world.read(b"k")
    assert world.noticed[-1] is Notice.LOST
    assert world.breaker.state is BreakerState.CLOSED
    world.store.write(TABLE, [(b"k", b"again")], b"mark")
    assert world.read(b"k", b"nobody") == [b"again", None]


def test_a_paused_server_costs_its_timeout_a_few_times_and_then_nothing(server: RedisServer):
    world = World(server.url, HASTY)
    world.store.write(TABLE, [(b"k", b"row")], b"mark")
    assert world.read_until_found(b"k") == b"row"
    server.pause()
    world.read_until_away(b"k")
    world.break_it()
    asked = world.noticed.count(Notice.FAILED)
    for _ in range(1000):
        with pytest.raises(UnavailableError):
            world.read(b"k")
    # Almost all were refused: how many probes there were depends on how long a thousand refusals took.
    assert world.noticed.count(Notice.REFUSED) > 900
    assert world.noticed.count(Notice.FAILED) - asked < 100
    server.resume()
    assert world.read_until_found(b"k") == b"row"


def test_while_it_is_paused_callers_do_not_pile_up(server: RedisServer):
    """Forty threads ask at once through two connections: each is told by its own deadline."""
    store = open_store(server.url, f"{HASTY}&connections=2")
    store.write(TABLE, [(b"k", b"row")], b"mark")
    guarded = GuardedStore(store, breaker=Breaker(failures=3, pause_seconds=60))
    server.pause()
    outcomes: list[str] = []
    start = threading.Barrier(40)

    def ask() -> None:
        start.wait()
        try:
            guarded.read([TABLE], [[b"k"]])
        except UnavailableError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    server.resume()
    assert len(outcomes) == 40
    assert sum("connections are in use" in text for text in outcomes) > 0
    with pytest.raises(UnavailableError, match="not asked"):
        guarded.read([TABLE], [[b"k"]])


def test_an_answer_that_is_cut_off_is_asked_for_again_and_never_half_believed(server: RedisServer):
    row = bytes(range(256)) * 40
    with Proxy(server.port) as proxy:
        world = World(f"redis://127.0.0.1:{proxy.port}")
        world.store.write(TABLE, [(b"k", row), (b"l", b"other")], b"mark")
        for length in (1, 7, 300, 9_000):
            world.store.write(TABLE, [(b"l", b"other")])  # nothing that was read before is taken as known
            proxy.cut_after = length
            with pytest.raises(UnavailableError):
                world.read(b"k", b"l")
            proxy.cut_after = None
            assert world.read_until_found(b"k") == row
            assert world.read(b"k", b"l") == [row, b"other"]


def test_answers_that_stall_or_drip_end_at_the_deadline(server: RedisServer):
    with Proxy(server.port) as proxy:
        world = World(f"redis://127.0.0.1:{proxy.port}", HASTY)
        world.store.write(TABLE, [(b"k", b"x" * 10_000)], b"mark")
        proxy.is_stalled = True
        with pytest.raises(UnavailableError, match="in time"):
            world.read(b"k")
        proxy.is_stalled = False
        proxy.byte_seconds = 0.02  # each packet comes soon, the whole would take minutes
        with pytest.raises(UnavailableError, match="in time"):
            world.read(b"k")
        proxy.byte_seconds = 0.0
        assert world.read_until_found(b"k") == b"x" * 10_000


def test_what_was_read_lately_answers_while_the_store_is_away(server: RedisServer):
    world = World(server.url, is_copied=True)
    world.store.write(TABLE, [(b"k", b"row"), (b"l", b"other")], b"mark")
    assert world.read(b"k", b"nobody") == [b"row", None]
    server.kill()
    assert world.read(b"nobody", b"k", b"k") == [None, b"row", b"row"]
    for _ in range(5):
        assert world.read(b"k") == [b"row"]
    with pytest.raises(UnavailableError):
        world.read(b"k", b"l")  # l was never asked for: half an answer is none
    assert world.breaker.state is BreakerState.OPEN
    assert Notice.STALE in world.noticed
    server.start()
    world.read_until_found(b"l")
    world.store.write(TABLE, [(b"k", b"newer")], b"mark")
    assert world.read(b"k") == [b"newer"]


def test_a_store_that_raises_anything_leaves_no_probe_behind():
    class Broken:
        def read(self, *_: object) -> list[list[bytes | None]]:
            raise ValueError("a bug")

    breaker = Breaker(failures=1, pause_seconds=0.0)
    guarded = GuardedStore(Broken(), breaker=breaker)  # type: ignore[arg-type]
    for _ in range(3):
        with pytest.raises(ValueError, match="a bug"):
            guarded.read([TABLE], [[b"k"]])
        assert breaker.state is BreakerState.OPEN
