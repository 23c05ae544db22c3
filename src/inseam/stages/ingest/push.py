"""Rows that are pushed to a stream source: each is what the source promises, or the whole push is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from types import GenericAlias
from typing import Annotated, Any

import msgspec
import pyarrow as pa

from inseam.ir.checks import Severity, SourceSpec
from inseam.ir.stream_row import StreamRowCodec, refused
from inseam.kernel.clock import from_datetime
from inseam.kernel.errors import DataError
from inseam.kernel.types import DataType, Field, Schema
from inseam.ports.consumer import Message
from inseam.ports.engine import Engine
from inseam.ports.stream_log import Push
from inseam.stages.ingest.instants import timestamps
from inseam.stages.ingest.judge import broken_rows, row_checks
from inseam.stages.ingest.notation import notation_of

ID = "_id"
"""The reserved field of a row that holds the client's id for it."""
LONGEST_ID = 512
_EPOCH = date(1970, 1, 1)
_INT64 = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_ID = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_ID)]
_PUSHED: dict[DataType, Any] = {
    DataType.BOOL: bool,
    DataType.INT64: _INT64,
    DataType.FLOAT64: float,
    DataType.STRING: str,
    DataType.TIMESTAMP: datetime,
    DataType.DATE: date,
}
_WHERE = re.compile(r" - at `\$(?:\[(\d+)\])?\.?([^`]*)`\Z")


