"""LMDB's own traps: growth seen by other processes, readers that come before the writer, kills."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inseam.adapters.lmdb.store import LmdbStore
from inseam.kernel.errors import RefusedError, SettingError
from inseam.ports.discover import adapter

WRITER = """
import sys
from pathlib import Path
from inseam.adapters.lmdb.store import LmdbStore
store = LmdbStore(Path(sys.argv[1]), map_size_bytes=1 << 16)
"""


def in_another_process(path: Path, code: str) -> None:
    subprocess.run([sys.executable, "-c", WRITER + code, str(path)], check=True)


def test_it_is_found_by_its_entry_point():
    assert adapter("online", "lmdb") is LmdbStore


def test_a_reader_may_come_before_the_writer_and_follows_its_growth(tmp_path: Path):
    reader = LmdbStore(tmp_path / "o", is_readonly=True)
    assert reader.read(["a"], [[b"k"]]) == [[None]]
    assert reader.tables() == {}
    assert not (tmp_path / "o").exists()
    in_another_process(tmp_path / "o", "store.write('a', [(b'k', b'1')], b'm')")
    assert reader.read(["a"], [[b"k"]]) == [[b"1"]]
    assert reader.mark("a") == b"m"
    grow = "store.write('a', [(b'%d' % i, b'x' * 1000) for i in range(5000)] + [(b'k', b'2')])"
    in_another_process(tmp_path / "o", grow)
    assert reader.read(["a"], [[b"k", b"4999"]]) == [[b"2", b"x" * 1000]]
    assert reader.count("a") == 5001
    reader.close()


def test_a_writer_follows_another_writers_growth_and_drops(tmp_path: Path):
    store = LmdbStore(tmp_path, map_size_bytes=1 << 16)
    store.write("a", [(b"k", b"1")])
    in_another_process(tmp_path, "store.write('b', [(b'%d' % i, b'x' * 1000) for i in range(3000)])")
    store.write("a", [(b"l", b"2")])
    assert store.read(["a", "b"], [[b"k", b"l"], [b"2999"]]) == [[b"1", b"2"], [b"x" * 1000]]
    in_another_process(tmp_path, "store.drop('a')")
    assert store.read(["a"], [[b"k"]]) == [[None]]
    assert (store.count("a"), set(store.tables())) == (0, {"b"})
    store.write("a", [(b"m", b"3")])
    assert store.read(["a"], [[b"k", b"m"]]) == [[None, b"3"]]
    in_another_process(
        tmp_path, "assert store.read(['a'], [[b'm']]) == [[b'3']]; store.drop('a'); store.write('a', [])"
    )
    store.write("a", [(b"n", b"4")])
    assert (store.read(["a"], [[b"m", b"n"]]), store.count("a")) == ([[None, b"4"]], 1)
    store.close()


def test_a_read_only_store_refuses_to_write_even_beside_a_writer(tmp_path: Path):
    writer, reader = LmdbStore(tmp_path), LmdbStore(tmp_path, is_readonly=True)
    writer.write("a", [(b"k", b"1")])
    assert reader.read(["a"], [[b"k"]]) == [[b"1"]]
    for act in (lambda: reader.write("a", []), lambda: reader.drop("a")):
        with pytest.raises(RefusedError, match="reading only"):
            act()
    writer.close()
    assert reader.read(["a"], [[b"k"]]) == [[b"1"]]
    reader.close()


def test_a_writer_may_come_after_a_reader_of_the_same_process(tmp_path: Path):
    LmdbStore(tmp_path).write("a", [(b"k", b"1")])
    reader = LmdbStore(tmp_path, is_readonly=True)
    assert reader.read(["a"], [[b"k"]]) == [[b"1"]]
    writer = LmdbStore(tmp_path)
    writer.write("a", [(b"k", b"2")])
    assert reader.read(["a"], [[b"k"]]) == [[b"2"]]


def test_a_file_that_is_no_store_is_a_setting_error(tmp_path: Path):
    (tmp_path / "data.mdb").write_bytes(b"not an environment" * 1000)
    with pytest.raises(SettingError, match="opened"):
        LmdbStore(tmp_path, is_readonly=True).read(["a"], [[b"k"]])


def test_a_killed_writer_loses_nothing_acknowledged_and_leaves_no_half_batch(tmp_path: Path):
    code = (
        "turn = 0\n"
        "while True:\n"
        "    turn += 1\n"
        "    row = b'%d' % turn\n"
        "    store.write('a', [(b'%03d' % i, row * 50) for i in range(300)], row)\n"
        "    print(turn, flush=True)\n"
    )
    reader = LmdbStore(tmp_path, is_readonly=True)
    for delay in (0.02, 0.05, 0.11):
        process = subprocess.Popen([sys.executable, "-c", WRITER + code, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        acknowledged = [1, *(int(line) for line in process.stdout.read().split(b"\n")[:-1])][-1]
        process.wait()
        (found,) = reader.read(["a"], [[b"%03d" % number for number in range(300)]])
        mark = reader.mark("a")
        assert mark is not None
        assert set(found) == {mark * 50}
        assert int(mark) >= acknowledged
    reader.close()


def test_wiping_leaves_nothing_of_rows_that_were_taken_out_and_all_others(tmp_path: Path):
    store = LmdbStore(tmp_path, map_size_bytes=1 << 16)
    kept = [(b"key-%05d" % number, b"x" * 50) for number in range(4_000)]
    gone = [(b"key-%05d-secret" % number, b"secret") for number in range(0, 4_000, 40)]
    store.write("a", sorted([*kept, *gone]), b"secret")
    store.write("b", kept[:3])
    store.write("a", [(key, None) for key, _ in gone], b"mark")
    store.write("c", gone)
    store.drop("c")
    assert b"secret" in (tmp_path / "data.mdb").read_bytes()
    store.wipe()
    assert b"secret" not in (tmp_path / "data.mdb").read_bytes()
    assert store.read(["a", "b"], [[key for key, _ in kept], [kept[1][0]]]) == [[row for _, row in kept], [b"x" * 50]]
    assert (store.count("a"), sorted(store.tables()), store.mark("a")) == (4_000, ["a", "b"], b"mark")
