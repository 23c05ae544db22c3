"""A real cluster of three: rows spread, one entity on one node, slots that move while they are read, nodes that die."""

import subprocess
import threading
import time

import pytest

from inseam.adapters.redis.store import RedisStore
from inseam.kernel.errors import UnavailableError
from inseam.testing.redis import RedisServer, redis_cluster

TABLES = ["a@1", "b@1", "c@1"]


def keys(count: int) -> list[bytes]:
    return [number.to_bytes(8, "big") for number in range(count)]


def gets(cluster: list[RedisServer]) -> list[int]:
    """Reads that each node has answered, of which one pipeline is a burst."""
    stats = [server.client().info("commandstats").get("cmdstat_hget", {"calls": 0}) for server in cluster]
    return [int(told["calls"]) for told in stats]


def test_rows_are_spread_and_those_of_one_entity_are_together(cluster: list[RedisServer]):
    store = RedisStore(f"{cluster[0].url}?timeout=10s", namespace="spread")
    for table in TABLES:
        store.write(table, [(key, table.encode()) for key in keys(3000)], b"mark")
    held = [len(list(server.client().scan_iter("inseam:spread:{*", count=5000))) for server in cluster]
    assert sum(held) > 2000
    assert min(held) > 500
    for key in keys(5):
        before = gets(cluster)
        assert store.read(TABLES, [[key]] * 3) == [[b"a@1"], [b"b@1"], [b"c@1"]]
        asked = [after - one for one, after in zip(before, gets(cluster), strict=True)]
        assert sorted(asked) == [0, 0, 3]
        assert store.read(TABLES, [[key]] * 3) == [[b"a@1"], [b"b@1"], [b"c@1"]]
        assert sum(gets(cluster)) - sum(before) == 6, "a cluster's rows are not remembered"
    assert store.read(TABLES, [keys(3000)] * 3) == [[table.encode()] * 3000 for table in TABLES]


def test_every_node_is_as_good_an_entrance(cluster: list[RedisServer]):
    for number, server in enumerate(cluster):
        store = RedisStore(f"{server.url}?timeout=10s", namespace="entrance")
        store.write("a@1", [(b"%d" % number, b"row")], b"mark %d" % number)
    assert store.read(["a@1"], [[b"0", b"1", b"2"]]) == [[b"row"] * 3]
    assert (store.mark("a@1"), store.count("a@1"), set(store.tables())) == (b"mark 2", 3, {"a@1"})


def test_slots_move_while_they_are_read_and_written(cluster: list[RedisServer]):
    store = RedisStore(f"{cluster[0].url}?timeout=20s", namespace="moving")
    store.write("a@1", [(key, b"00") for key in keys(2000)], b"mark")
    is_over = threading.Event()
    wrong: list[object] = []
    reads = 0

    def read_on() -> None:
        nonlocal reads
        own = RedisStore(f"{cluster[1].url}?timeout=20s", namespace="moving")
        while not is_over.is_set():
            try:
                (found,) = own.read(["a@1"], [keys(2000)])
            except UnavailableError as error:
                wrong.append(error)
                continue
            reads += 1
            wrong.extend(row for row in found if row is None)

    reader = threading.Thread(target=read_on)
    reader.start()
    ids = [server.client().execute_command("CLUSTER MYID").decode() for server in cluster]
    command = ["redis-cli", "--cluster", "reshard", f"127.0.0.1:{cluster[0].port}", "--cluster-yes"]
    moves = ["--cluster-from", ids[0], "--cluster-to", ids[2], "--cluster-slots", "1500"]
    moving = subprocess.Popen([*command, *moves], stdout=subprocess.DEVNULL)
    turn = 0
    while moving.poll() is None:
        turn += 1
        store.write("a@1", [(key, b"%d" % turn) for key in keys(2000)], b"%d" % turn)
    assert moving.returncode == 0
    is_over.set()
    reader.join()
    assert wrong == []
    assert reads > 0
    assert turn > 0
    assert store.read(["a@1"], [keys(2000)]) == [[b"%d" % turn] * 2000]
    assert (store.count("a@1"), store.mark("a@1")) == (2000, b"%d" % turn)


def test_a_node_that_dies_makes_reads_fail_and_its_return_heals_them():
    with redis_cluster() as cluster:
        for server in cluster:
            server.client().config_set("cluster-require-full-coverage", "no")
        store = RedisStore(f"{cluster[0].url}?timeout=200ms", namespace="n")
        store.write("a@1", [(key, b"row") for key in keys(60)], b"mark")
        cluster[2].kill()
        with pytest.raises(UnavailableError):
            store.read(["a@1"], [keys(60)])
        alive = [key for key in keys(60) if _is_read(store, key)]
        assert 10 < len(alive) < 60
        cluster[2].start()
        deadline = time.monotonic() + 30
        while not all(_is_read(store, key) for key in keys(30)):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        store.write("a@1", [(key, b"anew") for key in keys(60)], b"mark")
        assert store.read(["a@1"], [keys(60)]) == [[b"anew"] * 60]


def _is_read(store: RedisStore, key: bytes) -> bool:
    try:
        store.read(["a@1"], [[key]])
    except UnavailableError:
        return False
    return True
