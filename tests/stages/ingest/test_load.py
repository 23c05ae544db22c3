"""A load: all rows accounted for, once, with their system columns; the schema held; the watermark kept."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from inseam.ir.checks import CheckKind, CheckSpec, Severity
from inseam.ir.records import LoadedFileRecord, LoadRecord, SourceSchemaRecord
from inseam.kernel.clock import from_datetime, frozen_at
from inseam.kernel.errors import ConflictError, DataError, DefinitionError, NotFoundError

NOW = from_datetime(datetime(2024, 6, 1, tzinfo=UTC))
COLUMNS = "at:timestamp amount:float64 item:string"


def test_rows_files_and_system_columns(place: Any) -> None:
    place.write("b.csv", "at,amount,item\n2024-01-02,2,y\n2024-01-03,x,z\n")
    place.write("a.csv", "at,amount,item\n2024-01-01 10:00:00,1.5,x\n")
    with frozen_at(NOW):
        load = place.load(columns=COLUMNS)
    assert (load.number, load.rows_in, load.rows_accepted, load.rows_quarantined) == (1, 3, 2, 1)
    first, second = place.rows()
    assert first == {
        "at": datetime(2024, 1, 1, 10, tzinfo=UTC),
        "amount": 1.5,
        "item": "x",
        "_ingested_at": datetime(2024, 6, 1, tzinfo=UTC),
        "_seq": 1 << 40,
    }
    assert (second["item"], second["_seq"]) == ("y", (1 << 40) + 1)
    (bad,) = place.quarantine()
    assert bad == {
        "load": 1,
        "file": str(place.root / "in" / "b.csv"),
        "line": 3,
        "reason": "amount: 'x' is not float64",
        "check": None,
        "raw": '{"at":"2024-01-03","amount":"x","item":"z"}',
        "quarantined_at": datetime(2024, 6, 1, tzinfo=UTC),
    }
    files = {(file.path.rsplit("/", 1)[1], file.rows) for file in place.ledger.select(LoadedFileRecord)}
    assert files == {("a.csv", 1), ("b.csv", 2)}
    assert not (place.root / "scratch" / "ingest" / "s").exists()


def test_history_is_known_at_its_event_times(place: Any) -> None:
    place.write("a.csv", "at\n2024-01-01\n")
    load = place.ingest(place.spec(), is_history=True)
    assert load.is_history
    assert place.column("_ingested_at") == [None]


def test_the_same_content_adds_nothing(place: Any) -> None:
    place.write("a.csv", "at,amount\n2024-01-01,1\n")
    place.load()
    assert place.ingest() is None
    place.write("copy.csv", "at,amount\n2024-01-01,1\n")
    assert place.ingest() is None
    place.write("more.csv", "at,amount\n2024-01-02,2\n")
    load = place.load()
    assert (load.number, load.rows_in) == (2, 1)
    assert place.column("_seq") == [1 << 40, 2 << 40]


def test_an_inferred_schema_is_held(place: Any) -> None:
    place.write("1.csv", "at,amount,code,flag\n2024-01-01,1,007,true\n")
    place.write("2.csv", "at,amount,code,flag\n2024-01-02,2.5,8,false\n")
    place.load()
    held = place.ledger.get(SourceSchemaRecord, "s")
    assert held.columns == {"at": "timestamp", "amount": "float64", "code": "string", "flag": "bool"}
    place.write("3.csv", "at,amount,code,flag\n2024-01-03,many,x,true\n")
    load = place.load()
    assert (load.rows_accepted, load.rows_quarantined) == (0, 1)
    assert "amount: 'many' is not float64" in place.quarantine()[0]["reason"]


def test_columns_that_come_and_stay_away_are_found(place: Any) -> None:
    place.write("1.csv", "at,amount\n2024-01-01,1\n")
    place.load()
    place.write("2.csv", "at,new\n2024-01-02,5\n")
    load = place.load()
    assert load.findings["columns.extra"]["broken"] == 1
    assert load.findings["columns.extra"]["examples"][0].endswith("2.csv: new")
    assert load.findings["columns.missing"]["examples"][0].endswith("2.csv: amount")
    assert place.column("amount") == [1, None]


def test_a_file_without_the_timestamp_or_a_key_is_refused(place: Any) -> None:
    place.write("1.csv", "at,k\n2024-01-01,1\n")
    place.load(key=("k",))
    place.write("2.csv", "att,k\n2024-01-01,2\n")
    with pytest.raises(DataError, match=r"did you mean 'att'\? then rename=\{\"att\": \"at\"\}"):
        place.ingest(place.spec(key=("k",)))
    place.write("2.csv", "at\n2024-01-01\n")
    with pytest.raises(DataError, match="no column 'k'"):
        place.ingest(place.spec(key=("k",)))
    assert len(place.rows()) == 1
    assert [load.status for load in place.ledger.select(LoadRecord)] == ["committed"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("2.csv", "at,customer,Country,n\n2024-01-02,2,DE,1\n"),
        ("2.jsonl", '{"at":"2024-01-02","n":1,"Country":"DE"}\n{"at":"2024-01-02","customer":2,"n":1}\n'),
    ],
)
def test_input_without_a_column_that_rows_cannot_do_without_is_refused(place: Any, name: str, content: str) -> None:
    """An entity's key and what is never NULL: all of them are named, each beside the unknown column most like it."""
    spec = {
        "columns": "at:timestamp customer_id:int64 country:string n:int64",
        "entity_keys": ("customer_id", "no_column_of_this_source"),
        "checks": (CheckSpec("known", CheckKind.NOT_NULL, Severity.ERROR, columns=("country",)),),
    }
    place.write("1.csv", "at,customer_id,country,n\n2024-01-01,,DE,1\n")
    assert place.load(**spec).rows_accepted == 1
    place.write(name, content)

    with pytest.raises(DataError) as raised:
        place.ingest(place.spec(**spec))

    first, second = raised.value.problems
    assert "no column 'customer_id', which is an entity's key" in first.found
    assert 'rename={"customer": "customer_id"}' in first.mend
    assert "no column 'country', which is not NULL by check known" in second.found
    assert 'rename={"Country": "country"}' in second.mend
    assert len(place.rows()) == 1


