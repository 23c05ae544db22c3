"""CSV by blocks, every cell as text, every record with the physical line on which it begins."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as pacsv

from inseam.ir.checks import SourceSpec
from inseam.kernel.errors import DataError
from inseam.stages.ingest.cells import Cells, Reject
from inseam.stages.ingest.csv_layout import Layout, layout
from inseam.stages.ingest.location import UNREADABLE, InputFile, physical_lines, undecodable
from inseam.stages.ingest.values import as_json

BLOCK_BYTES = 1 << 20
"""What is read at a time: Arrow reads up to 32 blocks ahead, so that this bounds the memory."""
LONGEST_RECORD = 8 << 20
"""Bytes. From the first record on that is longer than a block, blocks are as long as this."""
UNCLOSED = "a quote that opens in this record is never closed"


@dataclass(slots=True)
class _Place:
    """How far a file has been read: the next record's number, as Arrow counts them, and its line."""

    number: int
    line: int
    ragged: list[Any] = field(default_factory=list)

    def keep(self, row: Any) -> str:
        """Take a ragged record from Arrow's parser, which calls this in file order."""
        self.ragged.append(row)
        return "skip"


def read_csv(file: InputFile, spec: SourceSpec, advance: Callable[[int], None]) -> Iterator[Cells]:
    """The records of a file. Blank lines are no records; an empty file has none."""
    found = layout(file, spec)
    if found is None:
        return
    place = _Place(number=1, line=1 + found.blank_lines)
    for size in (BLOCK_BYTES, LONGEST_RECORD):
        try:
            yield from _blocks(file, found, place, size, advance)
            return
        except pa.ArrowInvalid as error:
            is_longer = "straddl" in str(error) or "out of sync" in str(error)
            if not is_longer or size == LONGEST_RECORD:
                raise _unreadable(file, spec, place, error, is_longer=is_longer) from error
            place = _Place(number=1, line=place.line)


def _blocks(
    file: InputFile, found: Layout, place: _Place, size: int, advance: Callable[[int], None]
) -> Iterator[Cells]:
    """The records from a place on."""
    with _bytes_from(file, place.line) as source:
        for batch, is_last in _with_last(_open(source, found, place, size)):
            yield _cells(batch, file, found, place, is_last=is_last)
            advance(reader_position(source))


def _bytes_from(file: InputFile, line: int) -> Any:
    """The file from a physical line on: Arrow's own where nothing has to be recoded, for that reads without Python."""
    is_plain = file.encoding == "utf-8" and file.path.suffix != ".gz"
    source: Any = pa.OSFile(str(file.path)) if is_plain else file.open()
    rest = sum(len(text.encode()) for text in islice(physical_lines(file), line - 1))
    while rest:
        rest -= len(source.read(min(rest, LONGEST_RECORD)))
    return source


def reader_position(source: Any) -> int:
    """How many bytes of a stream were read; 0 where the stream cannot say."""
    try:
        return int(source.tell())
    except (OSError, ValueError):
        return 0


def _open(source: Any, found: Layout, place: _Place, size: int) -> pacsv.CSVStreamingReader:
    return pacsv.open_csv(
        source,
        read_options=pacsv.ReadOptions(column_names=list(found.names), use_threads=False, block_size=size),
        parse_options=pacsv.ParseOptions(
            delimiter=found.delimiter,
            newlines_in_values=True,
            ignore_empty_lines=False,
            invalid_row_handler=place.keep,
        ),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(found.names, pa.string()),
            check_utf8=False,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )


def _with_last(reader: pacsv.CSVStreamingReader) -> Iterator[tuple[pa.RecordBatch, bool]]:
    held = None
    try:
        for batch in reader:
            if held is not None:
                yield held, False
            held = batch
    except pa.ArrowInvalid:
        if held is not None:
            yield held, False
        raise
    if held is not None:
        yield held, True


def _cells(batch: pa.RecordBatch, file: InputFile, found: Layout, place: _Place, *, is_last: bool) -> Cells:
    """One block with its lines; the header, blank lines and a record whose quote never closes are taken out."""
    is_first = place.line == 1 + found.blank_lines
    columns = dict(zip(found.names, batch.columns, strict=True))
    heights = np.ones(batch.num_rows, np.int64)
    for column in columns.values():
        _add_newlines(column, heights)
    lines, rejects = _lines(heights, found, place, is_last=is_last)
    keep = np.ones(batch.num_rows, bool)
    if is_first and batch.num_rows:
        keep[0] = False
    keep &= ~_blank(columns, lines, file)
    if is_last and batch.num_rows and keep[-1] and heights[-1] > 1:
        text = _tail(file, int(lines[-1]))
        if _is_unclosed(text, found.delimiter):
            keep[-1] = False
            rejects.append(Reject(int(lines[-1]), UNCLOSED, text))
    elif is_last and rejects and _line_ends(rejects[-1].raw) and _is_unclosed(rejects[-1].raw, found.delimiter):
        rejects[-1] = replace(rejects[-1], reason=UNCLOSED)
    if file.encoding != "utf-8":
        rejects += _undecodable(columns, lines, keep, file)
    if not keep.all():
        mask = pa.array(keep)
        columns = {name: column.filter(mask) for name, column in columns.items()}
        lines = lines[keep]
    return Cells(columns, pa.array(lines), is_text=True, rejects=rejects)


