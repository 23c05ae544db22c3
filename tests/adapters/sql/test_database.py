"""Settings of the connection, faults, forks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from inseam.adapters.sql.ledger import SqlLedger
from inseam.ir.records import AliasRecord
from inseam.kernel.errors import ConflictError, SettingError


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.mark.parametrize("bad", ["", "ledger.db", "mysql://u@h/d", "sqlite://", "sqlite:///:memory:"])
def test_a_url_that_cannot_hold_a_ledger(bad):
    with pytest.raises(SettingError, match="ledger"):
        SqlLedger(bad)


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "ledger.db").write_text("my diary, page one\n" * 100)
    with pytest.raises(SettingError, match="not a database"):
        SqlLedger(f"sqlite:///{tmp_path}/ledger.db")


def test_a_server_that_is_not_there_is_named_without_its_password():
    with pytest.raises(SettingError) as raised:
        SqlLedger("postgresql://me:hunter2@127.0.0.1:1/ledger")
    assert "127.0.0.1" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_what_is_acknowledged_is_synced(url):
    ledger = SqlLedger(url)
    with ledger._database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_a_writer_that_never_ends_is_a_conflict(url, monkeypatch):
    monkeypatch.setattr("inseam.adapters.sql.database.BUSY_SECONDS", 0.2)
    ledger = SqlLedger(url)
    with SqlLedger(url)._database.engine.connect().execution_options(writes=True) as other, other.begin():
        with pytest.raises(ConflictError, match="writing"):
            ledger.put(AliasRecord("m", "champion", 1, 0))
        assert ledger.select(AliasRecord) == []
    ledger.put(AliasRecord("m", "champion", 1, 0))


def test_changed_tells_of_others_and_of_oneself(url):
    ledger, other = SqlLedger(url), SqlLedger(url)
    first = ledger.changed()
    assert ledger.changed() == first
    other.put(AliasRecord("m", "champion", 1, 0))
    second = ledger.changed()
    assert second != first
    ledger.put(AliasRecord("m", "champion", 2, 0))
    third = ledger.changed()
    assert third not in (first, second)
    ledger.close()
    assert ledger.changed() not in (first, second, third)


def test_a_ledger_is_carried_across_a_fork_while_threads_write(url):
    ledger = SqlLedger(url)
    ledger.changed()
    done = threading.Event()

    def write(model):
        version = 0
        while not done.is_set():
            version += 1
            ledger.put(AliasRecord(model, "champion", version, 0))

    threads = [threading.Thread(target=write, args=(f"t{n}",)) for n in range(2)]
    for thread in threads:
        thread.start()
    children = []
    for child in range(4):
        pid = os.fork()
        if pid == 0:
            for version in range(10):
                ledger.put(AliasRecord(f"c{child}", "champion", version, 0))
            ledger.changed()
            os._exit(0 if ledger.get(AliasRecord, f"c{child}", "champion").version == 9 else 1)
        children.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0, 0, 0, 0]
    done.set()
    for thread in threads:
        thread.join()
    assert {r.model for r in ledger.select(AliasRecord)} == {"t0", "t1", "c0", "c1", "c2", "c3"}
    with ledger._database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


def test_opening_a_ledger_that_is_up_to_date_imports_no_alembic(url):
    SqlLedger(url)
    program = (
        "import sys; from inseam.adapters.sql.ledger import SqlLedger; "
        f"SqlLedger({url!r}); print([m for m in sys.modules if m.startswith(('alembic', 'sqlalchemy.orm'))])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_what_is_looked_for_each_second_is_not_searched_for_among_all_loads(url):
    ledger = SqlLedger(url)
    asked = "EXPLAIN QUERY PLAN SELECT number FROM ledger_load WHERE source = 'orders' AND status = 'begun'"
    with ledger._database.engine.connect() as connection:
        assert "USING INDEX ix_ledger_load (source=? AND status=?)" in str(connection.exec_driver_sql(asked).all())