def test_any_other_column_that_is_missing_is_found_beside_the_one_most_like_it(place: Any) -> None:
    place.write("1.jsonl", '{"at":"2024-01-01","amout":1}\n{"at":"2024-01-01"}\n')
    load = place.load(columns=COLUMNS)
    assert [told.rsplit(": ", 1)[1] for told in load.findings["columns.missing"]["examples"]] == [
        "amount, did you mean 'amout'?",
        "item",
    ]


def test_a_changed_type_is_refused_and_a_new_column_widens(place: Any) -> None:
    place.write("1.csv", "at,amount\n2024-01-01,1\n")
    place.load(columns="at:timestamp amount:int64")
    place.write("2.csv", "at,amount,b\n2024-01-01,2,x\n")
    with pytest.raises(DefinitionError, match="held to since its first load"):
        place.ingest(place.spec(columns="at:timestamp amount:string"))
    place.load(columns="at:timestamp amount:int64 b:string")
    assert place.column("b") == [None, "x"]
    assert "b" in place.ledger.get(SourceSchemaRecord, "s").columns


def test_an_empty_timestamp_goes_to_quarantine(place: Any) -> None:
    place.write("a.csv", "at,item\n,x\n2024-01-01,y\n,\n")
    place.load()
    assert [row["line"] for row in place.quarantine()] == [2, 4]
    assert "at: it is empty, and it is the source's timestamp" in place.quarantine()[0]["reason"]


@pytest.mark.parametrize("content", ["", "at,item\n", "\n\n"])
def test_an_empty_file_is_recorded(place: Any, content: str) -> None:
    place.write("a.csv", content)
    load = place.load(columns="at:timestamp item:string")
    assert (load.rows_in, load.rows_accepted) == (0, 0)
    assert [file.rows for file in place.ledger.select(LoadedFileRecord)] == [0]
    assert place.ingest(place.spec(columns="at:timestamp item:string")) is None


@pytest.mark.parametrize("content", ["", "at,item\n"])
def test_no_schema_is_inferred_from_no_rows(place: Any, content: str) -> None:
    place.write("a.csv", content)
    with pytest.raises(DataError, match="declare the source's schema"):
        place.ingest()
    assert place.ledger.get(SourceSchemaRecord, "s") is None


@pytest.mark.parametrize(("header", "told"), [("at,_seq", "one of every table"), ("at,ID,id", "differ in case only")])
def test_columns_that_a_table_cannot_have_are_refused(place: Any, header: str, told: str) -> None:
    place.write("a.csv", f"{header}\n2024-01-01{',1' * header.count(',')}\n")

    with pytest.raises(DataError, match=told) as raised:
        place.ingest()

    assert "rename=" in raised.value.problems[0].mend
    assert not place.tables.list()


