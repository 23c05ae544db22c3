"""Remembered rows: they cost nothing while nobody writes, and are never older than what was seen."""

import itertools
import threading
import time
from collections.abc import Callable

import pytest

from inseam.adapters.redis import tracked
from inseam.adapters.redis.address import Address
from inseam.adapters.redis.layout import Layout, bucket, read_head, read_tail
from inseam.adapters.redis.store import RedisStore
from inseam.adapters.redis.tracked import TrackedLink, can_track
from inseam.kernel.errors import SettingError, UnavailableError
from inseam.testing.proxy import Proxy
from inseam.testing.redis import RedisServer, redis_server


def keys(count: int) -> list[bytes]:
    return [number.to_bytes(8, "big") for number in range(count)]


def asked(server: RedisServer) -> int:
    """How many rows the server was asked for so far."""
    return int(server.client().info("commandstats").get("cmdstat_hget", {"calls": 0})["calls"])


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline


def is_away(store: RedisStore) -> bool:
    try:
        store.read(["a"], [[b"k"]])
    except UnavailableError:
        return True
    return False


def test_rows_and_their_absence_are_asked_for_once(shared: RedisServer):
    store = RedisStore(f"{shared.url}?timeout=5s", namespace="once")
    tables = ["a", "b", "none"]
    for table in tables[:2]:
        store.write(table, [(key, table.encode() + key) for key in keys(50)])
    before = asked(shared)
    found = store.read(tables, [keys(60)] * 3)
    assert asked(shared) == before + 180
    assert store.read(tables, [keys(60)] * 3) == found
    assert store.read(["b", "a"], [keys(3), keys(5)[3:]]) == [found[1][:3], found[0][3:5]]
    assert asked(shared) == before + 180
    assert store.read(["a"], [[*keys(61)[59:], *keys(61)[59:]]]) == [[None] * 4]
    assert asked(shared) == before + 182, "what is not remembered alone"


@pytest.mark.parametrize("options", ["cache=0", "connections=1"])
def test_nothing_is_remembered_where_nothing_may_be(shared: RedisServer, options: str):
    store = RedisStore(f"{shared.url}?{options}", namespace="off")
    before = asked(shared)
    assert store.read(["a"], [[b"k"]]) == store.read(["a"], [[b"k"]]) == [[None]]
    assert asked(shared) == before + 2


def test_a_server_that_tracks_for_nobody_is_read_all_the_same():
    with redis_server("--user", "plain", "on", "nopass", "~*", "+@all", "-client|tracking") as server:
        store = RedisStore(f"redis://plain:x@127.0.0.1:{server.port}/0", namespace="n")
        store.write("a", [(b"k", b"row")])
        for _ in range(3):
            assert store.read(["a"], [[b"k"]]) == [[b"row"]]
        assert asked(server) == 3


@pytest.mark.parametrize(
    ("version", "tracks"),
    [(b"6.2.14", False), (b"7.0.8", False), (b"7.0.9", True), (b"7.2.4", True), (b"8.0", True), (b"x", False)],
)
def test_servers_that_push_out_of_order_are_not_tracked(version: bytes, *, tracks: bool):
    assert can_track({b"version": version}) == tracks


def test_a_server_that_does_not_say_what_it_is_is_not_tracked():
    assert not can_track({})


def test_what_others_write_is_read_when_it_was_told(shared: RedisServer):
    reader, writer = (RedisStore(f"{shared.url}?timeout=5s", namespace="told") for _ in range(2))
    for row in (b"1", b"2", b"3"):
        writer.write("a", [(b"k", row), (b"l", None)])
        until(lambda row=row: reader.read(["a"], [[b"k", b"l"]]) == [[row, None]])
    writer.write("a", [(b"k", None), (b"l", b"new")])
    until(lambda: reader.read(["a"], [[b"k", b"l"]]) == [[None, b"new"]])


