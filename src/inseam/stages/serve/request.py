"""From a body to typed rows: decoders derived from the endpoint's spec, and the 422 that names the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any

import msgspec

from inseam.ir.training import EndpointSpec
from inseam.kernel.errors import NotFoundError, Problem
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import DataType

FEATURES = "features"
ROWS = "rows"
_ENVELOPE = re.compile(rb'\s*\{\s*"rows"\s*:')
_GIVES_FEATURES = re.compile(rb'"features"\s*:')
"""A key, and no text: within a text the quotes would be escaped."""
INT64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_TYPES: dict[DataType, Any] = {
    DataType.BOOL: bool,
    DataType.INT64: INT64,
    DataType.FLOAT64: float,
    DataType.STRING: str,
    DataType.TIMESTAMP: Annotated[datetime, msgspec.Meta(tz=True)],
    DataType.DATE: date,
}
_EXAMPLES: dict[DataType, Any] = {
    DataType.BOOL: True,
    DataType.INT64: 42,
    DataType.FLOAT64: 12.5,
    DataType.STRING: "text",
    DataType.TIMESTAMP: "2026-01-31T12:00:00Z",
    DataType.DATE: "2026-01-31",
}
_UNKNOWN_FIELD = re.compile(r"unknown field `(.+?)`")
_MISSING_FIELD = re.compile(r"missing required field `(.+?)`")
_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)
_EXPECTED = re.compile(r"^Expected (?P<expected>.*?)(?:, got (?P<found>.*))?$", re.DOTALL)


class RequestRefusedError(Exception):
    """The request is answered with this status and these problems. Internal to serving."""

    def __init__(self, status: int, *problems: Problem) -> None:
        self.status = status
        self.problems = problems
        super().__init__(status)


def too_many(rows: int, most: int) -> RequestRefusedError:
    return RequestRefusedError(422, Problem("rows", ROWS, f"{rows} rows", f"1 to {most} rows in one request"))


def unknown_entity(place: int, key: Mapping[str, Any]) -> RequestRefusedError:
    """Of the row at a place among those that were asked."""
    named = ", ".join(f"{name} {value!r}" for name, value in key.items())
    problem = Problem(NotFoundError.code, f"{ROWS}[{place}]", f"{named} is not known here", "an entity with features")
    return RequestRefusedError(404, problem)


@dataclass(frozen=True, slots=True)
class Asked:
    """Rows of one request, as structs with a field a key and input; ``is_given``: they bring ``features`` too.

    ``most``: how many predictions may come of them.
    """

    rows: Sequence[Any]
    is_given: bool
    most: int


class RequestSchema:
    """The two shapes of a row of one endpoint: keys to look features up by, or the features themselves."""

    def __init__(self, spec: EndpointSpec) -> None:
        self.endpoint = spec.name
        self.view_features = tuple(field for view in spec.views for field in view.schema)
        self.max_rows = spec.max_rows
        name = "".join(part.title() for part in spec.name.split("_"))
        inputs = [(field.name, _TYPES[field.type] | None) for field in spec.inputs]
        keys: list[tuple[Any, ...]] = [(field.name, _TYPES[field.type]) for field in spec.keys]
        features = [(field.name, _TYPES[field.type] | None) for field in self.view_features]
        self.wildcard = spec.keys[-1].name if spec.members is not None else None
        self._most_members = 1
        if spec.members is not None:
            self._most_members = len(spec.members.aggregates)
            keys[-1] = (keys[-1][0], keys[-1][1] | None, None)
        self.row = _struct(f"{name}Row", [*keys, *inputs])
        self.features = _struct(f"{name}Features", features)
        optional = [(field.name, _TYPES[field.type] | None, None) for field in spec.keys]
        self.given_row = _struct(f"{name}RowWithFeatures", [*inputs, (FEATURES, self.features), *optional])
        self._lookup = _Decoders(self.row)
        self._given = _Decoders(self.given_row)
        self._known = tuple(field.name for field in (*spec.keys, *spec.inputs)) + ((FEATURES,) if features else ())
        self._has_features = bool(features)
        self.example = {field.name: _EXAMPLES[field.type] for field in (*spec.keys, *spec.inputs)}
        self.example_features = {field.name: _EXAMPLES[field.type] for field in self.view_features}

    def decode(self, body: bytes) -> Asked:
        """The body's rows; `RequestRefusedError` (422) names each field by its path."""
        is_many = _ENVELOPE.match(body) is not None
        is_given = self._has_features and _GIVES_FEATURES.search(body) is not None
        try:
            rows = (self._given if is_given else self._lookup).rows(body, is_many=is_many)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            mend = self._mend(is_given=is_given)
            raise RequestRefusedError(422, field_problem(error, self._known_at, mend)) from None
        if not 0 < len(rows) <= self.max_rows:
            raise too_many(len(rows), self.max_rows)
        return Asked(rows, is_given, len(rows) if is_given else self._most(rows))

    def _most(self, rows: Sequence[Any]) -> int:
        """How many predictions these rows may ask for: not more than are answered."""
        if self.wildcard is None:
            return len(rows)
        left_out = sum(getattr(row, self.wildcard) is None for row in rows)
        return min(len(rows) + left_out * (self._most_members - 1), self.max_rows)

    def _known_at(self, path: str) -> Sequence[str]:
        return [field.name for field in self.view_features] if path.endswith(FEATURES) else self._known

    def _mend(self, *, is_given: bool) -> str:
        example = self.example | {FEATURES: self.example_features} if is_given else self.example
        return f"for example {msgspec.json.encode({ROWS: [example]}).decode()}"