def test_the_watermark_never_goes_back(place: Any) -> None:
    def watermark() -> int:
        return place.ledger.get(SourceSchemaRecord, "s").watermark

    place.write("1.csv", "at\n2024-03-01\n2024-01-01\n")
    place.load()
    assert watermark() == from_datetime(datetime(2024, 3, 1, tzinfo=UTC))
    place.write("2.csv", "at\n2024-02-01\n")
    place.load()
    assert watermark() == from_datetime(datetime(2024, 3, 1, tzinfo=UTC))
    assert place.ingest(watermark=NOW) is None
    assert watermark() == NOW
    assert place.ingest(watermark=5) is None
    assert watermark() == NOW


def test_renamed_columns(place: Any) -> None:
    place.write("a.csv", "When,Amount\n2024-01-01,1\n")
    place.load(rename=(("When", "at"), ("Amount", "amount")))
    assert place.column("amount") == [1]


def test_a_file_that_grows_while_it_is_read_is_refused(place: Any) -> None:
    path = place.write("a.csv", "at,n\n2024-01-01,1\n")

    def grow(what: str, done: int, total: int | None = None) -> None:
        if what == "examine s":
            path.write_text("at,n\n2024-01-01,1\n2024-01-02,2\n")

    with pytest.raises(DataError, match="changed while it was read"):
        place.ingest(place.spec(columns="at:timestamp n:int64"), progress=grow)
    assert place.tables.list() == ()
    assert place.load(columns="at:timestamp n:int64").rows_in == 2


def test_locations(place: Any) -> None:
    place.write("a.csv", "at\n2024-01-01\n")
    place.write("b.tsv", "at\n2024-01-02\n")
    place.write("notes.md", "nothing")
    (place.root / "in" / "deep").mkdir()
    (place.root / "in" / "deep" / "c.csv").write_text("at\n2024-01-03\n")
    pattern = str(place.root / "in" / "**" / "*.csv")
    assert place.load(name="one", location=str(place.root / "in" / "a.csv")).rows_in == 1
    assert place.load(name="glob", location=pattern).rows_in == 2
    assert place.load(name="all", location=str(place.root / "in")).rows_in == 3
    with pytest.raises(NotFoundError, match="no file at"):
        place.ingest(place.spec(name="none", location=str(place.root / "nowhere" / "*.csv")))


def test_another_process_at_once_is_refused(place: Any) -> None:
    place.write("a.csv", "at\n2024-01-01\n")
    with place.ledger.lease("ingest:s"), pytest.raises(ConflictError):
        place.ingest()
    assert place.load().rows_in == 1


def test_an_interrupt_leaves_nothing_behind(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write("a.csv", "at,n\n2024-01-01,1\nx,2\n")
    append = place.tables.append

    def interrupted(table: str, rows: pa.RecordBatchReader, **options: Any) -> int:
        if table.startswith("sources/"):
            raise KeyboardInterrupt
        return append(table, rows, **options)

    monkeypatch.setattr(place.tables, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        place.ingest(place.spec(columns="at:timestamp n:int64"))
    assert place.ledger.select(LoadRecord) == []
    assert place.quarantine() == []
    monkeypatch.undo()
    load = place.load(columns="at:timestamp n:int64")
    assert load.number == 2
    assert {row["load"] for row in place.quarantine()} == {2}


def test_progress_ends_at_the_whole(place: Any) -> None:
    path = place.write("a.csv", "at,n\n" + "2024-01-01,1\n" * 1000)
    seen: list[tuple[str, int, int | None]] = []
    place.ingest(place.spec(columns="at:timestamp n:int64"), progress=lambda *call: seen.append(call))
    size = path.stat().st_size
    assert seen[-1] == ("ingest s", size, size)


def test_a_check_of_the_load_refuses_it_whole(place: Any) -> None:
    place.write("a.csv", "at,n\n2024-01-01,1\nx,2\n")
    checks = (CheckSpec("enough", CheckKind.ROW_COUNT, Severity.ERROR, arguments=(5, None)),)
    with pytest.raises(Exception, match="1 rows were accepted, expected 5 to any number"):
        place.ingest(place.spec(checks=checks, columns="at:timestamp n:int64"))
    assert place.tables.list() == ()
    assert place.ledger.select(LoadRecord) == []
