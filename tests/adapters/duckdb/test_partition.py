"""What was dealt into files is read back without DuckDB, and no more of it than asked for."""

from __future__ import annotations

from types import SimpleNamespace

import pyarrow as pa
import pytest

from inseam.adapters.duckdb.keys import CODE
from inseam.adapters.duckdb.partition import _as_coded
from inseam.ir.window_expression import EVENT


@pytest.mark.parametrize(("since", "expected"), [(None, [0, 1, 2, 3, 4]), (3, [3, 4])])
def test_only_the_events_of_the_span_take_memory(since: int | None, expected: list[int]) -> None:
    batch = pa.record_batch({"customer": range(10), "amount": map(float, range(10)), EVENT: range(10)})
    rows = pa.RecordBatchReader.from_batches(batch.schema, [batch.slice(0, 4), batch.slice(4)])
    plan = SimpleNamespace(view=SimpleNamespace(keys=("customer",)), columns=("amount",))

    schema, found = _as_coded(plan, rows, since, 5)
    table = pa.Table.from_batches(found, schema)

    assert table.column_names == [CODE, "amount", EVENT]
    assert table[EVENT].to_pylist() == table[CODE].to_pylist() == expected
