"""What may go wrong around an LMDB store: a full disk, readers and writers that are killed."""

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from inseam.adapters.lmdb import environment
from inseam.adapters.lmdb.store import LmdbStore

HEAD = """
import sys
from pathlib import Path
from inseam.adapters.lmdb.store import LmdbStore
store = LmdbStore(Path(sys.argv[1]), map_size_bytes=1 << 16)
"""


def started(path: Path, code: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", HEAD + textwrap.dedent(code), str(path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_a_full_disk_is_told_and_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    code = """
    import resource, signal
    from inseam.kernel.errors import SettingError
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    turn = 0
    try:
        while turn < 100:
            store.write("a", [(b"%d" % turn, b"x" * 20_000)], b"%d" % turn)
            turn += 1
    except SettingError as error:
        assert "cannot be used" in str(error)
    assert 0 < turn < 100
    asked = [b"%d" % number for number in range(turn + 1)]
    assert store.read(["a"], [asked]) == [[b"x" * 20_000] * turn + [None]]
    assert store.mark("a") == b"%d" % (turn - 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    store.write("a", [(b"%d" % turn, b"y")], b"done")
    assert store.read(["a"], [asked]) == [[b"x" * 20_000] * turn + [b"y"]]
    """
    process = started(tmp_path, code)
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert LmdbStore(tmp_path).mark("a") == b"done"


def test_readers_that_were_killed_amid_a_read_keep_nobody_from_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "_MAX_READERS", 4)
    store = LmdbStore(tmp_path)
    store.write("a", [(b"k", b"1")])
    code = """
    from inseam.adapters.lmdb import environment
    environment._MAX_READERS = 4
    store._environment.view(("a",), lambda *_: (print("read", flush=True), sys.stdin.read()))
    """
    living, *others = [started(tmp_path, code) for _ in range(4)]
    for reader in (living, *others):
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"read\n"
    for reader in others:
        reader.send_signal(signal.SIGKILL)
        reader.wait()
    assert store.read(["a"], [[b"k"]]) == [[b"1"]]
    store.close()
    living.communicate(timeout=60)
    assert living.returncode == 0


def test_a_killed_writer_leaves_no_half_of_what_it_put_and_took_out(tmp_path: Path) -> None:
    """Each turn puts one half of the keys and takes out the other."""
    code = """
    turn = 0
    while True:
        turn += 1
        keys = [b"%03d" % number for number in range(300)]
        rows = [(key, b"%d" % turn if (place + turn) % 2 else None) for place, key in enumerate(keys)]
        store.write("a", rows, b"%d" % turn)
        print(turn, flush=True)
    """
    keys = [b"%03d" % number for number in range(300)]
    for delay in (0.02, 0.06, 0.13):
        process = started(tmp_path, code)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        acknowledged = [1, *(int(line) for line in process.stdout.read().split(b"\n")[:-1])][-1]
        process.wait()
        store = LmdbStore(tmp_path, is_readonly=True)
        turn = int(store.mark("a") or b"0")
        assert turn >= acknowledged
        expected = [b"%d" % turn if (place + turn) % 2 else None for place in range(300)]
        assert store.read(["a"], [keys]) == [expected]
        assert store.count("a") == 150
        store.close()


def test_a_reader_process_outlives_tables_that_are_dropped_and_made_anew(tmp_path: Path) -> None:
    code = """
    seen = set()
    while b"end" not in seen:
        (rows,) = store.read(["a"], [[b"k", b"l"]])
        assert rows[0] == rows[1], rows
        seen.add(rows[0])
    print(len(seen), flush=True)
    """
    reader = started(tmp_path, code)
    store = LmdbStore(tmp_path)
    for turn in range(60):
        store.write("a", [(b"k", b"%d" % turn), (b"l", b"%d" % turn)])
        store.drop("a")
    store.write("a", [(b"k", b"end"), (b"l", b"end")])
    store.close()
    found, _ = reader.communicate(timeout=120)
    assert reader.returncode == 0
    assert int(found) >= 1
