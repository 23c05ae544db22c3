"""How a source writes its numbers and instants."""

from __future__ import annotations

from dataclasses import dataclass

from inseam.ir.checks import EPOCHS, SourceSpec


@dataclass(frozen=True, slots=True)
class Notation:
    """See `SourceSpec`. ``epoch``: the microseconds of one unit where numbers count time since 1970."""

    timezone: str = "UTC"
    ambiguous: str = "quarantine"
    formats: tuple[str, ...] = ()
    epoch: int | None = None
    decimal: str = "."


def notation_of(spec: SourceSpec) -> Notation:
    formats = tuple(format_ for format_ in spec.timestamp_formats if format_ not in EPOCHS)
    epoch = next((EPOCHS[format_] for format_ in spec.timestamp_formats if format_ in EPOCHS), None)
    return Notation(spec.timezone, spec.ambiguous, formats, epoch, spec.decimal)
