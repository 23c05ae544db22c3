"""One in-memory DuckDB with its limits and its scratch folder; what goes in, what streams out, how it fails."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import duckdb
import pyarrow as pa

from inseam.kernel.errors import DataError, DefinitionError, SettingError
from inseam.kernel.size import parse_size
from inseam.kernel.types import DataType, Field, Schema, data_type
from inseam.ports.object_store import fault

BATCH_ROWS = 122_880
"""Rows a batch of every stream: DuckDB's own row group."""

DUCKDB_SHARE = 0.3
"""Of the memory limit, what DuckDB may take where the rest is for arrays."""

SQL_TYPES = {
    DataType.BOOL: "BOOLEAN",
    DataType.INT64: "BIGINT",
    DataType.FLOAT64: "DOUBLE",
    DataType.STRING: "VARCHAR",
    DataType.TIMESTAMP: "TIMESTAMP WITH TIME ZONE",
    DataType.DATE: "DATE",
}

_USER_FAULTS = (
    duckdb.BinderException,
    duckdb.ParserException,
    duckdb.CatalogException,
    duckdb.SyntaxException,
    duckdb.NotImplementedException,
    duckdb.TypeMismatchException,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call of the engine may use. ``memory`` is bytes, for DuckDB and our own arrays together.

    ``files`` opens what is no path of this machine: an fsspec filesystem.
    """

    directory: Path
    memory: int
    threads: int
    files: Any = None


def memory_bytes(text: str) -> int:
    """The setting of an engine's memory; `SettingError` for what is no size."""
    try:
        return parse_size(text)
    except ValueError:
        raise SettingError("memory_limit", f"{text!r} is not a size", expected="a size such as 2GB or 512MiB") from None


def cores() -> int:
    """How many processors this process may use; not every system tells which."""
    may_use = getattr(os, "sched_getaffinity", None)
    return max(1, len(may_use(0)) if may_use is not None else os.cpu_count() or 1)


def sweep_scratch(directory: Path) -> None:
    """Remove the scratch folders of processes that were killed. They are of this machine, as their numbers are."""
    for folder in directory.glob("duckdb-*-*"):
        number = folder.name.split("-")[1]
        if number.isdigit() and not _is_alive(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Intake:
    """A stream on its way into DuckDB, which turns what a producer raises into text: the error itself is kept."""

    def __init__(self, reader: pa.RecordBatchReader) -> None:
        self.error: BaseException | None = None
        self._reader = reader

    def stream(self) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(self._reader.schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._reader
        except BaseException as error:
            self.error = error
            raise


Batches = tuple[pa.Schema, Iterator[pa.RecordBatch]]


class Session:
    """Owns a connection and a scratch folder until `close`. One thread at a time."""

    def __init__(self, limits: Limits, *, share: float = 1.0) -> None:
        # Below this DuckDB cannot even keep a row group a thread.
        self.memory = max(int(limits.memory * share), 64 << 20)
        limits.directory.mkdir(parents=True, exist_ok=True)
        self.scratch = Path(tempfile.mkdtemp(prefix=f"duckdb-{os.getpid()}-", dir=limits.directory))
        # A stream that is dropped before it is read runs none of its own code: only a finalizer cleans up behind it.
        self._clean = weakref.finalize(self, shutil.rmtree, self.scratch, ignore_errors=True)
        self._intakes: dict[str, Intake] = {}
        self.connection = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": f"{self.memory}B",
                "threads": limits.threads,
                "temp_directory": str(self.scratch / "spill"),
            },
        )
        if limits.files is not None:
            self.connection.register_filesystem(limits.files)
        self.connection.execute("SET TimeZone = 'UTC'")
        # Otherwise an as-of join with a small or an Arrow left side is planned as a nested loop.
        self.connection.execute("SET asof_loop_join_threshold = 0")

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.connection.close()
        self._clean()

    def register(self, name: str, rows: pa.RecordBatchReader | pa.Table) -> None:
        """Make rows a table of this session. A reader can be scanned once."""
        if isinstance(rows, pa.RecordBatchReader):
            intake = Intake(rows)
            self._intakes[name] = intake
            rows = intake.stream()
        self.connection.register(name, rows)

    def run(self, sql: str, subject: str, parameters: list[Any] | None = None) -> pa.Table:
        """A query's whole result; `InseamError` about ``subject`` when it fails."""
        with self.errors(subject):
            return self.connection.execute(sql, parameters).to_arrow_reader(BATCH_ROWS).read_all()

    def batches(self, sql: str, subject: str) -> Batches:
        """A query's result as it comes. The session runs nothing else until the batches are read."""
        with self.errors(subject):
            reader = self.connection.execute(sql).to_arrow_reader(BATCH_ROWS)
        return reader.schema, self._guarded(reader, subject)

    def stream(self, sql: str, subject: str) -> pa.RecordBatchReader:
        """A query's result in our own types; the session is closed when it is read to its end or dropped."""
        found, batches = self.batches(sql, subject)
        schema = plain_schema(found)

        def cast() -> Iterator[pa.RecordBatch]:
            try:
                for batch in batches:
                    if batch.num_rows:
                        yield batch if batch.schema.equals(schema) else batch.cast(schema)
            finally:
                self.close()

        return pa.RecordBatchReader.from_batches(schema, cast())

    @contextmanager
    def errors(self, subject: str) -> Iterator[None]:
        """DuckDB's exceptions leave as ours; an error of a stream that fed it leaves as it was."""
        try:
            yield
        except duckdb.Error as error:
            for intake in self._intakes.values():
                if intake.error is not None:
                    raise intake.error from None
            _fail(subject, error)

    def _guarded(self, reader: pa.RecordBatchReader, subject: str) -> Iterator[pa.RecordBatch]:
        with self.errors(subject):
            try:
                yield from reader
            except (pa.ArrowException, OSError) as error:
                # Arrow carries DuckDB's message, not its type.
                raise duckdb.InvalidInputException(str(error)) from error


def plain_schema(found: pa.Schema) -> pa.Schema:
    """The Arrow schema in our own six types (DuckDB's narrow integers and decimals widened)."""
    return Schema(tuple(Field(field.name, data_type(field.type)) for field in found)).to_arrow()


def quote(name: str) -> str:
    """A name as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as a SQL string."""
    return "'" + text.replace("'", "''") + "'"


def _fail(subject: str, error: duckdb.Error) -> NoReturn:
    text = str(error)
    message = text.partition("\n")[0]
    message = message.partition(": ")[2] or message
    failure = fault(text, subject)
    if failure is not None:
        raise failure from error
    if isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory" in text:
        failure = SettingError(subject, f"memory ran out: {message}", mend="raise the engine's memory_limit")
    elif isinstance(error, _USER_FAULTS):
        hints = (line for line in text.splitlines() if line.startswith("Did you mean"))
        failure = DefinitionError(subject, message, mend=next(hints, ""))
    else:
        failure = DataError(subject, message)
    raise failure from error
