"""Files as they come from outside, with every fault that a row can have: for tests of who reads them."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = (
    ("id", "int64"),
    ("customer", "int64"),
    ("at", "timestamp"),
    ("amount", "float64"),
    ("currency", "string"),
    ("note", "string"),
)
_START = datetime(2024, 1, 1, tzinfo=UTC)


def write_dirty_files(folder: Path, rows: int = 240) -> None:
    """Two CSV files, JSON lines, Parquet in four row groups: about ``rows`` in each; keys repeat within and across."""
    folder.mkdir(parents=True)
    (folder / "a.csv").write_bytes(_csv(0, rows, "id,customer,at,amount,currency,note"))
    (folder / "b.csv").write_bytes(_csv(rows // 2, rows, "id,customer,at,amount,currency,odd"))
    lines = [json.dumps(_record(number)) for number in range(rows, 2 * rows)]
    lines[3::40] = ["{not json" for _ in lines[3::40]]
    lines[5::50] = ["[1]" for _ in lines[5::50]]
    (folder / "c.jsonl").write_text("\n".join(lines) + "\n")
    records = [_record(number) | {"at": _at(number)} for number in range(rows, 3 * rows, 2)]
    pq.write_table(pa.Table.from_pylist(records), folder / "d.parquet", row_group_size=-(-rows // 4))


def _record(number: int) -> dict[str, object]:
    """One in some is without a customer, costs less than nothing, or is in no currency."""
    return {
        "id": number - number % 7,
        "customer": None if number % 11 == 0 else number % 13,
        "at": _at(number).isoformat(),
        "amount": number / 4 - 2.0 * (number % 17 == 0) * number,
        "currency": "XXX" if number % 19 == 0 else "EUR",
        "note": 'said "yes",\nand\r\nwent' if number % 5 == 0 else None,
    }


def _at(number: int) -> datetime:
    return _START + timedelta(minutes=number)


def _csv(first: int, rows: int, header: str) -> bytes:
    """Now and then a cell that is no number or no instant, a record of too few cells, a byte that is no UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header.split(","))
    for number in range(first, first + rows):
        cells = list(_record(number).values())
        if number % 23 == 0:
            cells[3] = "a lot"
        if number % 29 == 0:
            cells[2] = "yesterday"
        writer.writerow(cells[: 4 if number % 31 == 0 else 6])
    return text.getvalue().encode() + b"900,1,2024-03-01,1,EUR,caf\xe9\r\n"
