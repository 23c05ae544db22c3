"""A Parquet file is there whole or not at all."""

from __future__ import annotations

import os
import signal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inseam.kernel.errors import ConflictError, SettingError
from inseam.ports.parquet_file import ROW_GROUP, parquet_file

SCHEMA = pa.schema([("n", pa.int64())])


def batch(rows, start=0):
    return pa.record_batch([pa.array(range(start, start + rows), pa.int64())], schema=SCHEMA)


def test_row_groups_are_of_one_size_whatever_comes_in(tmp_path):
    path = tmp_path / "deep" / "n.parquet"
    with parquet_file(path, SCHEMA) as file:
        start = 0
        for rows in (1, 0, ROW_GROUP * 2, 7, 1000):
            file.write(batch(rows, start))
            start += rows
        assert not path.exists()
    assert file.rows == start
    found = pq.ParquetFile(path)
    sizes = [found.metadata.row_group(group).num_rows for group in range(found.num_row_groups)]
    assert sizes == [ROW_GROUP, ROW_GROUP, start - 2 * ROW_GROUP]
    assert found.read()["n"].to_pylist() == list(range(start))
    assert [p.name for p in path.parent.iterdir()] == ["n.parquet"]


def test_no_rows_are_a_file_too(tmp_path):
    with parquet_file(tmp_path / "n.parquet", SCHEMA):
        pass
    assert pq.read_table(tmp_path / "n.parquet").schema == SCHEMA


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "n.parquet"
    with parquet_file(path, SCHEMA) as file:
        file.write(batch(3))
    with pytest.raises(ZeroDivisionError), parquet_file(path, SCHEMA) as file:
        file.write(batch(ROW_GROUP))
        raise ZeroDivisionError
    assert pq.read_table(path).num_rows == 3
    assert [p.name for p in tmp_path.iterdir()] == ["n.parquet"]


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(SettingError, match="it is a directory"), parquet_file(tmp_path, pa.schema([])):
        pass
    assert not (tmp_path.parent / f".{tmp_path.name}.partial").exists()


def test_two_writers_of_one_file_conflict(tmp_path):
    path = tmp_path / "n.parquet"
    with parquet_file(path, SCHEMA) as file:
        with pytest.raises(ConflictError, match="writing this file"), parquet_file(path, SCHEMA):
            pass
        file.write(batch(3))
    assert pq.read_table(path).num_rows == 3


def test_what_a_killed_writer_left_is_overwritten(tmp_path):
    path = tmp_path / "n.parquet"
    pid = os.fork()
    if pid == 0:
        with parquet_file(path, SCHEMA) as file:
            file.write(batch(ROW_GROUP))
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert [p.name for p in tmp_path.iterdir()] == [".n.parquet.partial"]
    with parquet_file(path, SCHEMA) as file:
        file.write(batch(3))
    assert [p.name for p in tmp_path.iterdir()] == ["n.parquet"]
    assert pq.read_table(path).num_rows == 3
