"""CSV of every kind: a clear outcome for each, physical lines, and Python's csv module as the judge."""

from __future__ import annotations

import csv
import gzip
import io
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inseam.ir.checks import SourceSpec
from inseam.kernel.errors import DataError
from inseam.stages.ingest import csv_file
from inseam.stages.ingest.csv_file import read_csv
from inseam.stages.ingest.location import examine

AT = datetime(2024, 1, 1, tzinfo=UTC)
COLUMNS = "at:timestamp a:string b:string"


def read(path: Path, **options: object) -> tuple[list[tuple[int, tuple[str | None, ...]]], list[tuple[int, str, str]]]:
    """All records as (line, cells), and all rejects as (line, reason, raw)."""
    spec = SourceSpec("s", "at", location=str(path), **options)  # type: ignore[arg-type]
    rows, rejects = [], []
    for cells in read_csv(examine(path, spec), spec, lambda _: None):
        columns = [column.to_pylist() for column in cells.columns.values()]
        rows += list(zip(cells.lines.to_pylist(), zip(*columns, strict=True), strict=True))
        rejects += [(reject.line, reject.reason, reject.raw) for reject in cells.rejects]
    return rows, rejects


def written(tmp_path: Path, content: bytes | str, name: str = "f.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_lines_are_physical_whatever_comes_before(tmp_path: Path) -> None:
    text = 'a,b\r\n1,2\n\n3\n"x\ny\r\nz",4\n,\n5,6,7\n8,9\n\n\n'
    rows, rejects = read(written(tmp_path, text))
    assert rows == [(2, ("1", "2")), (5, ("x\ny\r\nz", "4")), (8, (None, None)), (10, ("8", "9"))]
    assert [(line, raw) for line, _, raw in rejects] == [(4, "3"), (9, "5,6,7")]
    assert rejects[0][1] == "the record has 1 cells where the header has 2"


def test_an_empty_cell_is_null_and_a_quoted_one_is_not(tmp_path: Path) -> None:
    rows, _ = read(written(tmp_path, 'a,b\n,""\n'))
    assert rows == [(2, (None, ""))]


def test_blank_lines_before_the_header_count_as_lines(tmp_path: Path) -> None:
    rows, rejects = read(written(tmp_path, "\n\r\na,b\n1,2\n3\n"))
    assert rows == [(4, ("1", "2"))]
    assert rejects[0][0] == 5


def test_a_header_that_spans_lines(tmp_path: Path) -> None:
    rows, _ = read(written(tmp_path, '"a\nA",b\n1,2\n'))
    assert rows == [(3, ("1", "2"))]


def test_one_column_has_no_blank_records(tmp_path: Path) -> None:
    rows, _ = read(written(tmp_path, 'a\n1\n\n""\n2\n\n'))
    assert rows == [(2, ("1",)), (4, ("",)), (5, ("2",))]


@pytest.mark.parametrize("text", ['a,b\n1,2\n3,"x\n4,5\n6,7\n', 'a,b\n1,2\n"3,x\n4,5\n6,7\n'])
def test_a_quote_that_never_closes_takes_its_record_to_quarantine(tmp_path: Path, text: str) -> None:
    rows, rejects = read(written(tmp_path, text))
    assert rows == [(2, ("1", "2"))]
    assert rejects[0][0] == 3
    assert "never closed" in rejects[0][1]
    assert rejects[0][2].rstrip().endswith("4,5\n6,7")


def test_a_record_longer_than_any_is_refused_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 1 << 10)
    monkeypatch.setattr(csv_file, "LONGEST_RECORD", 1 << 12)
    text = "a,b\n" + "1,2\n" * 10 + '3,"' + "4,5\n" * 5_000
    with pytest.raises(DataError, match="quote that is left open") as raised:
        read(written(tmp_path, text))
    assert "a record at or after line 12 is longer" in raised.value.problems[0].found


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("before", [0, 1, 500])
def test_a_record_longer_than_a_block_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, encoding: str
) -> None:
    lines = ["", "a,b", *(f"{n}" if n % 11 == 10 else f'{n},"é\n{n}"' for n in range(before)), f'x,"{"é" * 2_000}"']
    path = written(tmp_path, "\n".join([*lines, "last,1", "2,3,4"]).encode(encoding))
    whole = read(path)
    assert whole[0][-2][1] == ("x", "é" * 2_000)
    assert (len(whole[0]), len(whole[1])) == (before - before // 11 + 2, before // 11 + 1)
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 256)
    assert read(path) == whole


