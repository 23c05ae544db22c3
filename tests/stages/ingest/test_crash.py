"""Killed at any instant, or run twice at once: no row is lost and none is doubled."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.adapters.sql.ledger import SqlLedger
from inseam.ir.checks import CheckKind, CheckSpec, Severity, SourceSpec
from inseam.ir.records import LoadedFileRecord, LoadRecord
from inseam.kernel.errors import ConflictError
from inseam.kernel.types import Schema
from inseam.stages.ingest import book
from inseam.stages.ingest.load import ingest

SCRIPT = Path(__file__)
ROWS = 20_000


def write_file(root: Path, day: int) -> None:
    lines = ["at,number,amount"]
    for row in range(ROWS):
        number = day * ROWS + row
        amount = "x" if number % 20 == 0 else "-1" if number % 20 == 10 else "1.5"
        lines.append(f"2024-01-{day + 1:02},{number},{amount}")
    path = root / "in" / f"{day:02}.csv"
    path.with_suffix(".part").write_text("\n".join(lines))
    path.with_suffix(".part").rename(path)


def spec_of(root: Path) -> SourceSpec:
    """Every tenth row goes to quarantine: half of those can't be read, half break the check."""
    return SourceSpec(
        "orders",
        "at",
        location=str(root / "in"),
        schema=Schema.of([("at", "timestamp"), ("number", "int64"), ("amount", "float64")]),
        checks=(CheckSpec("positive", CheckKind.EXPRESSION, Severity.ERROR, expression="amount >= 0"),),
    )


def start(root: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, str(SCRIPT), str(root)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def check(place: Any, days: int) -> None:
    """The tables hold each row of each file once, on its side, and the ledger agrees."""
    numbers = place.column("number", "orders")
    bad = place.quarantine("orders")
    assert sorted(numbers) == [number for number in range(days * ROWS) if number % 10]
    assert sorted((row["file"], row["line"]) for row in bad) == [
        (str(place.root / "in" / f"{day:02}.csv"), row + 2) for day in range(days) for row in range(0, ROWS, 10)
    ]
    loads = place.ledger.select(LoadRecord)
    assert {load.status for load in loads} == {"committed"}
    assert sum(load.rows_in for load in loads) == days * ROWS
    assert sum(load.rows_accepted for load in loads) == len(numbers)
    assert sum(load.rows_quarantined for load in loads) == len(bad)
    assert len(place.ledger.select(LoadedFileRecord)) == days
    assert {row["load"] for row in bad} <= {load.number for load in loads}
    assert {sequence >> 40 for sequence in place.column("_seq", "orders")} <= {load.number for load in loads}


@pytest.mark.slow
def test_killed_at_random_instants(place: Any) -> None:
    chance = random.Random(7)
    days = killed = 0
    longest = 0.6
    while killed < 15:
        if days < 10:
            write_file(place.root, days)
            days += 1
        process = start(place.root)
        began = time.monotonic()
        time.sleep(chance.uniform(0, longest))
        if process.poll() is None:
            process.kill()
            killed += 1
        else:
            longest = max(0.1, (time.monotonic() - began) * 0.8)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    process = start(place.root)
    assert process.wait() == 0
    check(place, days)


class Died(BaseException):
    """Stands for a process's end: nothing after it runs, not even cleaning up."""


@pytest.mark.parametrize("step", range(8))
def test_killed_between_any_two_steps(place: Any, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Before and after each of the four writes: the begun record, the two commits, the committed record."""
    write_file(place.root, 0)
    count = 0

    def dying(write: Any) -> Any:
        def wrapped(*given: Any, **options: Any) -> Any:
            nonlocal count
            for is_after in (False, True):
                if count == step:
                    raise Died
                count += 1
                if not is_after:
                    result = write(*given, **options)
            return result

        return wrapped

    for owner, name in ((place.ledger, "insert"), (place.ledger, "put"), (place.tables, "append")):
        monkeypatch.setattr(owner, name, dying(getattr(owner, name)), raising=True)
    resolve = book.resolve
    calls = iter([resolve])
    monkeypatch.setattr(book, "resolve", lambda *given: next(calls, lambda *_: None)(*given))
    with pytest.raises(Died):
        place.ingest(spec_of(place.root))
    monkeypatch.undo()
    place.ingest(spec_of(place.root))
    check(place, 1)


def test_two_at_once(place: Any) -> None:
    for day in range(3):
        write_file(place.root, day)
    processes = [start(place.root) for _ in range(2)]
    outputs = [process.communicate()[0] for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode in (0, 5)
        assert output.startswith(("loaded", "nothing", "conflict"))
    assert sum(output.startswith("loaded") for output in outputs) == 1
    check(place, 3)


def main(root: Path) -> int:
    """One ingestion in a process of its own, to be killed."""
    tables = DeltaTables(root / "tables")
    ledger = SqlLedger(f"sqlite:///{root}/ledger.db")
    engine = DuckdbEngine(tables, directory=root / "scratch")
    print("ready", flush=True)  # noqa: T201
    try:
        load = ingest(spec_of(root), tables=tables, ledger=ledger, engine=engine, directory=root / "scratch")
    except ConflictError as error:
        print(f"conflict {error}", flush=True)  # noqa: T201
        return error.exit_code
    print("nothing" if load is None else f"loaded {load.rows_in}", flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