@pytest.mark.parametrize("gone", ["drop", "flush", "restart"])
def test_what_is_gone_is_forgotten(server: RedisServer, gone: str):
    reader, writer = (RedisStore(f"{server.url}?timeout=5s", namespace="n") for _ in range(2))
    writer.write("a", [(key, b"row") for key in keys(20)])
    assert reader.read(["a"], [keys(20)]) == reader.read(["a"], [keys(20)]) == [[b"row"] * 20]
    if gone == "drop":
        writer.drop("a")
    elif gone == "flush":
        server.client().flushdb()
    else:
        server.kill()
        server.start()
        assert reader.read(["a"], [keys(20)]) == [[None] * 20]
    until(lambda: reader.read(["a"], [keys(20)]) == [[None] * 20])
    assert reader.read(["a"], [keys(20)]) == [[None] * 20], "and stays so"


def test_a_table_is_not_remembered_past_its_end():
    """The server is not told to look for what has expired: it tells nobody."""
    with redis_server("--enable-debug-command", "yes") as server:
        server.client().execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        reader, writer = (
            RedisStore(f"{server.url}?timeout=5s", namespace="n"),
            RedisStore(f"{server.url}?ttl=1s&timeout=5s", namespace="n"),
        )
        writer.write("a", [(key, b"row") for key in keys(20)])
        others = itertools.count()

        def is_gone() -> bool:
            reader.read(["b"], [[b"%d" % next(others)]])  # the server has been asked a moment ago
            (found,) = reader.read(["a"], [keys(20)])
            assert len(set(found)) == 1, "it vanishes whole"
            return found[0] is None

        assert not is_gone()
        until(is_gone)


def test_a_read_of_remembered_and_new_rows_is_of_one_state(shared: RedisServer):
    """Both are written at once, and that the remembered one has changed is told when the other is answered."""
    writer = RedisStore(f"{shared.url}?timeout=5s", namespace="state")
    with Proxy(shared.port) as proxy:
        reader = RedisStore(f"redis://127.0.0.1:{proxy.port}?timeout=10s", namespace="state")
        for turn in (b"1", b"2"):
            writer.write("a", [(b"k", b"old"), (turn, b"old")])
            reader.read(["a"], [[b"k"]])
            proxy.is_stalled = True
            writer.write("a", [(b"k", turn), (turn, turn)])
            threading.Timer(0.05, lambda: setattr(proxy, "is_stalled", False)).start()
            assert reader.read(["a"], [[b"k", turn]]) == [[turn, turn]]


def test_what_is_asked_otherwise_makes_rows_be_asked_for_again(shared: RedisServer):
    """Another connection may have shown what the tracked one was not told yet."""
    store = RedisStore(f"{shared.url}?timeout=5s", namespace="otherwise")
    acts = (lambda: store.mark("a"), lambda: store.write("b", [(b"k", b"row")]), lambda: store.count("a"))
    store.read(["a"], [[b"k"]])
    for act in acts:
        before = asked(shared)
        act()
        for _ in range(3):
            store.read(["a"], [[b"k"]])
        assert asked(shared) == before + 1


def test_own_writes_are_read_at_once(shared: RedisServer):
    store = RedisStore(f"{shared.url}?timeout=5s", namespace="own")
    for turn in range(200):
        store.write("a", [(b"k", b"%d" % turn)])
        assert store.read(["a"], [[b"k"]]) == store.read(["a"], [[b"k"]]) == [[b"%d" % turn]]