def test_small_blocks_give_the_same_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f'{n},"x\n{n}"' if n % 7 == 0 else f"{n}" if n % 11 == 0 else f"{n},y" for n in range(3_000)]
    path = written(tmp_path, "a,b\n" + "\n".join(lines) + "\n")
    whole = read(path)
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 256)
    assert read(path) == whole
    texts = path.read_text().split("\n")
    for line, cells in whole[0]:
        assert texts[line - 1].split(",")[0] == cells[0]
    for line, _, raw in whole[1]:
        assert texts[line - 1] == raw


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-16", None),
        ("utf-16-le", "utf-16-le"),
        ("cp1252", "cp1252"),
        ("latin-1", "latin-1"),
        ("utf-8", "utf-8"),
    ],
)
def test_encodings(tmp_path: Path, encoding: str, declared: str | None) -> None:
    path = written(tmp_path, "naïve,b\né,ß\n".encode(encoding))
    spec = SourceSpec("s", "at", encoding=declared)
    (cells,) = read_csv(examine(path, spec), spec, lambda _: None)
    assert list(cells.columns) == ["naïve", "b"]
    assert [column.to_pylist() for column in cells.columns.values()] == [["é"], ["ß"]]
    assert cells.lines.to_pylist() == [2]


def test_bytes_that_are_not_utf8_go_to_quarantine_alone(tmp_path: Path) -> None:
    rows, rejects = read(written(tmp_path, b"a,b\n1,\xe9\n2,ok\n\xff\n"))
    assert rows == [(3, ("2", "ok"))]
    assert sorted(line for line, _, _ in rejects) == [2, 4]
    assert any("declare the source's encoding" in reason for _, reason, _ in rejects)


def test_a_header_that_is_not_utf8_names_the_mend(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cp1252"):
        read(written(tmp_path, "naïve,b\n1,2\n".encode("cp1252")))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    text = delimiter.join(("a", "b", "c")) + "\n" + delimiter.join(("1,5", '"x;y"', "z")) + "\n"
    if delimiter == ",":
        text = text.replace("1,5", '"1,5"')
    rows, _ = read(written(tmp_path, text))
    assert rows == [(2, ("1,5", "x;y", "z"))]


def test_gzip(tmp_path: Path) -> None:
    rows, _ = read(written(tmp_path, gzip.compress(b"a,b\n1,2\n"), "f.csv.gz"))
    assert rows == [(2, ("1", "2"))]


def test_names_that_are_missing_or_repeat_are_made(tmp_path: Path) -> None:
    spec = SourceSpec("s", "at")
    (cells,) = read_csv(examine(written(tmp_path, ",a,a\n1,2,3\n"), spec), spec, lambda _: None)
    assert list(cells.columns) == ["column_1", "a", "a_2"]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_has_no_records(tmp_path: Path, content: bytes) -> None:
    assert read(written(tmp_path, content)) == ([], [])


CELLS = st.text(alphabet='ab ,;"\n\r\té0', max_size=6)


@settings(max_examples=300, deadline=None)
@given(
    records=st.lists(st.lists(CELLS, min_size=1, max_size=5), max_size=12),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    noise=st.lists(st.tuples(st.integers(0, 200), st.sampled_from(['"', "\n", "\r\n", ",", "x"])), max_size=4),
    block=st.sampled_from([300, 8 << 20]),
)
def test_nasty_files_are_read_as_pythons_csv_module_reads_them(
    records: list[list[str]], end: str, quoting: int, noise: list[tuple[int, str]], block: int
) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator=end, quoting=quoting).writerows(records)  # type: ignore[arg-type]
    body = buffer.getvalue()
    for place, text in noise:
        body = body[:place] + text + body[place:]
    content = "x,y,z\n" + body
    expected: list[tuple[int, list[str]]] = []
    reader = csv.reader(io.StringIO(content, newline=""))
    before = 0
    for record in reader:
        if record:
            expected.append((before + 1, record))
        before = reader.line_num
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_file, "BLOCK_BYTES", block)
        rows, rejects = read(written(Path(directory), content), delimiter=",")
    # Python names the line on which a record begins only by where the one before it ended.
    assert len(rows) + len(rejects) == len(expected) - 1
    lines = dict(expected[1:])
    for line, cells in rows:
        assert [cell or "" for cell in cells] == lines[line]
    for line, reason, _ in rejects:
        assert len(lines[line]) != 3 or "never closed" in reason
