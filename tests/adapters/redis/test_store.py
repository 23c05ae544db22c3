"""What is Redis's own: round trips, expiry, eviction, namespaces, drops that block nobody, kills."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from inseam.adapters.redis.store import RedisStore
from inseam.kernel.errors import SettingError, UnavailableError
from inseam.ports.discover import adapter
from inseam.testing.proxy import Proxy
from inseam.testing.redis import RedisServer, redis_server


def keys(count: int) -> list[bytes]:
    return [number.to_bytes(8, "big") for number in range(count)]


def calls(server: RedisServer) -> dict[str, int]:
    """How often each command was run."""
    found = server.client().info("commandstats")
    return {name.removeprefix("cmdstat_"): int(told["calls"]) for name, told in found.items()}


def test_it_is_found_by_its_entry_point():
    assert adapter("online", "redis") is RedisStore


def test_two_hundred_features_of_a_hundred_entities_are_one_round_trip(server: RedisServer):
    """40 views: what stands in for 200 features is 4,000 rows, in one transaction, which is one request."""
    with Proxy(server.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}?timeout=30s"
        store = RedisStore(f"{url}&cache=0", namespace="n")
        tables = [f"view{number}@1" for number in range(40)]
        for table in tables:
            store.write(table, [(key, table.encode() + key) for key in keys(100)])
        ran = calls(server)
        found = store.read(tables, [keys(100)] * 40)
        assert found == [[table.encode() + key for key in keys(100)] for table in tables]
        now = calls(server)
        assert (now["exec"] - ran["exec"], now["hget"] - ran.get("hget", 0)) == (1, 4000)
        before = proxy.round_trips  # of a request that is small enough not to be answered while it is being sent
        store.read(tables, [keys(1)] * 40)
        assert proxy.round_trips == before + 1
        tracked = RedisStore(url, namespace="n")
        tracked.read(tables, [keys(1)] * 40)
        before = proxy.round_trips
        tracked.read(tables, [keys(2)[1:]] * 40)
        assert proxy.round_trips == before + 1
        tracked.read(tables, [keys(2)] * 40)
        assert proxy.round_trips == before + 1, "what was read lately is no round trip"


def test_a_batch_takes_round_trips_by_its_bytes_and_not_by_its_rows(server: RedisServer):
    with Proxy(server.port) as proxy:
        store = RedisStore(f"redis://127.0.0.1:{proxy.port}", namespace="n")
        store.write("a", [(b"k", b"v")], b"mark")
        before = proxy.round_trips
        store.write("a", [(key, b"x" * 100) for key in keys(5_000)], b"mark")
        few = proxy.round_trips - before
        store.write("a", [(key, b"x" * 100) for key in keys(20_000)], b"mark")
        # The proxy may see a long request in parts, with the first answers in between.
        assert few < 40
        assert proxy.round_trips - before - few < 160


def test_namespaces_of_one_server_do_not_meet(shared: RedisServer):
    one = RedisStore(shared.url, namespace="shop:default")
    other = RedisStore(shared.url, namespace="shop:default:x")
    one.write("a@1", [(b"k", b"1")], b"m1")
    other.write("a@1", [(b"k", b"2")], b"m2")
    other.write("b@1", [(b"k", b"2")])
    assert (one.read(["a@1"], [[b"k"]]), one.mark("a@1"), set(one.tables())) == ([[b"1"]], b"m1", {"a@1"})
    other.drop("a@1")
    assert (one.read(["a@1"], [[b"k"]]), one.mark("a@1"), one.count("a@1")) == ([[b"1"]], b"m1", 1)
    assert (other.mark("a@1"), set(other.tables())) == (None, {"b@1"})


def test_a_namespace_cannot_break_the_layout(shared: RedisServer):
    store = RedisStore(shared.url, namespace="{shop}:über alles")
    store.write("a", [(b"k", b"1")], b"m")
    assert (store.read(["a"], [[b"k"]]), store.mark("a"), store.count("a")) == ([[b"1"]], b"m", 1)


def test_databases_of_one_server_do_not_meet(shared: RedisServer):
    one = RedisStore(shared.url, namespace="n")
    three = RedisStore(shared.url.replace("/0", "/3"), namespace="n")
    three.write("a", [(b"k", b"3")])
    assert (one.read(["a"], [[b"k"]]), three.read(["a"], [[b"k"]])) == ([[None]], [[b"3"]])


def test_a_table_expires_whole_after_its_ttl_and_every_write_extends_it(shared: RedisServer):
    store = RedisStore(f"{shared.url}?ttl=2s&timeout=5s", namespace="expiring")
    store.write("a", [(key, b"v") for key in keys(3_000)], b"one")
    client = shared.client()
    ends = {client.pexpiretime(name) for name in client.scan_iter("inseam:expiring:*:a", count=5_000)}
    assert len(ends) == 1, "rows and mark end at one instant"
    store.write("a", [(b"late", b"v")], b"two")
    later = {client.pexpiretime(name) for name in client.scan_iter("inseam:expiring:*:a", count=5_000)}
    assert len(later) == 1
    assert later.pop() > ends.pop()
    store.write("b", [(b"k", b"v")])
    deadline = time.monotonic() + 20
    while store.mark("a") is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert store.read(["a"], [keys(3_000)]) == [[None] * 3_000]
    assert (store.count("a"), store.mark("a")) == (0, None)
    assert "a" not in store.tables()


def test_a_ttl_that_is_taken_back_is_taken_off(shared: RedisServer):
    expiring = RedisStore(f"{shared.url}?ttl=1h", namespace="kept")
    expiring.write("a", [(key, b"v") for key in keys(3_000)], b"one")
    kept = RedisStore(shared.url, namespace="kept")
    kept.write("a", [(b"late", b"v")], b"two")
    client = shared.client()
    assert {client.pexpiretime(name) for name in client.scan_iter("inseam:kept:*:a", count=5_000)} == {-1}


@pytest.mark.parametrize(("policy", "options"), [("allkeys-lru", ""), ("volatile-ttl", "?ttl=1d")])
def test_a_server_that_evicts_rows_is_refused(server: RedisServer, policy: str, options: str):
    server.client().config_set("maxmemory", "100mb")
    server.client().config_set("maxmemory-policy", policy)
    with pytest.raises(SettingError, match=policy):
        RedisStore(server.url + options, namespace="n").write("a", [(b"k", b"v")])
    server.client().config_set("maxmemory-policy", "volatile-lru" if not options else "noeviction")
    RedisStore(server.url + options, namespace="n").write("a", [(b"k", b"v")])


def test_a_full_server_refuses_rows_and_never_takes_their_mark(server: RedisServer):
    store = RedisStore(server.url, namespace="n")
    store.write("a", [(b"k", b"v")], b"one")
    server.client().config_set("maxmemory", "3mb")
    with pytest.raises(UnavailableError, match="OOM"):
        for turn in range(100):
            store.write("a", [(b"%d-%b" % (turn, key), b"x" * 1000) for key in keys(1000)], b"two")
            server.client().config_set("maxmemory", "1mb")
    assert store.mark("a") in (b"one", b"two")
    assert RedisStore(server.url, namespace="n").read(["a", "b"], [[b"k"]] * 2) == [[b"v"], [None]]


def test_a_drop_lets_others_through(shared: RedisServer):
    """A bucket is unlinked at a time, and freed by a thread: what the server does does not grow with the rows."""
    store = RedisStore(shared.url, namespace="dropping")
    for start in range(0, 200_000, 20_000):
        store.write("a", [((start + number).to_bytes(8, "big"), b"x" * 64) for number in range(20_000)], b"mark")
    assert store.count("a") == 200_000
    before = calls(shared)
    store.drop("a")
    after = calls(shared)
    ran = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
    assert ran.pop("unlink") == 1025
    assert set(ran) <= {"srem", "info", "hello", "multi", "exec"}
    assert (store.count("a"), store.mark("a"), dict(store.tables())) == (0, None, {})


def test_a_long_write_is_one_transaction(shared: RedisServer):
    """A step of tiles reads, adds to what it read, and writes: done in part it could not be done again."""
    store = RedisStore(f"{shared.url}?timeout=10s", namespace="long")
    store.write("a", [(b"k", b"v")], b"before")
    client = shared.client()
    client.config_resetstat()
    store.write("a", [(key, bytes(50_000)) for key in keys(300)], b"mark")
    ran = {name.removeprefix("cmdstat_"): told["calls"] for name, told in client.info("commandstats").items()}
    assert (ran["hset"] > 200, ran["set"], ran["exec"]) == (True, 1, 2), "what is there is asked first"
    assert (store.count("a"), store.mark("a")) == (301, b"mark")


def test_a_drop_that_was_killed_is_still_listed(shared: RedisServer):
    """The mark goes first, the name last."""
    store = RedisStore(shared.url, namespace="half")
    store.write("a", [(key, b"v") for key in keys(100)], b"mark")
    client = shared.client()
    client.unlink("inseam:half:mark:a")
    assert (store.mark("a"), set(store.tables())) == (None, {"a"})
    store.drop("a")
    assert list(client.scan_iter("inseam:half:*", count=5_000)) == []


def test_a_wrong_type_under_our_keys_is_told(shared: RedisServer):
    shared.client().set("inseam:odd:tables", "not ours")
    with pytest.raises(SettingError, match="WRONGTYPE"):
        RedisStore(shared.url, namespace="odd").write("a", [(b"k", b"v")])


def test_many_threads_share_a_few_connections(shared: RedisServer):
    store = RedisStore(f"{shared.url}?timeout=30s&connections=3", namespace="threads")
    store.write("a", [(key, key) for key in keys(100)])
    wrong: list[object] = []

    def read_on(number: int) -> None:
        key = number.to_bytes(8, "big")
        for _ in range(200):
            if (found := store.read(["a"], [[key]])) != [[key]]:
                wrong.append(found)

    threads = [threading.Thread(target=read_on, args=(number,)) for number in range(12)]
    before = int(shared.client().info("clients")["connected_clients"])
    for thread in threads:
        thread.start()
    most = int(shared.client().info("clients")["connected_clients"])
    for thread in threads:
        thread.join()
    assert wrong == []
    assert most - before <= 3


WRITER = """
import sys
from inseam.adapters.redis.store import RedisStore
store = RedisStore(sys.argv[1], namespace="killed")
turn = 0
while True:
    turn += 1
    row = b"%d" % turn
    store.write("a", [(b"%04d" % i, row * 50) for i in range(3000)], row)
    print(turn, flush=True)
