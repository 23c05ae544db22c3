"""Statistics of a stream, a column at a time: the baseline against which drift is later measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from inseam.adapters.duckdb.numbers_file import NumbersFile
from inseam.adapters.duckdb.rows import plain_stream
from inseam.adapters.duckdb.session import DUCKDB_SHARE, Limits, Session
from inseam.adapters.duckdb.spill import read_stream
from inseam.kernel.clock import format_instant
from inseam.kernel.types import DataType, Schema, arrow_type

TOP = 50


def describe(limits: Limits, rows: pa.RecordBatchReader) -> Mapping[str, Mapping[str, Any]]:
    """``count`` and ``nulls`` of each column, then what its type allows; see `inseam.ports.engine.Engine`.

    NaN counts as NULL; infinite numbers count, and take no part in the rest. Instants give ``min`` and ``max`` as
    text. All of it is exact. Columns lie in files of their own and are looked at one after the other, so that memory
    doesn't grow with the rows; equal rows in equal order give equal bits, however they were cut into batches.
    """
    with Session(limits, share=DUCKDB_SHARE) as session:
        plain = plain_stream(rows)
        columns: dict[str, _Column] = {
            field.name: _column(session, session.scratch / str(number), field.type)
            for number, field in enumerate(Schema.from_arrow(plain.schema))
        }
        count, nulls = 0, dict.fromkeys(columns, 0)
        for batch in plain:
            count += batch.num_rows
            for (name, column), cells in zip(columns.items(), batch.columns, strict=True):
                is_float = pa.types.is_floating(cells.type)
                held = (cells.filter(pc.invert(pc.is_nan(cells))) if is_float else cells).drop_null()
                nulls[name] += batch.num_rows - len(held)
                column.take(held)
        return {name: {"count": count, "nulls": nulls[name]} | column.told(name) for name, column in columns.items()}


class _Column(Protocol):
    def take(self, cells: pa.Array) -> None:
        """The next cells, none of them NULL."""

    def told(self, name: str) -> dict[str, Any]:
        """What is known of all of them."""


def _column(session: Session, path: Path, type_: DataType) -> _Column:
    if type_ in (DataType.INT64, DataType.FLOAT64):
        return _Numbers(path, type_)
    return _Instants() if type_ is DataType.TIMESTAMP else _Categories(session, path, type_)


class _Numbers:
    def __init__(self, path: Path, type_: DataType) -> None:
        self._file = NumbersFile(path, "int64" if type_ is DataType.INT64 else "float64")

    def take(self, cells: pa.Array) -> None:
        self._file.append(cells.to_numpy())

    def told(self, name: str) -> dict[str, Any]:
        return self._file.statistics()


class _Instants:
    def __init__(self) -> None:
        self._ends: list[int] = []

    def take(self, cells: pa.Array) -> None:
        if len(cells):
            found = pc.min_max(cells.cast(pa.int64())).as_py()
            self._ends = [min([*self._ends, found["min"]]), max([*self._ends, found["max"]])]

    def told(self, name: str) -> dict[str, Any]:
        low, high = map(format_instant, self._ends) if self._ends else (None, None)
        return {"min": low, "max": high}


class _Categories:
    """Counted by DuckDB, which spills when the different ones are many."""

    def __init__(self, session: Session, path: Path, type_: DataType) -> None:
        self._session, self._path = session, path
        self._schema = pa.schema([("value", arrow_type(type_))])
        self._writer = pa.ipc.new_stream(str(path), self._schema)

    def take(self, cells: pa.Array) -> None:
        self._writer.write_batch(pa.record_batch([cells], schema=self._schema))

    def told(self, name: str) -> dict[str, Any]:
        self._writer.close()
        session = self._session
        session.register("input_rows", read_stream(self._path))
        session.run(
            "CREATE OR REPLACE TEMP TABLE found AS SELECT value, count(*) AS n FROM input_rows GROUP BY value", name
        )
        (different,) = session.run("SELECT count(*) AS n FROM found", name).to_pylist()
        top = session.run(f"SELECT value, n FROM found ORDER BY n DESC, value LIMIT {TOP}", name).to_pylist()
        return {"distinct": different["n"], "top": [[_plain(row["value"]), row["n"]] for row in top]}


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | str) else value.isoformat()
