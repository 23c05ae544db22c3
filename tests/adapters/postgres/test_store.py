"""What is PostgreSQL's own: statements, transactions, two makers of one table, bloat, crashes, stalls, rights."""

import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from inseam.adapters.postgres.store import PostgresStore
from inseam.kernel.errors import InseamError, SettingError, UnavailableError
from inseam.ports.discover import adapter
from inseam.testing.postgres import postgres_server
from inseam.testing.proxy import Proxy


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture
def proxy(server: str) -> Iterator[Proxy]:
    directory = parse_qs(urlsplit(server).query)["host"][0]
    with Proxy(next(Path(directory).glob(".s.PGSQL.*[0-9]"))) as proxy:
        yield proxy


@pytest.fixture
def store(server: str, request: pytest.FixtureRequest) -> Iterator[PostgresStore]:
    store = open_store(server, request.node.name)
    yield store
    store.close()


def open_store(url: str, namespace: str, options: str = "timeout=10s") -> PostgresStore:
    return PostgresStore(f"{url}{'&' if '?' in url else '?'}{options}", namespace=namespace)


def through(proxy: Proxy) -> str:
    return f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres?sslmode=disable&gssencmode=disable"


def keys(count: int) -> list[bytes]:
    return [number.to_bytes(8, "big") for number in range(count)]


def test_it_is_found_by_its_entry_point():
    assert adapter("online", "postgres") is PostgresStore


def test_two_hundred_features_of_a_hundred_entities_are_one_statement(proxy: Proxy):
    """40 views: what stands in for 200 features is 4,000 rows."""
    store = open_store(through(proxy), "wide", "timeout=60s")
    tables = [f"view{number}@1" for number in range(40)]
    for table in tables:
        store.write(table, [(key, table.encode() + key) for key in keys(100)])
    expected = [[table.encode() + key for key in keys(100)] for table in tables]
    assert store.read(tables, [keys(100)] * 40) == expected
    before = proxy.round_trips
    assert store.read(tables, [keys(100)] * 40) == expected
    assert proxy.round_trips == before + 1


def test_namespaces_of_one_database_do_not_meet(server: str):
    one, other = open_store(server, "shop:default"), open_store(server, "shop:staging")
    one.write("a@1", [(b"k", b"1")], b"m1")
    other.write("a@1", [(b"k", b"2")], b"m2")
    assert (one.read(["a@1"], [[b"k"]]), one.mark("a@1"), set(one.tables())) == ([[b"1"]], b"m1", {"a@1"})
    other.drop("a@1")
    assert (one.read(["a@1"], [[b"k"]]), one.mark("a@1"), dict(other.tables())) == ([[b"1"]], b"m1", {})


def test_a_table_that_another_process_drops_and_makes_is_followed(server: str, store: PostgresStore, request):
    other = open_store(server, request.node.name)
    store.write("a", [(b"k", b"1")], b"m")
    store.write("b", [(b"k", b"1")])
    other.drop("a")
    assert store.read(["b", "a"], [[b"k"], [b"k"]]) == [[b"1"], [None]]
    assert (store.mark("a"), store.count("a"), set(store.tables())) == (None, 0, {"b"})
    other.write("a", [(b"k", b"2")])
    assert store.read(["a"], [[b"k"]]) == [[b"2"]]
    other.drop("a")
    store.write("a", [(b"k", b"3")], b"m3")
    assert (other.read(["a"], [[b"k"]]), other.mark("a")) == ([[b"3"]], b"m3")


def test_many_make_the_same_tables_at_once(server: str, request):
    failures: list[InseamError] = []
    start = threading.Barrier(8)

    def make(number: int) -> None:
        own = open_store(server, request.node.name)
        start.wait()
        try:
            for table in ("a", "b", "c"):
                own.write(table, [(b"%d" % number, b"row")], b"mark")
        except InseamError as error:
            failures.append(error)
        own.close()

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    store = open_store(server, request.node.name)
    assert [store.count(table) for table in ("a", "b", "c")] == [8, 8, 8]


