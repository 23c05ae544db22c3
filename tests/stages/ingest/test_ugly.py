"""Ugly input: each record is accepted, or in quarantine with its line and reason, or the load is refused whole."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inseam.kernel.errors import DataError, NotFoundError

COLUMNS = "at:timestamp n:float64 s:string"
AT = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("content", "accepted", "rejected", "options"),
    [
        ("at,n,s\n2024-01-01,1\n2024-01-02,1,x\n2024-01-03,1,x,y\n", 1, {2: "has 2 cells", 4: "has 4 cells"}, {}),
        ('at,n,s\r\n2024-01-01,"1,234.5","x\r\ny"\n2024-01-02,"1,23",y\r2024-01-03,3,z', 2, {4: "is not float64"}, {}),
        ("at;n;s\n2024-01-01;1,5;x\n2024-01-02;1.234,25;y\n", 0, {2: "not float64", 3: "not float64"}, {}),
        ('at,n,s\n2024-01-01,1,x\n2024-01-02,2,"y\n2024-01-03,3,z\n', 1, {3: "never closed"}, {}),
        (b"at,n,s\n2024-01-01,\x001,x\n2024-01-02,2,a\x00b\n", 1, {2: "is not float64"}, {}),
        (b"at,n,s\n2024-01-01,1,x\n" + b"\x00" * 4_096, 1, {3: "has 1 cells"}, {}),
        ("at,n,s\n1704067200,1,x\n1704067200000,1,x\n20240101,1,x\n", 1, {2: "not timestamp", 3: "not timestamp"}, {}),
        ("at,n,s\n01/02/2024,1,x\nJan 5 2024,1,x\n2024-02-30,1,x\n", 0, {2: "come first", 3: "ISO", 4: "ISO"}, {}),
        (
            "at,n,s\n2024-10-27 02:30,1,x\n2024-03-31 02:30,1,x\n2024-10-27 02:30+01:00,1,x\n",
            1,
            {2: "twice (ambiguous)", 3: "never (impossible)"},
            {"timezone": "Europe/Berlin"},
        ),
        (
            "at,n,s\n0000-01-01,1,x\n0001-01-01,1,x\n9999-12-31,1,x\n10000-01-01,1,x\n",
            1,
            {2: "not in the years", 4: "not in the years", 5: "timestamp"},
            {},
        ),
        ("at,n,s\n2024-01-01,$5,x\n2024-01-01,inf,x\n2024-01-01,nan,x\n", 1, {2: "float64", 3: "infinite"}, {}),
        ("at,n,s\n2024-01-01,1,é\n".encode("utf-16"), 1, {}, {}),
        ("at,n,s\n2024-01-01,1,é\n".encode("utf-32"), 1, {}, {}),
        ("at,n,s\n2024-01-01,1,é\n".encode("utf-8-sig"), 1, {}, {}),
        (b"at,n,s\n2024-01-01,1,\xe9\n2024-01-01,1,e\n", 1, {2: "encoding='cp1252'"}, {}),
        (b"at,n,s\n2024-01-01,1,\xe9\n", 1, {}, {"encoding": "latin-1"}),
        (f"at,n,s\n2024-01-01,1,{'x' * (3 << 20)}\n2024-01-02,2,y\n", 2, {}, {}),
        ("at,n,s\n", 0, {}, {}),
        ("", 0, {}, {}),
    ],
)
def test_csv(
    place: Any, content: str | bytes, accepted: int, rejected: dict[int, str], options: dict[str, Any]
) -> None:
    place.write("a.csv", content)
    check(place, accepted, rejected, {"columns": COLUMNS} | options)


@pytest.mark.parametrize(
    ("content", "accepted", "rejected"),
    [
        (
            '{"at":"2024-01-01","n":1}\n{"at":"2024-01-02","n":"x"}\n{"at":"2024-01-03","n":"5"}\n',
            2,
            {2: "not float64"},
        ),
        ('{"at":"2024-01-01","n":[1],"s":{"a":1}}\n{"n":3}\n{}\n[]\n', 0, {1: "n:", 2: "empty", 3: "empty", 4: "list"}),
        ('{"at":"2024-01-01"}\n{"at":"2024-0', 1, {2: "truncated"}),
        ('{"at":1704067200}\n{"at":"2024-01-01"}\n', 1, {1: "not timestamp"}),
        (b'{"at":"2024-01-01","s":"\xe9"}\n{"at":"2024-01-01","s":"e"}\n', 1, {1: "encoding='cp1252'"}),
        ('{"at":"2024-01-01","s":' + "[" * 9_000 + "]" * 9_000 + '}\n{"at":"2024-01-01"}\n', 1, {1: "recursion"}),
        ('{"at":"2024-01-01","n":NaN}\n{"at":"2024-01-01"}\n', 1, {1: "malformed"}),
        ('{"at":"2024-01-01","s":"\u2028"}\n\n\r\n{"at":"2024-01-01"}\n', 2, {}),
        ('{"at":"2024-01-01","s":"é"}\n'.encode("utf-16"), 1, {}),
    ],
)
def test_json_lines(place: Any, content: str | bytes, accepted: int, rejected: dict[int, str]) -> None:
    place.write("a.jsonl", content)
    check(place, accepted, rejected, {"columns": COLUMNS})


def check(place: Any, accepted: int, rejected: dict[int, str], options: dict[str, Any]) -> None:
    """The load has these rows and these rejects, once."""
    (path,) = (place.root / "in").iterdir()
    load = place.load(**options)
    found = {row["line"]: row for row in place.quarantine()}
    assert (load.rows_in, load.rows_accepted) == (accepted + len(rejected), accepted)
    assert found.keys() == rejected.keys()
    for line, reason in rejected.items():
        assert reason in found[line]["reason"]
        assert found[line]["file"] == str(path)
    assert place.ingest(place.spec(**options)) is None


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", gzip.compress(b"at\n2024-01-01\n", mtime=0), "not text but gzip"),
        ("a.csv", b"PAR1", "not text but Parquet"),
        ("a.csv", b"PK\x03\x04 and so on", "an Excel workbook"),
        ("a.csv", "at,n\n2024-01-01,1\n".encode("utf-16-le"), "encoding='utf-16-le'"),
        ("a.csv", b"at,caf\xe9\n2024-01-01,1\n", "encoding='cp1252'"),
        ("a.csv", '\nat,n\n2024-01-01,"' + "x" * (20 << 20), "after line 3 is longer than 8 MiB"),
        ("a.csv.gz", gzip.compress(b"at,n\n" + b"2024-01-01,1\n" * 100_000, mtime=0)[:-50], "ended before"),
        ("a.csv.gz", b"at\n2024-01-01\n", "Not a gzipped file"),
        ("a.jsonl", '[{"at":"2024-01-01"}]', "one JSON array"),
        ("a.parquet", b"at\n2024-01-01\n", "cannot be read as Parquet"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(place: Any, name: str, content: str | bytes, told: str) -> None:
    place.write(name, content)
    with pytest.raises(DataError) as raised:
        place.ingest()
    assert told in str(raised.value)
    assert place.tables.list() == ()
    assert not list((place.root / "scratch" / "ingest").glob("*"))


def test_instants_that_python_cannot_hold_go_to_quarantine(place: Any) -> None:
    far = pa.array([2**62, 0, None], pa.timestamp("us", tz="UTC"))
    fine = pa.array([1, 1_000, 2**62 - 1], pa.timestamp("ns", tz="UTC"))
    pq.write_table(pa.table({"at": far, "fine": fine}), place.root / "in" / "a.parquet")
    load = place.load()
    assert (load.rows_accepted, load.rows_quarantined) == (1, 2)
    first, second = place.quarantine()
    assert "is not in the years 1 to 9999" in first["reason"]
    assert "at: it is empty" in second["reason"]


def test_columns_of_one_name_are_told_apart(place: Any) -> None:
    table = pa.table([pa.array([AT]), pa.array([1]), pa.array([2])], names=["at", "n", "n"])
    pq.write_table(table, place.root / "in" / "a.parquet")
    place.load()
    assert (place.column("n"), place.column("n_2")) == ([1], [2])


def test_2000_columns(place: Any) -> None:
    names = [f"c{n}" for n in range(2_000)]
    place.write("a.csv", f"at,{','.join(names)}\n2024-01-01,{','.join(map(str, range(2_000)))}\n")
    assert place.load().rows_accepted == 1
    (row,) = place.rows()
    assert [row[name] for name in names] == list(range(2_000))


@pytest.mark.parametrize("name", ["with space.csv", "mit é.csv", "a[1].csv", "what?.csv", "star*.csv"])
def test_names_of_files(place: Any, name: str) -> None:
    path = place.write(name, "at\n2024-01-01\nx\n")
    assert place.load(location=str(path)).rows_in == 2
    assert place.quarantine()[0]["file"] == str(path)


def test_links_are_followed_and_their_content_taken_once(place: Any, tmp_path: Path) -> None:
    path = place.write("a.csv", "at\n2024-01-01\n")
    (place.root / "in" / "link.csv").symlink_to(path)
    (place.root / "in" / "gone.csv").symlink_to(tmp_path / "nowhere.csv")
    assert place.load().rows_in == 1
    with pytest.raises(NotFoundError, match="no file at"):
        place.ingest(place.spec(location=str(place.root / "in" / "gone.csv")))


def test_a_file_that_may_not_be_read_is_named(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = place.write("a.csv", "at\n2024-01-01\n")
    opened = Path.open

    def refused(self: Path, *given: Any, **options: Any) -> Any:
        if self == path:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(self, *given, **options)

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(DataError, match=r"a\.csv cannot be read: .*Permission denied"):
        place.ingest()
