"""From the stream log into the table: each row once, with its own instant, in order, whatever is killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.adapters.lmdb.stream_log import LmdbStreamLog
from inseam.adapters.sql.ledger import SqlLedger
from inseam.ir.checks import CheckKind, CheckSpec, Severity, SourceSpec
from inseam.ir.records import LoadRecord
from inseam.ir.stream_row import StreamRowCodec
from inseam.kernel.clock import from_datetime, frozen_at
from inseam.kernel.errors import ConflictError
from inseam.kernel.types import Schema
from inseam.ports.stream_log import Push
from inseam.stages.ingest import book
from inseam.stages.ingest.drain import drain, drained

COLUMNS = Schema.of(
    (("at", "timestamp"), ("number", "int64"), ("amount", "float64"), ("day", "date"), ("is_new", "bool"))
)
NOON = 1_700_000_000_000_000
MONDAY = 1_704_067_200_000_000


def source(**changes: Any) -> SourceSpec:
    given: dict[str, Any] = {"name": "s", "timestamp": "at", "schema": COLUMNS}
    return SourceSpec(**(given | changes))


def row(number: int, amount: float | None = 1.5) -> Push:
    payload = StreamRowCodec(COLUMNS).encode((MONDAY + number, number, amount, 19_723, number % 2 == 0))
    return Push(str(number).encode(), payload)


@pytest.fixture
def log(tmp_path: Path) -> LmdbStreamLog:
    return LmdbStreamLog(tmp_path / "stream")


def drain_into(place: Any, log: LmdbStreamLog, spec: SourceSpec | None = None, **options: Any) -> LoadRecord | None:
    return drain(
        spec or source(),
        log,
        tables=place.tables,
        ledger=place.ledger,
        engine=place.engine,
        directory=place.root / "scratch",
        **options,
    )


def test_rows_have_the_instants_of_their_pushes_and_the_order_of_the_log(place: Any, log: LmdbStreamLog) -> None:
    for number in range(5):
        with frozen_at(NOON + number):
            log.append("s", [row(2 * number), row(2 * number + 1, None)])
    load = drain_into(place, log)
    assert load is not None
    assert (load.rows_in, load.rows_accepted, load.rows_quarantined) == (10, 10, 0)
    rows = place.rows()
    assert [r["number"] for r in rows] == list(range(10))
    assert [from_datetime(r["_ingested_at"]) for r in rows] == [NOON + number // 2 for number in range(10)]
    assert [from_datetime(r["at"]) for r in rows] == [MONDAY + number for number in range(10)]
    assert [r["amount"] for r in rows] == [1.5, None] * 5
    assert (rows[0]["day"].isoformat(), rows[0]["is_new"], rows[1]["is_new"]) == ("2024-01-01", True, False)
    assert drain_into(place, log) is None


def test_a_drain_takes_a_part_and_the_next_goes_on(place: Any, log: LmdbStreamLog) -> None:
    log.append("s", [row(number) for number in range(25)])
    sizes = []
    while (load := drain_into(place, log, most=10)) is not None:
        sizes.append(load.rows_in)
        log.trim("s", drained("s", place.ledger))
    assert sizes == [10, 10, 5]
    assert place.column("number") == list(range(25))
    log.append("s", [row(3), row(30)])
    load = drain_into(place, log)
    assert load is not None
    assert (load.rows_in, place.column("number")[-1]) == (1, 30)


def test_loads_of_files_and_drains_alternate(place: Any, log: LmdbStreamLog) -> None:
    spec = source(location=str(place.root / "in"), rename=(("n", "number"),))
    for turn in range(3):
        place.write(f"{turn}.csv", f"at,n,amount,day,is_new\n2024-01-01,{100 + turn},1,2024-01-01,true\n")
        assert place.ingest(spec).rows_accepted == 1
        assert place.ingest(spec) is None
        log.append("s", [row(turn)])
        load = drain_into(place, log, spec)
        assert load is not None
        assert load.rows_accepted == 1
        assert drain_into(place, log, spec) is None
    assert place.column("number") == [100, 0, 101, 1, 102, 2]


def test_rows_are_judged_as_those_of_files(place: Any, log: LmdbStreamLog) -> None:
    checks = (
        CheckSpec("positive", CheckKind.EXPRESSION, Severity.ERROR, expression="amount >= 0"),
        CheckSpec("many", CheckKind.ROW_COUNT, Severity.ERROR, arguments=(1000, None)),
    )
    log.append("s", [row(1), row(2, -1.0), Push(b"x", b"\x81\xa6number\xa1x"), Push(b"y", row(1).payload), row(4)])
    load = drain_into(place, log, source(checks=checks, key=("number",)))
    assert load is not None
    assert (load.rows_in, load.rows_accepted, load.rows_quarantined) == (5, 2, 3)
    assert place.column("number") == [1, 4]
    found = {r["line"]: r["reason"] for r in place.quarantine()}
    assert "amount >= 0 does not hold for amount = -1.0" in found[2]
    assert "Expected `int | null`, got `str`" in found[3]
    assert "an earlier row has" in found[4]
    assert drain_into(place, log) is None


def test_a_source_that_is_being_loaded_is_waited_for_or_left(place: Any, log: LmdbStreamLog) -> None:
    log.append("s", [row(1)])
    with place.ledger.lease(book.application("s")), pytest.raises(ConflictError):
        drain_into(place, log, wait_seconds=0.05)
    assert drain_into(place, log) is not None


SCRIPT = Path(__file__)
ROWS = 30_000


def drain_for_ever(root: Path) -> None:
    """Another process: takes 1,000 rows a load, and trims, until it is killed or all are in."""
    log = LmdbStreamLog(root / "stream")
    tables = DeltaTables(root / "tables")
    ledger = SqlLedger(f"sqlite:///{root}/ledger.db")
    engine = DuckdbEngine(tables, directory=root / "scratch")
    spec = source(checks=(CheckSpec("third", CheckKind.EXPRESSION, Severity.ERROR, expression="number % 3 <> 0"),))
    work = {"tables": tables, "ledger": ledger, "engine": engine, "directory": root / "scratch", "most": 1000}
    while drain(spec, log, **work, wait_seconds=30) is not None:  # type: ignore[arg-type]
        log.trim("s", drained("s", ledger))
        sys.stdout.write("drained\n")
        sys.stdout.flush()


@pytest.mark.slow
def test_a_kill_at_any_instant_loses_no_row_and_doubles_none(place: Any, log: LmdbStreamLog) -> None:
    log.append("s", [row(number) for number in range(ROWS)])
    command = [sys.executable, str(SCRIPT), str(place.root)]
    for kill in range(6):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.013 * kill)
        process.kill()
        process.communicate()
    assert subprocess.run(command, check=True, capture_output=True).returncode == 0
    assert place.column("number") == [number for number in range(ROWS) if number % 3]
    assert sorted(r["line"] - 1 for r in place.quarantine()) == list(range(0, ROWS, 3))
    loads = place.ledger.select(LoadRecord, source="s")
    assert sum(load.rows_in for load in loads) == ROWS
    assert {load.status for load in loads} == {"committed"}
    assert log.read("s", 0, 10) == []


if __name__ == "__main__":
    drain_for_ever(Path(sys.argv[1]))