def field_problem(error: Exception, known: Callable[[str], Sequence[str]] | None = None, mend: str = "") -> Problem:
    """What msgspec says, as a problem that names the field by its path. ``known``: the fields that exist at a path."""
    if not isinstance(error, msgspec.ValidationError):
        return Problem("body", "body", f"it is not JSON: {error}", "a JSON object", mend)
    match = _AT.match(str(error))
    what = match["what"] if match else str(error)
    path = ((match["path"] if match else None) or "$").removeprefix("$").removeprefix(".")
    unknown, absent = _UNKNOWN_FIELD.search(what), _MISSING_FIELD.search(what)
    if unknown is not None:
        names = known(path) if known is not None else ()
        field = f"{path}.{unknown[1]}".lstrip(".")
        mend = did_you_mean(unknown[1], names) if names else ""
        return Problem("field", field, "this field is not known", ", ".join(names), mend)
    if absent is not None:
        return Problem("field", f"{path}.{absent[1]}".lstrip("."), "nothing", "a value: the field is required", mend)
    parts = _EXPECTED.match(what)
    if parts is None:
        return Problem("field", path or "body", what)
    found = parts["found"] or "a value outside of its bounds or form"
    return Problem("field", path or "body", found.replace("`", ""), parts["expected"].replace("`", ""))


class _Decoders:
    """One row or many, each by its own decoder."""

    def __init__(self, row: type[msgspec.Struct]) -> None:
        self._one = msgspec.json.Decoder(row)
        many = msgspec.defstruct("Rows", [(ROWS, list[row])], forbid_unknown_fields=True, gc=False)  # type: ignore[valid-type]
        self._many = msgspec.json.Decoder(many)

    def rows(self, body: bytes, *, is_many: bool) -> Sequence[Any]:
        if is_many:
            found: Sequence[Any] = self._many.decode(body).rows  # type: ignore[attr-defined]
            return found
        return (self._one.decode(body),)


def _struct(name: str, fields: Sequence[Any]) -> type[msgspec.Struct]:
    return msgspec.defstruct(name, list(fields), forbid_unknown_fields=True, gc=False, kw_only=True)
