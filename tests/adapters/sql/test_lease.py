"""Whose lease is whose: reused process ids, other hosts, silence, forks."""

from __future__ import annotations

import os
import time

import pytest
import sqlalchemy as sa

from inseam.adapters.sql import lease, process
from inseam.adapters.sql.ledger import SqlLedger
from inseam.adapters.sql.tables import LEASE
from inseam.kernel.clock import frozen_at
from inseam.kernel.errors import ConflictError


@pytest.fixture
def ledger(tmp_path):
    return SqlLedger(f"sqlite:///{tmp_path}/ledger.db")


def rows(ledger):
    return ledger._database.read(lambda connection: connection.execute(sa.select(LEASE)).all())


def alter(ledger, **values):
    ledger._database.transact(lambda connection: connection.execute(sa.update(LEASE).values(**values)))


def test_the_row_names_this_process(ledger):
    with ledger.lease("a"):
        (row,) = rows(ledger)
        assert (row.name, row.pid, row.host) == ("a", os.getpid(), process.host())
        assert row.process_started == process.started(os.getpid())
    assert rows(ledger) == []


def test_a_process_id_that_was_given_to_another_holds_nothing(ledger):
    with pytest.raises(ConflictError, match="taken over"), ledger.lease("a"):
        alter(ledger, process_started="12")
        with ledger.lease("a"):
            pass


def test_another_host_holds_while_its_heart_beats_and_for_thirty_seconds(ledger):
    moment = time.time_ns() // 1_000
    with pytest.raises(ConflictError, match="taken over"), ledger.lease("a"):
        alter(ledger, machine="elsewhere", host="far", heartbeat_at=moment - 25_000_000)
        with pytest.raises(ConflictError, match="on far "), ledger.lease("a"):
            pass
        alter(ledger, heartbeat_at=moment - 31_000_000)
        with ledger.lease("a"):
            pass


def test_a_holder_that_slept_is_told_when_it_asks(ledger, monkeypatch):
    with pytest.raises(ConflictError, match="taken over"), ledger.lease("a") as held:
        held.check()
        alter(ledger, machine="elsewhere", heartbeat_at=0)
        held.check()  # the last heartbeat was a moment ago: nobody has taken it
        monkeypatch.setattr(lease, "SILENCE_SECONDS", 0.0)
        held.check()
        assert rows(ledger)[0].heartbeat_at > 0
        monkeypatch.undo()
        alter(ledger, heartbeat_at=0)
        with ledger.lease("a"):
            monkeypatch.setattr(lease, "SILENCE_SECONDS", 0.0)
            with pytest.raises(ConflictError, match="taken over"):
                held.check()
            monkeypatch.undo()


def test_the_heart_beats_by_the_world_s_clock(ledger, monkeypatch):
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.02)
    with frozen_at(0), ledger.lease("a"):
        (first,) = rows(ledger)
        while (row := rows(ledger)[0]).heartbeat_at == first.heartbeat_at:
            time.sleep(0.01)
        assert row.heartbeat_at > first.acquired_at == row.acquired_at > 0


def test_a_forked_child_leaves_the_lease_to_its_parent(ledger):
    with ledger.lease("a"):
        pid = os.fork()
        if pid == 0:
            try:
                with pytest.raises(ConflictError), ledger.lease("a"):
                    pass
                with ledger.lease("b"):
                    pass
            except BaseException:  # noqa: BLE001 - a child of a test must end here
                os._exit(1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert [row.name for row in rows(ledger)] == ["a"]
