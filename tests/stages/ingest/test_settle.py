"""Rows become known at an instant that nobody has looked past already: loads are stamped late and waited for."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from inseam.ir.records import LoadRecord
from inseam.kernel.clock import from_datetime, now
from inseam.stages.ingest import book


class Paused:
    """Tables whose append to a source's table waits for leave."""

    def __init__(self, tables: Any) -> None:
        self._tables = tables
        self.is_reached, self.may_go = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tables, name)

    def append(self, table: str, *given: Any, **options: Any) -> int:
        if table.startswith("sources/"):
            self.is_reached.set()
            assert self.may_go.wait(60)
        return int(self._tables.append(table, *given, **options))


class Watched:
    """A ledger that notes when a load becomes known to others."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self.begun_at = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def insert(self, *records: Any) -> None:
        self.begun_at = now()
        self._ledger.insert(*records)


def test_rows_are_stamped_when_all_can_see_that_their_load_has_begun(place: Any) -> None:
    place.ledger = Watched(place.ledger)
    place.write("a.csv", "at,number\n2024-01-01,1\n")
    load = place.ingest(place.spec(columns="at:timestamp number:int64"))
    assert load.ingested_at >= place.ledger.begun_at
    assert [from_datetime(row["_ingested_at"]) for row in place.rows()] == [load.ingested_at]


def test_who_computes_values_of_an_instant_waits_for_the_rows_stamped_before_it(place: Any) -> None:
    tables = place.tables
    place.tables = paused = Paused(tables)
    place.write("a.csv", "at,number\n2024-01-01,1\n")
    loading = threading.Thread(target=place.ingest, args=(place.spec(columns="at:timestamp number:int64"),))
    loading.start()
    assert paused.is_reached.wait(60)

    instant = now()
    found: list[int] = []

    def compute() -> None:
        book.settle("s", instant, tables, place.ledger)
        found.append(tables.snapshot("sources/s").rows)

    (begun,) = place.ledger.select(LoadRecord, status="begun")
    assert begun.ingested_at <= instant
    book.settle("s", begun.ingested_at - 1, tables, place.ledger)  # nothing of that time is on its way
    computing = threading.Thread(target=compute)
    computing.start()
    computing.join(0.3)
    assert found == []
    paused.may_go.set()
    computing.join()
    loading.join()
    assert found == [1]


def test_a_load_whose_process_died_is_brought_to_its_end(place: Any) -> None:
    place.write("a.csv", "at,number\n2024-01-01,1\n")
    done = place.ingest(place.spec(columns="at:timestamp number:int64"))
    begun = book.begun(
        replace(done, number=done.number + 1, ingested_at=now()), [], place.tables.snapshot("sources/s").schema, None
    )
    place.ledger.insert(begun)
    book.settle("s", now(), place.tables, place.ledger)
    assert place.ledger.select(LoadRecord) == [done]