"""


def test_a_killed_writer_never_leaves_a_mark_without_its_rows(shared: RedisServer):
    store = RedisStore(f"{shared.url}?timeout=10s", namespace="killed")
    for delay in (0.03, 0.08, 0.15):
        process = subprocess.Popen([sys.executable, "-c", WRITER, shared.url], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        acknowledged = [1, *(int(line) for line in process.stdout.read().split(b"\n")[:-1])][-1]
        process.wait()
        (found,) = store.read(["a"], [[b"%04d" % number for number in range(3000)]])
        mark = store.mark("a")
        assert mark is not None
        assert int(mark) >= acknowledged
        turns = {int(row[: len(row) // 50]) for row in found if row is not None}
        assert len(found) == 3000
        assert None not in found
        assert turns <= {int(mark), int(mark) + 1}, "a row is older than the mark says"


def test_two_writers_of_one_table_leave_whole_rows(shared: RedisServer):
    def write(letter: bytes) -> None:
        own = RedisStore(shared.url, namespace="two")
        for turn in range(30):
            own.write("a", [(key, letter * (50 + turn)) for key in keys(500)], letter)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"x", b"y")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = RedisStore(f"{shared.url}?timeout=10s", namespace="two")
    (found,) = store.read(["a"], [keys(500)])
    assert set(found) <= {b"x" * 79, b"y" * 79}
    assert store.count("a") == 500


def test_a_server_restarted_from_its_snapshot_has_rows_and_marks():
    with redis_server("--appendonly", "yes", "--appendfsync", "always") as server:
        store = RedisStore(server.url, namespace="n")
        store.write("a", [(key, b"v") for key in keys(1000)], b"mark")
        server.kill()
        server.start()
        assert (store.count("a"), store.mark("a")) == (1000, b"mark")
