"""What every `inseam.ports.tables.Tables` must do. Subclass and give a fixture ``tables`` that is empty and fresh."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from inseam.ir.relation import INGESTED_AT
from inseam.kernel.errors import DataError, DefinitionError, NotFoundError
from inseam.kernel.types import DataType, Schema
from inseam.ports.tables import CommitKey, Tables

AT = datetime(2024, 2, 29, 12, 30, 1, 500, tzinfo=UTC)


def stream(**columns: Any) -> pa.RecordBatchReader:
    """Columns as a stream of batches of at most two rows."""
    return pa.table(columns).to_reader(max_chunksize=2)


def rows(tables: Tables, table: str, version: int | None = None) -> list[dict[str, Any]]:
    """A snapshot's rows as an engine reads them: file by file, columns that a file lacks as NULL."""
    snapshot = tables.snapshot(table, version)
    schema = snapshot.schema.to_arrow()
    found: list[dict[str, Any]] = []
    for file in snapshot.files:
        part = pq.ParquetFile(file, filesystem=tables.files).read()
        for field in schema:
            if field.name not in part.column_names:
                part = part.append_column(field, pa.nulls(part.num_rows, field.type))
        found += part.select(schema.names).cast(schema).to_pylist()
    return found


def raised(error: type[Exception], action: Any) -> Exception:
    """The error that ``action`` raises; fails when it raises none."""
    try:
        action()
    except error as found:
        return found
    raise AssertionError(f"{error.__name__} was not raised")


