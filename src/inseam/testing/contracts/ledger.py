"""What every ledger must do. Subclass `LedgerContract` and give it an ``opener`` fixture for an empty ledger."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, cast

import pytest

from inseam.ir.records import (
    AliasRecord,
    LoadedFileRecord,
    LoadRecord,
    ModelVersionRecord,
    RunRecord,
    SourceSchemaRecord,
)
from inseam.kernel.errors import ConflictError, DataError
from inseam.ports.ledger import Ledger


@dataclass(frozen=True)
class Opener:
    """How to open the ledger under test, from this process or from another: ``factory`` is ``module:name``."""

    factory: str
    url: str

    def open(self) -> Ledger:
        module, _, name = self.factory.partition(":")
        return cast(Ledger, getattr(import_module(module), name)(self.url))

    def process(self, *command: str) -> subprocess.Popen[str]:
        """Another process on the same ledger: see `inseam.testing.contracts.ledger_process`."""
        program = [sys.executable, "-m", "inseam.testing.contracts.ledger_process", self.factory, self.url, *command]
        return subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def load(number: int, source: str = "orders", **changes: Any) -> LoadRecord:
    record = LoadRecord(source, number, "begun", False, 1, 10, 9, 1, None, {"late": [1, None, "ü"]})
    return replace(record, **changes)


def alias(version: int, model: str = "lapse") -> AliasRecord:
    return AliasRecord(model, "champion", version, 1_700_000_000_000_000)


class LedgerContract:
    """Needs a fixture ``opener`` -> `Opener` of an empty ledger."""

    @pytest.fixture
    def ledger(self, opener: Opener) -> Ledger:
        return opener.open()

    def test_a_record_is_read_back_as_it_was_written(self, ledger: Ledger, opener: Opener) -> None:
        long = 2**62 + 1
        records: list[Any] = [
            RunRecord("r1", "train", "model:lapse", "f" * 32, "failed", -5, long, {"a": {"b": [1.5, True]}}, {}, ""),
            ModelVersionRecord("m", 1, "d", "p", "x", "f", "t", "e", {"auc": 0.1 + 0.2}, {}, {"commit": None}, 3),
            SourceSchemaRecord("orders", {"amount": "float64"}),
            load(1, is_history=True, findings={"'; drop table x; --": '"\n'}),
        ]
        ledger.insert(*records)
        for opened in (ledger, opener.open()):
            for record in records:
                found = opened.get(type(record), *(getattr(record, name) for name in record.KEY))
                assert found == record
                assert repr(found) == repr(record)

    def test_what_is_not_there_is_none(self, ledger: Ledger) -> None:
        assert ledger.get(RunRecord, "nobody") is None
        assert ledger.select(RunRecord) == []

    def test_insert_refuses_a_key_that_is_there_and_writes_nothing(self, ledger: Ledger) -> None:
        ledger.insert(load(1))
        with pytest.raises(ConflictError, match=r"LoadRecord.*number=1"):
            ledger.insert(alias(1), load(2), load(1, status="committed"))
        assert ledger.select(LoadRecord) == [load(1)]
        assert ledger.select(AliasRecord) == []

    def test_insert_refuses_the_same_key_twice(self, ledger: Ledger) -> None:
        with pytest.raises(ConflictError):
            ledger.insert(load(1), load(1))
        assert ledger.select(LoadRecord) == []

    def test_put_replaces_and_keeps_the_first_order(self, ledger: Ledger) -> None:
        ledger.put(load(3), load(1), load(2))
        ledger.put(load(1, status="committed", version=7), load(0))
        assert [(r.number, r.status) for r in ledger.select(LoadRecord)] == [
            (3, "begun"),
            (1, "committed"),
            (2, "begun"),
            (0, "begun"),
        ]

    def test_put_of_many_kinds_is_one_act(self, ledger: Ledger) -> None:
        with pytest.raises(DataError):
            ledger.put(alias(1), load(1), load(2, findings={"mean": float("nan")}))
        assert ledger.select(AliasRecord) == []
        assert ledger.select(LoadRecord) == []

    def test_a_number_beyond_64_bits_is_refused(self, ledger: Ledger) -> None:
        with pytest.raises(DataError):
            ledger.put(alias(2**63))
        assert ledger.select(AliasRecord) == []

    def test_select_by_fields(self, ledger: Ledger) -> None:
        ledger.insert(*(load(n, source, version=n % 2 or None) for n in range(4) for source in ("a", "b")))
        assert [r.number for r in ledger.select(LoadRecord, source="b")] == [0, 1, 2, 3]
        assert [r.number for r in ledger.select(LoadRecord, source="a", version=None)] == [0, 2]
        assert ledger.select(LoadRecord, is_history=True) == []

    def test_select_by_something_else_is_a_mistake(self, ledger: Ledger) -> None:
        with pytest.raises(TypeError, match="nonsense"):
            ledger.select(LoadRecord, nonsense=1)
        with pytest.raises(TypeError, match="findings"):
            ledger.select(LoadRecord, findings={})
        with pytest.raises(TypeError, match="number"):
            ledger.get(LoadRecord, "orders")

    def test_delete(self, ledger: Ledger) -> None:
        ledger.insert(load(1), load(2), alias(1))
        ledger.delete(load(1, status="committed"), load(9), alias(1))
        assert ledger.select(LoadRecord) == [load(2)]
        assert ledger.select(AliasRecord) == []

    def test_swap_of_a_free_key(self, ledger: Ledger) -> None:
        assert ledger.swap(None, alias(1), load(1))
        assert not ledger.swap(None, alias(2), load(2))
        assert ledger.select(AliasRecord) == [alias(1)]
        assert ledger.select(LoadRecord) == [load(1)]

    def test_swap_of_what_was_expected_and_of_what_was_not(self, ledger: Ledger) -> None:
        ledger.insert(alias(1))
        assert not ledger.swap(alias(2), alias(3), load(1))
        assert not ledger.swap(alias(1, "other"), alias(3, "other"))
        assert ledger.swap(alias(1), alias(2), load(1))
        assert ledger.select(AliasRecord) == [alias(2)]
        assert ledger.select(LoadRecord) == [load(1)]

    def test_swap_compares_mappings_as_they_are_stored(self, ledger: Ledger) -> None:
        mine = load(1, findings={"pair": (1, 2)})
        ledger.insert(mine)
        assert not ledger.swap(load(1), load(1, status="committed"))
        assert ledger.swap(mine, load(1, status="committed"))

    def test_one_of_many_swaps_wins_in_threads(self, ledger: Ledger) -> None:
        ledger.insert(alias(0))
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda version: ledger.swap(alias(0), alias(version), load(version)), range(1, 25)))
        assert sum(won) == 1
        winner = won.index(True) + 1
        assert ledger.select(AliasRecord) == [alias(winner)]
        assert ledger.select(LoadRecord) == [load(winner)]

    def test_processes_that_count_together_lose_nothing(self, opener: Opener) -> None:
        opener.open().insert(alias(0))
        processes = [opener.process("count", "25") for _ in range(3)]
        assert [process.wait() for process in processes] == [0, 0, 0]
        assert opener.open().select(AliasRecord) == [alias(75)]

    def test_processes_that_open_an_empty_ledger_at_once(self, opener: Opener) -> None:
        processes = [opener.process("put", str(n)) for n in range(4)]
        assert [process.wait() for process in processes] == [0, 0, 0, 0]
        assert sorted(r.version for r in opener.open().select(AliasRecord)) == [0, 1, 2, 3]

    @pytest.mark.parametrize("acknowledged", [1, 7, 23])
    def test_a_kill_loses_nothing_acknowledged_and_leaves_nothing_half_done(
        self, opener: Opener, acknowledged: int
    ) -> None:
        writer = opener.process("batches")
        assert writer.stdout is not None
        for _ in range(acknowledged):
            last = int(writer.stdout.readline())
        writer.kill()
        last = max([last, *(int(line) for line in writer.stdout)])
        writer.wait()
        files: dict[int, int] = {}
        ledger = opener.open()
        for file in ledger.select(LoadedFileRecord):
            files[file.number] = files.get(file.number, 0) + 1
        loads = [r.number for r in ledger.select(LoadRecord)]
        assert loads == list(range(len(loads)))
        assert len(loads) > last
        assert files == dict.fromkeys(loads, 20)

    def test_a_lease_has_one_holder(self, opener: Opener, ledger: Ledger) -> None:
        with ledger.lease("a"), opener.open().lease("b"):
            with pytest.raises(ConflictError, match=r"held by process \d+ on .* since \d{4}-"), ledger.lease("a"):
                pass
            with pytest.raises(ConflictError), opener.open().lease("a"):
                pass
        with ledger.lease("a"):
            pass

    def test_a_lease_is_freed_by_an_error(self, ledger: Ledger) -> None:
        with pytest.raises(ZeroDivisionError), ledger.lease("a"):
            raise ZeroDivisionError
        with ledger.lease("a"):
            pass

    def test_a_lease_can_be_waited_for(self, ledger: Ledger) -> None:
        held, free = threading.Event(), threading.Event()

        def hold() -> None:
            with ledger.lease("a"):
                held.set()
                free.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        with pytest.raises(ConflictError), ledger.lease("a", wait_seconds=0.1):
            pass
        threading.Timer(0.2, free.set).start()
        with ledger.lease("a", wait_seconds=60):
            thread.join()

    def test_leases_exclude_each_other(self, ledger: Ledger) -> None:
        inside: list[int] = []
        most: list[int] = []

        def work(number: int) -> None:
            with ledger.lease("a", wait_seconds=120):
                inside.append(number)
                most.append(len(inside))
                inside.remove(number)

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(work, range(18)))
        assert most == [1] * 18

    def test_a_dead_holder_loses_its_lease_at_once(self, opener: Opener, ledger: Ledger) -> None:
        holder = opener.process("hold", "a")
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ConflictError, match=f"process {holder.pid} "), ledger.lease("a"):
            pass
        holder.kill()  # and not waited for: its remains are no holder
        with ledger.lease("a", wait_seconds=20):
            pass
        holder.wait()
