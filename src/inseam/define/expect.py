"""Declarations hold what their annotations say, or are not made: the rest of the code relies on it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from inspect import isfunction
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from inseam.kernel.errors import DefinitionError, Place, Problem

_PACKAGE = str(Path(__file__).parent.parent) + os.sep
_WORDS = {
    str: "text in quotes",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    NoneType: "None",
    Mapping: "a mapping {...: ...}",
    Callable: "a function",
    Iterable: "several values [...]",
    "Aggregate": 'an aggregate such as count(over="30d")',
    "CheckSpec": 'a check such as not_null("amount")',
    "Comparison": "a comparison such as count(orders) == 0",
    "GateSpec": 'a gate such as at_least("roc_auc", 0.7)',
    "FeatureUse": 'some of a view, such as spend["orders_30d"]',
    "Rows": "a Source, Transform or Join",
    "Label": 'Label(..., ahead="60d")',
    "Snapshots": "snapshots(...)",
    "SpineRows": "rows(...)",
    "SpineTable": "table(...)",
    "Wildcard": "wildcard(...)",
    "Split": "Split(...)",
}
"""What users call a type; a class of ours by its name."""
_hints: dict[Any, Mapping[str, Any]] = {}


def caller_place() -> Place | None:
    """The nearest frame outside this package: where the user wrote it."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((_PACKAGE, "<string>", "<frozen")):
            return Place(file, frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]
    return None


def imported_now() -> str:
    """The module whose statements are being run just now, the innermost; empty where none is."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            return str(frame.f_globals.get("__name__", ""))
        frame = frame.f_back  # type: ignore[assignment]
    return ""


def expect_types(record: Any, subject: str = "") -> None:
    """Refuse a record with fields that are not of their annotated types; `DefinitionError` with all of them.

    ``subject`` is what users call it; a declaration names itself.

    Durations and instants are left to those who read them: they know what to say of a number without a unit.
    """
    subject = subject or f"{record.KIND}:{record.name!s}"
    given = {f.name: getattr(record, f.name) for f in fields(record) if f.metadata.get("is_typed", True)}
    _refuse(subject, given, _hints_of(type(record)))


def expect_arguments(function: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Refuse arguments that are not of their annotated types; ``given`` are the function's ``locals()``."""
    _refuse(function.__name__, given, _hints_of(function))


def expect_choice(value: Any, choices: tuple[str, ...], subject: str, what: str) -> None:
    """Refuse a word that is none of the choices."""
    if value not in choices:
        expected = ", ".join(choices)
        raise DefinitionError(subject, f"{what} is {value!r}", expected=expected, place=caller_place())


def _hints_of(annotated: Any) -> Mapping[str, Any]:
    """Annotations are texts: understood once."""
    if annotated not in _hints:
        _hints[annotated] = get_type_hints(annotated)
    return _hints[annotated]


def _refuse(subject: str, given: Mapping[str, Any], hints: Mapping[str, Any]) -> None:
    place = caller_place()
    problems = [
        Problem("type-wrong", subject, f"{name} is {_shown(found)}", expected, place=place)
        for field, value in given.items()
        for name, found, expected in _misfits(field, value, hints[field])
    ]
    if problems:
        raise DefinitionError.of(problems)


def _misfits(name: str, value: Any, hint: Any) -> Iterator[tuple[str, Any, str]]:
    """The part that does not fit, down to the item of a collection: its name, it, what is expected of it."""
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if any(_fits(value, option) for option in options):
        return
    for option in options:
        origin = get_origin(option)
        if origin in (tuple, list) and isinstance(value, origin):
            for place, item in enumerate(value):
                yield from _misfits(f"{name}[{place}]", item, get_args(option)[0])
            return
        if origin is Mapping and isinstance(value, Mapping):
            of_key, of_value = get_args(option)
            for key, item in value.items():
                yield from _misfits(f"a key of {name}", key, of_key)
                yield from _misfits(f"{name}[{key!r}]", item, of_value)
            return
    yield name, value, " or ".join(dict.fromkeys(_word(option) for option in options if option is not NoneType))


def _fits(value: Any, hint: Any) -> bool:
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin in (tuple, list):
        return isinstance(value, origin) and all(_fits(item, parts[0]) for item in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(_fits(k, parts[0]) and _fits(v, parts[1]) for k, v in value.items())
    if hint in (int, float):
        return isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
    return isinstance(value, origin or hint)


def _word(hint: Any) -> str:
    kind = get_origin(hint) or hint
    if kind in (tuple, list):
        part = get_args(hint)[0]
        parts = get_args(part) if get_origin(part) in (Union, UnionType) else (part,)
        return f"several of: {', '.join(_word(each) for each in parts)}"
    name = getattr(kind, "__name__", str(kind))
    return str(_WORDS.get(kind, _WORDS.get(name, name)))


def _shown(value: Any) -> str:
    """A declaration by its reference, a function by its name; others as Python shows them, cut to a line's length."""
    text = str(value.ref) if hasattr(type(value), "ref") else repr(value)
    if isfunction(value):
        text = f"the function {value.__name__}"
    return text if len(text) <= 120 else f"{text[:117]}..."