class TablesContract:
    def test_a_stream_comes_back_in_its_order_and_types(self, tables: Tables) -> None:
        columns = {
            "a": [1, None, 3],
            "b": [1.5, 2.5, None],
            "c": ["x", "", None],
            "d": [True, None, False],
            "e": [AT, None, AT],
            "f": [AT.date(), AT.date(), None],
        }
        tables.append("sources/all", stream(**columns))
        assert rows(tables, "sources/all") == pa.table(columns).to_pylist()
        types = tuple(field.type for field in tables.snapshot("sources/all").schema)
        assert types == (
            DataType.INT64,
            DataType.FLOAT64,
            DataType.STRING,
            DataType.BOOL,
            DataType.TIMESTAMP,
            DataType.DATE,
        )

    def test_narrow_types_are_widened_to_ours(self, tables: Tables) -> None:
        narrow = pa.table(
            {
                "i": pa.array([1], pa.int8()),
                "f": pa.array([1.5], pa.float32()),
                "s": pa.array(["x"]).dictionary_encode(),
                "t": pa.array([1_000], pa.timestamp("ms")),
            }
        )
        tables.append("t", narrow.to_reader())
        expected = Schema.of([("i", "int64"), ("f", "float64"), ("s", "string"), ("t", "timestamp")])
        assert tables.snapshot("t").schema == expected
        assert rows(tables, "t") == [{"i": 1, "f": 1.5, "s": "x", "t": datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)}]

    def test_a_snapshot_counts_rows_and_nulls_and_never_changes(self, tables: Tables) -> None:
        first = tables.append("t", stream(a=[1, 2, None]))
        before = tables.snapshot("t", first)
        second = tables.append("t", stream(a=[4, None]))
        assert second > first
        assert tables.snapshot("t", first) == before
        assert (before.rows, before.null_counts, before.bytes > 0) == (3, {"a": 1}, True)
        newest = tables.snapshot("t")
        assert (newest.version, newest.rows, newest.null_counts) == (second, 5, {"a": 2})
        assert [row["a"] for row in rows(tables, "t")] == [1, 2, None, 4, None]

    def test_files_without_rows_ingested_since_are_left_out(self, tables: Tables) -> None:
        def loaded(*instants: int | None) -> pa.RecordBatchReader:
            stamps = pa.array(instants, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
            return pa.table({"a": [1] * len(instants), INGESTED_AT: stamps}).to_reader()

        for instants in ((None, None), (5_000, 7_000), (None, 9_000), (20_000, None)):
            tables.append("t", loaded(*instants))
        version = tables.append("t", stream(a=[2]))
        assert [tables.snapshot("t", since=since).rows for since in (0, 8_999, 10_000, 30_000)] == [7, 5, 3, 1]
        assert tables.snapshot("t", version, since=30_000).schema == tables.snapshot("t").schema
        assert len(tables.snapshot("t", version, since=30_000).files) == 1, (
            "nothing is known of rows without the column"
        )

    def test_new_columns_widen_and_narrower_rows_fit(self, tables: Tables) -> None:
        tables.append("t", stream(a=[1]))
        tables.append("t", stream(a=[2], b=["x"]))
        tables.append("t", stream(a=[3]))
        assert tables.snapshot("t").schema == Schema.of([("a", "int64"), ("b", "string")])
        assert rows(tables, "t") == [{"a": 1, "b": None}, {"a": 2, "b": "x"}, {"a": 3, "b": None}]
        counts = tables.snapshot("t").null_counts
        assert counts["a"] == 0
        assert counts.get("b", 2) == 2

    def test_another_type_is_refused_and_changes_nothing(self, tables: Tables) -> None:
        version = tables.append("t", stream(a=[1]))
        error = raised(DataError, lambda: tables.append("t", stream(a=["x"])))
        assert "'a'" in str(error)
        assert tables.snapshot("t").version == version

    def test_no_rows_make_a_table_of_their_schema(self, tables: Tables) -> None:
        tables.append("t", pa.schema([("a", pa.int64())]).empty_table().to_reader())
        snapshot = tables.snapshot("t")
        assert (snapshot.rows, snapshot.files, snapshot.schema) == (0, (), Schema.of([("a", "int64")]))
        assert snapshot.null_counts == {"a": 0}

    def test_a_stream_that_fails_leaves_nothing(self, tables: Tables) -> None:
        schema = pa.schema([("a", pa.int64())])

        def failing() -> Iterator[pa.RecordBatch]:
            yield pa.record_batch([pa.array([1])], schema=schema)
            raise DataError("the stream", "it broke")

        error = raised(DataError, lambda: tables.append("t", pa.RecordBatchReader.from_batches(schema, failing())))
        assert "it broke" in str(error)
        raised(NotFoundError, lambda: tables.snapshot("t"))

    def test_a_commit_key_is_taken_once(self, tables: Tables) -> None:
        assert tables.committed("t", "load") is None
        first = tables.append("t", stream(a=[1]), key=CommitKey("load", 7))
        assert tables.committed("t", "load") == 7
        assert tables.append("t", stream(a=[1]), key=CommitKey("load", 7)) == first
        assert tables.append("t", stream(a=[1]), key=CommitKey("load", 6)) == first
        tables.append("t", stream(a=[2]), key=CommitKey("load", 8))
        tables.append("t", stream(a=[3]), key=CommitKey("other", 1))
        assert [row["a"] for row in rows(tables, "t")] == [1, 2, 3]
        assert (tables.committed("t", "load"), tables.committed("t", "other")) == (8, 1)

    def test_many_at_once_with_one_key_write_once(self, tables: Tables) -> None:
        def write(number: int) -> int:
            return tables.append("t", stream(a=[number]), key=CommitKey("load", 1))

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(write, range(6)))
        assert tables.snapshot("t").rows == 1

    def test_many_at_once_all_succeed(self, tables: Tables) -> None:
        def write(number: int) -> int:
            return tables.append("t", stream(**{"a": [number], f"b{number % 3}": [number]}))

        with ThreadPoolExecutor(6) as pool:
            versions = list(pool.map(write, range(12)))
        assert len(set(versions)) == 12
        assert sorted(row["a"] for row in rows(tables, "t")) == list(range(12))

    def test_replace_makes_the_whole_content_and_keeps_the_past(self, tables: Tables) -> None:
        first = tables.replace("t", stream(a=[1, 2]))
        tables.replace("t", stream(b=["x"]), metadata={"made_by": "a test"})
        assert rows(tables, "t") == [{"b": "x"}]
        assert rows(tables, "t", first) == [{"a": 1}, {"a": 2}]

    def test_erased_rows_leave_every_snapshot_and_no_other_row(self, tables: Tables) -> None:
        first = tables.append("t", stream(a=[1, 2, 3], b=["x", None, "y"]), key=CommitKey("load", 1))
        second = tables.append("t", stream(a=[2], c=[0.5]), key=CommitKey("load", 2))
        third = tables.replace("t", stream(a=[2, 4]))
        assert tables.erase("t", {"a": [2, 3]}, is_dry_run=True) == 4
        assert [row["a"] for row in rows(tables, "t", first)] == [1, 2, 3]
        assert tables.erase("t", {"a": [2, 3]}) == 4
        assert rows(tables, "t", first) == [{"a": 1, "b": "x"}]
        assert rows(tables, "t", second) == [{"a": 1, "b": "x", "c": None}]
        assert rows(tables, "t", third) == rows(tables, "t") == [{"a": 4}]
        assert [tables.snapshot("t", version).rows for version in (first, second, third)] == [1, 1, 1]
        assert (tables.erase("t", {"a": [2, 3]}), tables.committed("t", "load")) == (0, 2)

    def test_rows_are_erased_by_all_of_the_columns_that_are_named(self, tables: Tables) -> None:
        tables.append("t", stream(a=[1, 1, None, 2], b=["x", "y", "x", None]))
        assert tables.erase("t", {"a": [1], "b": ["x", "z"]}) == 1
        assert tables.erase("t", {"a": [1], "b": ["x"]}) == 0
        assert rows(tables, "t") == [{"a": 1, "b": "y"}, {"a": None, "b": "x"}, {"a": 2, "b": None}]
        raised(NotFoundError, lambda: tables.erase("nowhere", {"a": [1]}))
        raised(DefinitionError, lambda: tables.erase("t", {"no": [1]}))

    def test_a_table_goes_on_after_rows_were_erased(self, tables: Tables) -> None:
        for number in range(4):
            tables.append("t", stream(a=[number, 7]), key=CommitKey("load", number))
        assert tables.erase("t", {"a": [7]}) == 4
        assert tables.erase("t", {"a": [2]}) == 1
        tables.append("t", stream(a=[7]), key=CommitKey("load", 4))
        assert [row["a"] for row in rows(tables, "t")] == [0, 1, 3, 7]
        assert [row["a"] for row in rows(tables, "t", 2)] == [0, 1]

    def test_tables_are_listed_and_dropped(self, tables: Tables) -> None:
        assert tables.list() == ()
        for name in ("sources/b", "sources/a", "c"):
            tables.append(name, stream(a=[1]))
        assert tables.list() == ("c", "sources/a", "sources/b")
        tables.drop("sources/a")
        assert tables.list() == ("c", "sources/b")
        raised(NotFoundError, lambda: tables.drop("sources/a"))
        tables.append("sources/a", stream(z=[1.5]))
        assert tables.snapshot("sources/a").rows == 1

    def test_what_is_not_there_is_said(self, tables: Tables) -> None:
        tables.append("sources/orders", stream(a=[1]))
        error = raised(NotFoundError, lambda: tables.snapshot("sources/order"))
        assert "sources/orders" in str(error)
        raised(NotFoundError, lambda: tables.snapshot("sources/orders", 99))

    def test_names_stay_below_the_root(self, tables: Tables) -> None:
        for name in ("", "../x", "a/../b", "/etc", "a//b", "a b", "_delta_log", ".hidden", "a\\b"):
            raised(DefinitionError, lambda name=name: tables.append(name, stream(a=[1])))