def test_no_reader_sees_a_row_go_back(shared: RedisServer):
    """Threads share stores, so that some read by the tracked link and some by others, while two tables move in turns.

    A read that begins after another of the same store has ended is not of an earlier state, whoever did either.
    """
    url = f"{shared.url}?timeout=10s"
    writer = RedisStore(url, namespace="back")
    names = keys(20)
    for table in ("a", "b"):
        writer.write(table, [(key, b"0") for key in names])
    is_over = threading.Event()
    wrong: list[object] = []

    def read_on(store: RedisStore, newest: list[int], own: bytes) -> None:
        while not is_over.is_set():
            before = newest[0]
            (first,), (second,) = store.read(["a", "b"], [[own], [own]])
            turn = int(first or b"-1")
            if not (before <= turn and turn - 1 <= int(second or b"-1") <= turn):
                wrong.append((before, first, second))
            newest[0] = max(newest[0], turn)

    stores = [RedisStore(url, namespace="back") for _ in range(2)]
    newest = [[0], [0]]
    threads = [
        threading.Thread(target=read_on, args=(stores[number % 2], newest[number % 2], names[number]))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for turn in range(1, 151):
        for table in ("a", "b"):
            writer.write(table, [(key, b"%d" % turn) for key in names])
    until(lambda: min(newest) == [150] or bool(wrong))
    is_over.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_what_was_seen_elsewhere_is_not_gone_back_behind(shared: RedisServer, monkeypatch: pytest.MonkeyPatch):
    """The change is on its way to the tracked link when somebody has seen it by another."""
    monkeypatch.setattr(tracked, "_TRUSTED_SECONDS", 60.0)
    layout = Layout("elsewhere")
    read = read_head(layout.bucket("a", bucket(b"k"))), read_tail(b"k")
    store = RedisStore(f"{shared.url}?timeout=5s", namespace="elsewhere")
    store.write("a", [(b"k", b"1")])
    known, seen = object(), object()
    with Proxy(shared.port) as proxy:
        link = TrackedLink(Address.parse(f"redis://127.0.0.1:{proxy.port}/0"), 1_000_000, time.monotonic() + 10)
        assert link.read([read], known, time.monotonic() + 10) == [b"1"]
        proxy.is_stalled = True
        store.write("a", [(b"k", b"2")])
        assert link.read([read], known, time.monotonic() + 0.2) == [b"1"]
        with pytest.raises(TimeoutError):
            link.read([read], seen, time.monotonic() + 0.2)
        link.close()


def test_a_server_that_says_nothing_is_away_within_a_second(shared: RedisServer, monkeypatch: pytest.MonkeyPatch):
    """Which are five here: a busy machine must not sleep through them."""
    monkeypatch.setattr(tracked, "_TRUSTED_SECONDS", 5.0)
    with Proxy(shared.port) as proxy:
        store = RedisStore(f"redis://127.0.0.1:{proxy.port}?timeout=100ms", namespace="silent")
        until(lambda: not is_away(store))
        proxy.is_stalled = True
        store.read(["a"], [[b"k"]])  # it was there a moment ago
        until(lambda: is_away(store))
        assert is_away(store), "and stays so"
        proxy.is_stalled = False
        until(lambda: not is_away(store))


def test_what_is_remembered_is_bounded(shared: RedisServer):
    store = RedisStore(f"{shared.url}?timeout=5s&cache=20KB", namespace="bounded")
    store.write("a", [(key, b"x" * 100) for key in keys(2_000)])
    before = asked(shared)
    for key in keys(2_000):
        assert store.read(["a"], [[key]]) == [[b"x" * 100]]
    assert store.read(["a"], [keys(2_000)]) == [[b"x" * 100] * 2_000]
    assert asked(shared) > before + 3_800, "the first rows were forgotten"
    before = asked(shared)
    store.read(["a"], [keys(2_000)[-20:]])
    store.read(["a"], [keys(2_000)[-20:]])
    assert asked(shared) <= before + 20, "the last are remembered"


def test_an_error_is_not_remembered(shared: RedisServer):
    store, name = RedisStore(f"{shared.url}?timeout=5s", namespace="odd"), Layout("odd").bucket("a", bucket(b"k"))
    shared.client().set(name, "not ours")
    with pytest.raises(SettingError, match="WRONGTYPE"):
        store.read(["a"], [[b"k", b"l"]])
    shared.client().delete(name)
    until(lambda: store.read(["a"], [[b"k", b"l"]]) == [[None, None]])