def test_two_writers_in_opposite_orders_both_finish(server: str, store: PostgresStore, request):
    def write(letter: bytes, order: list[bytes]) -> None:
        own = open_store(server, request.node.name)
        for _ in range(10):
            own.write("a", [(key, letter * 50) for key in order], letter)
            own.write("a", [(key, None) for key in order[::7]], letter)
        own.close()

    store.write("a", [])
    threads = [
        threading.Thread(target=write, args=(b"x", keys(400))),
        threading.Thread(target=write, args=(b"y", keys(400)[::-1])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (found,) = store.read(["a"], [keys(400)])
    assert set(found) <= {b"x" * 50, b"y" * 50, None}
    assert store.mark("a") in (b"x", b"y")


def test_rewriting_a_table_does_not_make_it_grow(store: PostgresStore):
    def rewrite(turn: int) -> int:
        for start in range(0, 20_000, 5_000):
            store.write("a", [(key, b"%08d" % turn * 8) for key in keys(20_000)[start : start + 5_000]], b"%d" % turn)
        return store.tables()["a"]

    first = rewrite(0)
    assert max(rewrite(turn) for turn in range(1, 6)) < 1.5 * first


def test_a_backend_that_is_killed_takes_nothing_with_it():
    """PostgreSQL then ends every connection and recovers from its log."""
    with postgres_server() as url:
        store = open_store(url, "n")
        store.write("a", [(key, b"row") for key in keys(1000)], b"mark")
        victim = psycopg.connect(url, autocommit=True)
        os.kill(victim.info.backend_pid, signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):
            victim.execute("SELECT 1")
        deadline = time.monotonic() + 60
        while not _is_answered(store):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert store.read(["a"], [keys(1000)]) == [[b"row"] * 1000]
        assert (store.count("a"), store.mark("a")) == (1000, b"mark")
        store.close()


def _is_answered(store: PostgresStore) -> bool:
    """More than once: the server may yet be on its way down."""
    try:
        for _ in range(10):
            store.write("b", [(b"k", b"row")])
            time.sleep(0.02)
    except UnavailableError:
        return False
    return True


def test_connections_that_the_server_ended_are_replaced(server: str, store: PostgresStore):
    store.write("a", [(b"k", b"row")], b"mark")
    with psycopg.connect(server, autocommit=True) as admin:
        for _ in range(3):
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            assert store.read(["a"], [[b"k"]]) == [[b"row"]]
            store.write("a", [(b"l", b"row")])


def read_at_last(store: PostgresStore) -> list[list[bytes | None]]:
    """A busy machine may miss a short deadline or two."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return store.read(["a"], [[b"k"]])
        except UnavailableError:
            assert time.monotonic() < deadline


def test_answers_that_stall_end_at_the_deadline_for_new_connections_too(proxy: Proxy, request):
    store = open_store(through(proxy), request.node.name, "timeout=300ms")
    store.write("a", [(b"k", b"row")], b"mark")
    assert read_at_last(store) == [[b"row"]]
    proxy.is_stalled = True
    for _ in range(3):  # the first on the open connection, the next on new ones, which psycopg alone gives two seconds
        with pytest.raises(UnavailableError, match="in time"):
            store.read(["a"], [[b"k"]])
    proxy.is_stalled = False
    assert read_at_last(store) == [[b"row"]]


def test_all_connections_in_use_is_told_at_the_deadline(proxy: Proxy, request):
    store = open_store(through(proxy), request.node.name, "timeout=300ms&connections=1")
    store.write("a", [(b"k", b"row")])
    proxy.is_stalled = True
    outcomes: list[str] = []

    def ask() -> None:
        try:
            store.read(["a"], [[b"k"]])
        except UnavailableError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    proxy.is_stalled = False
    assert len(outcomes) == 6
    assert read_at_last(store) == [[b"row"]]


WRITER = """
import sys
from inseam.adapters.postgres.store import PostgresStore
store = PostgresStore(sys.argv[1], namespace="killed")
turn = 0
while True:
    turn += 1
    row = b"%d" % turn
    store.write("a", [(b"%04d" % i, row * 50) for i in range(1000)], row)
    print(turn, flush=True)
"""


def test_a_killed_writer_loses_nothing_acknowledged_and_leaves_no_half_batch(server: str):
    store = open_store(server, "killed")
    for delay in (0.03, 0.08, 0.15):
        process = subprocess.Popen([sys.executable, "-c", WRITER, server], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        acknowledged = [1, *(int(line) for line in process.stdout.read().split(b"\n")[:-1])][-1]
        process.wait()
        (found,) = store.read(["a"], [[b"%04d" % number for number in range(1000)]])
        turns = {int(row[: len(row) // 50]) for row in found if row is not None}
        assert len(turns) == 1, "half a batch was seen"
        assert min(turns) >= acknowledged


def test_a_server_of_predictions_needs_no_right_but_to_read(server: str, store: PostgresStore, request):
    store.write("a", [(b"k", b"row")], b"mark")
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS fleet")
        admin.execute("CREATE ROLE fleet LOGIN")
        admin.execute("GRANT USAGE ON SCHEMA inseam_online TO fleet")
        admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA inseam_online TO fleet")
    parts = urlsplit(server)
    fleet = open_store(parts._replace(netloc="fleet@").geturl(), request.node.name)
    assert (fleet.read(["a"], [[b"k"]]), fleet.mark("a")) == ([[b"row"]], b"mark")
    with pytest.raises(SettingError, match="refuses us"):
        fleet.write("a", [(b"k", b"other")])


@pytest.mark.parametrize(
    "url",
    [
        "redis://postgres:hunter22@localhost/shop",
        "postgresql://postgres:hunter22@localhost/shop?no_such_option=1",
        "postgresql://postgres:hunter22@localhost/shop?timeout=soon",
        "postgresql://postgres:hunter%zz@localhost/shop",
        "host=localhost password=hunter22",
    ],
)
def test_a_url_that_names_no_postgresql_is_a_setting_and_not_shown(url: str):
    with pytest.raises(SettingError) as caught:
        PostgresStore(url, namespace="n")
    story = "".join(traceback.format_exception(caught.value))
    assert "hunter" not in story.replace(__file__, "")


def test_nobody_there(request):
    store = PostgresStore("postgresql://postgres:s3cret@127.0.0.1:1/shop", namespace="n")
    with pytest.raises(UnavailableError, match="cannot be used now") as caught:
        store.read(["a"], [[b"k"]])
    assert "s3cret" not in "".join(traceback.format_exception(caught.value)) + repr(store)