class Intake:
    """Reads what is pushed to one source. ``schema``: the declared one, or the one that the source is held to.

    A row is an object of the source's columns, by the names that its files would have. The timestamp and the columns of
    the source's key must be there; a column that is left out is NULL, one that is unknown is refused. Instants and
    dates are ISO 8601 texts; an instant without an offset is in the source's time zone. Its id is its field ``_id``, or
    its place in a push that has a key: an id makes one row of all the pushes that bear it.
    """

    def __init__(self, spec: SourceSpec, schema: Schema, engine: Callable[[], Engine]) -> None:
        self._spec, self._schema, self._engine = spec, schema, engine
        self._subject = f"source:{spec.name}"
        self._codec = StreamRowCodec(schema)
        self._notation = notation_of(spec)
        self._checks = [check for check in row_checks(spec) if check.severity is Severity.ERROR]
        self._row = _row_type(spec, schema)
        self._one: msgspec.json.Decoder[Any] = msgspec.json.Decoder(self._row)
        self._many: msgspec.json.Decoder[Any] = msgspec.json.Decoder(GenericAlias(list, self._row))

    def json(self, body: bytes, key: str = "") -> list[Push]:
        """The rows of a JSON object, or of an array of objects."""
        is_array = body.lstrip()[:1] == b"["
        try:
            return self._pushes(self._many.decode(body) if is_array else [self._one.decode(body)], key)
        except (msgspec.DecodeError, RecursionError) as error:
            raise self._refused(0, error) from None

    def lines(self, body: bytes, key: str = "") -> list[Push]:
        """The rows of JSON lines; blank ones count in no place."""
        rows: list[Any] = []
        for line in filter(None, map(bytes.strip, body.splitlines())):
            try:
                rows.append(self._one.decode(line))
            except (msgspec.DecodeError, RecursionError) as error:
                raise self._refused(len(rows), error) from None
        return self._pushes(rows, key)

    def records(self, records: Iterable[Mapping[str, Any]], key: str = "", *, first: int = 0) -> list[Push]:
        """The rows of mappings, whose cells may be texts of their values. The first row has the place ``first``."""
        rows: list[Any] = []
        for record in records:
            try:
                rows.append(msgspec.convert(record, self._row, strict=False))
            except (msgspec.ValidationError, RecursionError) as error:
                raise self._refused(first + len(rows), error) from None
        return self._pushes(rows, key, first)

    def messages(self, messages: Iterable[Message]) -> list[Push]:
        """The rows of JSON objects, each with its own ``_id`` or its message's.

        A message that is no row is kept as such, for quarantine; so are rows that break checks, which are judged there.
        """
        return [self._message(message) for message in messages]

    def _message(self, message: Message) -> Push:
        try:
            id_, *cells = msgspec.structs.astuple(self._one.decode(message.payload))
            return Push((id_ or message.id).encode(), self._codec.encode(self._kept(0, tuple(cells))))
        except (msgspec.DecodeError, RecursionError) as error:
            _, column, found = _mistake(error)
            why = f"{column}: {found}" if column else found
        except DataError as error:
            why = error.problems[0].found.removeprefix("row 0, ")
        return Push(message.id.encode(), refused(why, message.payload))

    def _pushes(self, rows: Sequence[Any], key: str, first: int = 0) -> list[Push]:
        cells: list[tuple[Any, ...]] = []
        ids: list[bytes] = []
        for place, row in enumerate(map(msgspec.structs.astuple, rows), start=first):
            if row[0] is None and not key:
                raise self._problem(
                    place, "", "it has no id", f'give each row a text "{ID}", or the whole push an idempotency key'
                )
            ids.append((row[0] or f"{key}:{place}").encode())
            cells.append(self._kept(place, row[1:]))
        self._judge(cells, first)
        return [Push(id_, self._codec.encode(row)) for id_, row in zip(ids, cells, strict=True)]

    def _kept(self, place: int, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """A row's cells as the log keeps them."""
        kept = list(row)
        for column, field in enumerate(self._schema):
            cell = kept[column]
            if cell is None:
                continue
            if field.type is DataType.TIMESTAMP:
                kept[column] = self._instant(place, field, cell)
            elif field.type is DataType.DATE:
                kept[column] = (cell - _EPOCH).days
        return tuple(kept)

    def _instant(self, place: int, field: Field, moment: datetime) -> int:
        if moment.tzinfo is not None:
            return from_datetime(moment)
        if self._notation.timezone == "UTC":
            return from_datetime(moment.replace(tzinfo=UTC))
        values, faults = timestamps(pa.array([moment], pa.timestamp("us")), self._notation)
        if faults:
            raise self._problem(place, field.name, f"{moment.isoformat()} {faults[0]}", "give its offset from UTC")
        return int(values.cast(pa.int64())[0].as_py())

    def _judge(self, cells: list[tuple[Any, ...]], first: int) -> None:
        if not self._checks or not cells:
            return
        broken = broken_rows(self._spec, self._checks, self._codec.batch(cells), self._engine())
        if broken:
            problems = [self._problem(first + place, "", why, "").problems[0] for place, why in sorted(broken.items())]
            raise DataError.of(problems)

    def _refused(self, place: int, error: Exception) -> DataError:
        row, column, found = _mistake(error)
        return self._problem(row + place, column, found, "")

    def _problem(self, row: int, column: str, found: str, mend: str) -> DataError:
        where = f"row {row}, {column}" if column else f"row {row}"
        return DataError(self._subject, f"{where}: {found}", mend=mend)


def _mistake(error: Exception) -> tuple[int, str, str]:
    """The row of those that were read together, the column (empty: none), and what is wrong with it."""
    text = str(error)
    found = _WHERE.search(text)
    return (0, "", text) if found is None else (int(found[1] or 0), found[2], text[: found.start()])


def _row_type(spec: SourceSpec, schema: Schema) -> type:
    """The id, then the schema's columns, by the names that the source's files have for them."""
    file_names = {ours: theirs for theirs, ours in spec.rename}
    needed = {spec.timestamp, *spec.key}
    fields: list[tuple[str, Any, Any]] = [("c", _ID | None, None)]
    names = {"c": ID}
    for place, field in enumerate(schema):
        type_ = _PUSHED[field.type]
        default = msgspec.field() if field.name in needed else None
        fields.append((f"c{place}", type_ if field.name in needed else type_ | None, default))
        names[f"c{place}"] = file_names.get(field.name, field.name)
    return msgspec.defstruct("PushedRow", fields, rename=names, forbid_unknown_fields=True, kw_only=True)