def _add_newlines(column: pa.Array, heights: np.ndarray) -> None:
    """Add to each record's height the line ends inside its cell of this column."""
    data = column.buffers()[2]
    text = b"" if data is None else data.to_pybytes()
    if b"\n" not in text and b"\r" not in text:
        return
    for end, sign in (("\n", 1), ("\r", 1), ("\r\n", -1)):
        heights += sign * pc.fill_null(pc.count_substring(column, end), 0).to_numpy()


def _lines(heights: np.ndarray, found: Layout, place: _Place, *, is_last: bool) -> tuple[np.ndarray, list[Reject]]:
    """The line of each record of a block, and the ragged records that lie before or (at the end) after them."""
    rows = len(heights)
    before = [row.number - place.number - index for index, row in enumerate(place.ragged)]
    due = len(before) if is_last else sum(1 for position in before if position < rows)
    ragged, place.ragged = place.ragged[:due], place.ragged[due:]
    positions = np.array(before[:due], np.int64)
    ragged_heights = np.array([1 + _line_ends(row.text) for row in ragged], np.int64)
    starts = place.line + np.concatenate([[0], np.cumsum(heights)])
    shift = np.concatenate([[0], np.cumsum(ragged_heights)])
    lines = starts[:-1] + shift[np.searchsorted(positions, np.arange(rows), side="right")]
    rejects = [
        Reject(
            int(starts[position] + shift[index]),
            f"the record has {row.actual_columns} cells where the header has {row.expected_columns}",
            row.text,
        )
        for index, (row, position) in enumerate(zip(ragged, before, strict=False))
    ]
    place.number += rows + due
    place.line = int(starts[-1] + shift[-1])
    return lines, rejects


def _line_ends(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _blank(columns: dict[str, pa.Array], lines: np.ndarray, file: InputFile) -> np.ndarray:
    """Which records are blank lines: Arrow reads one as a record of empty cells, as it does a line of delimiters."""
    empty = np.ones(len(lines), bool)
    for column in columns.values():
        if column.null_count == 0:
            return np.zeros(len(lines), bool)
        empty &= pc.is_null(column).to_numpy(zero_copy_only=False)
    if len(columns) == 1 or not empty.any():
        return empty
    asked = set(lines[empty].tolist())
    last = max(asked)
    texts = enumerate(islice(physical_lines(file), last), start=1)
    blank = {number for number, text in texts if number in asked and not text.strip("\r\n")}
    return empty & np.isin(lines, list(blank))


def _undecodable(columns: dict[str, pa.Array], lines: np.ndarray, keep: np.ndarray, file: InputFile) -> list[Reject]:
    """Take out the records in which a cell has bytes that the encoding cannot read."""
    bad = np.zeros(len(lines), bool)
    for column in columns.values():
        bad |= pc.fill_null(pc.match_substring(column, UNREADABLE), False).to_numpy(zero_copy_only=False)
    bad &= keep
    keep &= ~bad
    reason = f"a cell has {undecodable(file)}"
    rows = np.flatnonzero(bad).tolist()
    return [
        Reject(int(lines[row]), reason, as_json({key: column[row].as_py() for key, column in columns.items()}))
        for row in rows
    ]


def _tail(file: InputFile, line: int) -> str:
    """The file's text from a physical line on."""
    return "".join(islice(physical_lines(file), line - 1, None))


def _is_unclosed(text: str, delimiter: str) -> bool:
    try:
        for _ in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True):
            pass
    except csv.Error as error:
        return "unexpected end" in str(error) or "field limit" in str(error)
    return False


def _unreadable(file: InputFile, spec: SourceSpec, place: _Place, error: Exception, *, is_longer: bool) -> DataError:
    if is_longer:
        return DataError(
            f"source:{spec.name}",
            f"{file.path.name}: a record at or after line {place.line} is longer than {LONGEST_RECORD >> 20} MiB",
            mend="close the quote that is left open there, or declare the delimiter",
        )
    return DataError(f"source:{spec.name}", f"{file.path.name} cannot be read after line {place.line}: {error}")
