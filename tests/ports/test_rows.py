"""Rows that a stream of this process brings."""

from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from inseam.ports.rows import Batches, StreamedRows, reader_of


def rows(scratch: Path) -> StreamedRows:
    return StreamedRows.of(pa.table({"n": [1, 2, 3, 4, 5]}).to_reader(max_chunksize=2), scratch)


def larger(than: int, batches: Batches) -> Batches:
    for batch in batches:
        yield batch.filter(pc.greater(batch["n"], than))


def total(part: int, batches: Batches) -> tuple[int, int]:
    return part, sum(pc.sum(batch["n"]).as_py() for batch in batches)


def test_a_stream_is_one_part_and_is_asked_for_once(tmp_path: Path) -> None:
    seen: list[int] = []
    streamed = rows(tmp_path)
    assert streamed.map(partial(larger, 1), streamed.schema).consume(total) == [(0, 14)]
    with pytest.raises(RuntimeError, match="already"):
        streamed.reader()
    assert rows(tmp_path).consume(total, seen.append) == [(0, 15)]
    assert seen == [2, 4, 5]


def test_what_is_held_is_asked_for_often_and_leaves_nothing(tmp_path: Path) -> None:
    held = rows(tmp_path / "scratch").hold()
    mapped = held.map(partial(larger, 3), held.schema)
    for _ in range(2):
        assert mapped.reader().read_all()["n"].to_pylist() == [4, 5]
        assert held.consume(total) == [(0, 15)]
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_reader_of_either(tmp_path: Path) -> None:
    assert reader_of(rows(tmp_path)).read_all() == reader_of(pa.table({"n": [1, 2, 3, 4, 5]}).to_reader()).read_all()
