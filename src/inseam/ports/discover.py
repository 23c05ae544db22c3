"""Finds adapters by entry point: built-in ones are registered in the same way as anybody's."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from inseam.kernel.errors import ExtraMissingError, SettingError
from inseam.kernel.names import did_you_mean

GROUPS = ("engine", "tables", "ledger", "online", "tracker", "model_format", "stream_log", "consumer")
"""The kinds of adapters. The entry point group of a kind is ``inseam.<kind>``."""


def available(kind: str) -> dict[str, EntryPoint]:
    """The adapters of a kind that are installed, by name, without importing them."""
    return {point.name: point for point in entry_points(group=f"inseam.{kind}")}


def adapter(kind: str, name: str) -> Any:
    """The adapter's factory. `SettingError` for an unknown name, `ExtraMissingError` for a missing library."""
    found = available(kind)
    if name not in found:
        raise SettingError(kind, f"there is no {kind} adapter called {name!r}", mend=did_you_mean(name, found))
    point = found[name]
    try:
        return point.load()
    except ModuleNotFoundError as error:
        extra = point.extras[0] if point.extras else point.name
        raise ExtraMissingError.for_library(error.name or name, extra) from error
