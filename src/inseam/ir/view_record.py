"""A view's spec as plain data, and back: what the ledger keeps of a version of a view, to compute and read it by."""

from __future__ import annotations

import dataclasses
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from inseam.ir.windows import WindowedAggregate


def plain_view(view: WindowedAggregate) -> dict[str, Any]:
    """JSON-able, metadata included: what reads it again must find the same functions."""
    return dataclasses.asdict(view)


def view_of(data: dict[str, Any]) -> WindowedAggregate:
    """The spec that `plain_view` was given. Fields that a later release added have their defaults."""
    made: WindowedAggregate = _made(WindowedAggregate, data)
    return made


def _made(hint: Any, data: Any) -> Any:
    """Plain data as what a type hint says, where it is a record, one of several, a tuple or a choice."""
    origin, arguments = get_origin(hint), get_args(hint)
    if data is None:
        return None
    if origin in (Union, UnionType):
        kinds = [kind for kind in arguments if kind is not NoneType]
        return _made(next((kind for kind in kinds if _is_of(kind, data)), kinds[0]), data)
    if origin is tuple:
        return tuple(_made(arguments[0], item) for item in data)
    if dataclasses.is_dataclass(hint):
        # Relations name views for type checkers alone: each module needs the other.
        hints = get_type_hints(hint, localns={"WindowedAggregate": WindowedAggregate})
        return hint(**{name: _made(hints[name], item) for name, item in data.items()})  # type: ignore[operator]
    return hint(data) if isinstance(hint, type) and issubclass(hint, Enum) else data


def _is_of(kind: Any, data: Any) -> bool:
    return dataclasses.is_dataclass(kind) and {field.name for field in dataclasses.fields(kind)} == set(data)
