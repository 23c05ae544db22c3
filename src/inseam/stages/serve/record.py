"""What the prediction log holds: contexts (said once), batches of predictions by column, outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from inseam.kernel.types import DataType, Field

Names = tuple[tuple[str, DataType], ...]
Packed = bytes | list[Any]
"""A column: float64 bytes for numbers, int64 bytes for instants (NaT is the least integer), a list for strings."""
NO_INSTANT = -(2**63)
NO_VERSION = -1


class Context(msgspec.Struct, array_like=True, tag="context", frozen=True):
    """What all predictions of one endpoint by one model version share. ``id`` is how batches name it."""

    id: str
    endpoint: str
    model: str
    version: int
    digest: str
    keys: Names
    inputs: Names
    features: Names
    derived: Names
    views: tuple[str, ...]


class Batch(msgspec.Struct, array_like=True, tag="batch"):
    """Predictions that were made together, by column. ``ids`` are 16 bytes each, big-endian.

    ``keys`` and ``inputs`` hold the request's own values (instants as UTC microseconds, dates as days). ``boundaries``,
    ``versions`` (int64) and ``missing``, ``stale`` (bool) are a column a view; empty when the caller gave the features.
    ``output`` is float64 of ``width`` columns, row by row.
    """

    context: str
    at: int
    ids: bytes
    latency: list[int]
    keys: list[Sequence[Any]]
    inputs: list[Sequence[Any]]
    features: list[Packed]
    derived: list[Packed]
    boundaries: list[bytes]
    versions: list[bytes]
    missing: list[bytes]
    stale: list[bytes]
    output: bytes
    width: int


class Outcome(msgspec.Struct, array_like=True, tag="outcome"):
    """What became true of one prediction. ``number`` for numbers and bools, ``text`` for class names."""

    id: bytes
    endpoint: str
    recorded_at: int
    observed_at: int | None
    number: float | None
    text: str | None


Entry = Context | Batch | Outcome


@dataclass(frozen=True, slots=True)
class ViewRead:
    """What one view gave to one prediction; None where no row was found or the caller gave the values."""

    boundary: int | None
    version: int | None
    is_missing: bool
    is_stale: bool


@dataclass(frozen=True, slots=True)
class PredictionRecord:
    """One served prediction, complete enough to be made again. Instants are UTC microseconds.

    Feature values are those that the model saw: numbers and bools as floats, None for NULL, instants as microseconds,
    dates as days. ``views`` is empty when the caller gave the features itself. ``output`` is the model's row.
    """

    id: str
    endpoint: str
    model: str
    model_version: int
    model_digest: str
    at: int
    latency_us: int
    keys: dict[str, Any]
    inputs: dict[str, Any]
    features: dict[str, Any]
    derived: dict[str, Any]
    views: dict[str, ViewRead]
    output: tuple[float, ...]


def names_of(fields: tuple[Field, ...]) -> Names:
    return tuple((field.name, field.type) for field in fields)
