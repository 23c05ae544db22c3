"""TIME.md in plain Python, row by row: slow, obvious, and sharing no code with what it judges.

Instants are UTC microseconds. A row is a dict; its event time is ``ts``, its ingestion time ``known`` (None for
history), its place in the order of loading ``seq``. Of a source with upserts rows go through `corrected` first, which
adds ``until``: the instant from which a row no longer counts, None for ever.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]
_UTC = timezone.utc  # noqa: UP017 (spelt out: this page borrows nothing)
_DAY = 24 * 60 * 60 * 1_000_000


@dataclass(frozen=True)
class Question:
    """One feature or label. ``where`` is a predicate over a row (None is no)."""

    kind: str
    column: str | None = None
    over: int | None = None
    where: Callable[[Row], bool | None] | None = None
    quantile: float | None = None
    every: int = 0
    zone: str | None = None
    lag: int = 0
    ahead: int | None = None
    """For a label: the window is ``[t, t + ahead)``, whenever its rows came."""
    parts: tuple[Question, ...] = ()
    """Of a ratio or difference: the two that it is taken of."""


def boundary(t: int, every: int, zone: str | None, lag: int) -> int:
    """The newest boundary at or before ``t - lag``."""
    readable = t - lag
    if every == 0:
        return readable
    if zone is None:
        return (readable // every) * every
    days = every // _DAY
    number = readable // _DAY - 2 * days
    while number % days:
        number -= 1
    newest = None
    while number <= readable // _DAY + 2:
        midnight = first_instant(number, zone)
        if midnight <= readable and (newest is None or midnight > newest):
            newest = midnight
        number += days
    assert newest is not None
    return newest


@lru_cache(maxsize=100_000)
def first_instant(day: int, zone: str) -> int:
    """The first minute whose local calendar shows day number ``day`` (from 1970-01-01) or, if it is skipped, later."""
    calendar = date(1970, 1, 1) + timedelta(days=day)
    moment = datetime(calendar.year, calendar.month, calendar.day, tzinfo=_UTC) - timedelta(hours=16)
    while moment.astimezone(ZoneInfo(zone)).date() < calendar:
        moment += timedelta(minutes=1)
    return int((moment - datetime(1970, 1, 1, tzinfo=_UTC)) / timedelta(microseconds=1))


def value(rows: Sequence[Row], question: Question, t: int) -> Any:
    """``value(k, t)`` over the rows of one key."""
    if question.kind in ("ratio", "difference"):
        one, other = (value(rows, part, t) for part in question.parts)
        if one is None or other is None or (question.kind == "ratio" and other == 0):
            return None
        return float(one) / float(other) if question.kind == "ratio" else float(one) - float(other)
    if question.kind in ("time_since_first", "time_since_last"):
        return _time_since(rows, question, t)
    inside = [row for row in rows if _counts(row, question, t)]
    return _aggregate(inside, question)


def _time_since(rows: Sequence[Row], question: Question, t: int) -> float | None:
    """Seconds between the window's end and the oldest or newest row in it."""
    instants_ = [row["ts"] for row in rows if _counts(row, question, t)]
    if not instants_:
        return None
    end = boundary(t, question.every, question.zone, question.lag) if question.ahead is None else t + question.ahead
    passed: int = end - (min(instants_) if question.kind == "time_since_first" else max(instants_))
    return passed / 1_000_000


def _counts(row: Row, question: Question, t: int) -> bool:
    if row["ts"] is None:
        return False
    if question.where is not None and question.where(row) is not True:
        return False
    until = row.get("until")
    if question.ahead is not None:
        return until is None and bool(t <= row["ts"] < t + question.ahead)
    b = boundary(t, question.every, question.zone, question.lag)
    if row["ts"] >= b:
        return False
    if question.over is not None and row["ts"] < b - question.over:
        return False
    if until is not None and until <= b + question.lag:
        return False
    return bool(row["known"] is None or row["known"] <= b + question.lag)


def corrected(rows: Sequence[Row], key: Sequence[str], deleted: Callable[[Row], bool | None] | None) -> list[Row]:
    """All rows of a source with upserts by ``key``, each with ``until``: when the first that supersedes it is known."""
    found: list[Row] = []
    for row in rows:
        ends = []
        if all(row[name] is not None for name in key):
            for other in rows:
                is_deletion = other is row and deleted is not None and deleted(row) is True
                is_later = _loaded(other) > _loaded(row) and all(other[name] == row[name] for name in key)
                if is_deletion or is_later:
                    ends.append(other["ts"] if other["known"] is None else other["known"])
        found.append({**row, "until": min((end for end in ends if end is not None), default=None)})
    return found


def _loaded(row: Row) -> tuple[float, float]:
    return -math.inf if row["known"] is None else row["known"], row["seq"]


def _aggregate(rows: Sequence[Row], question: Question) -> Any:
    kind = question.kind
    if kind == "count" and question.column is None:
        return len(rows)
    assert question.column is not None
    if kind in ("first", "last"):
        if not rows:
            return None
        ordered = sorted(rows, key=_place)
        return _cell(ordered[0] if kind == "first" else ordered[-1], question.column)
    cells = [cell for cell in (_cell(row, question.column) for row in rows) if cell is not None]
    if kind == "count":
        return len(cells)
    if kind == "distinct":
        return len(set(cells))
    if not cells:
        return None
    if kind in ("min", "max"):
        return min(cells) if kind == "min" else max(cells)
    if kind == "sum":
        return sum(cells) if isinstance(cells[0], int) else math.fsum(cells)
    if kind == "mean":
        return math.fsum(cells) / len(cells)
    if kind == "std":
        return _deviation(cells)
    assert kind == "quantile" and question.quantile is not None
    return _quantile(sorted(cells), question.quantile)


def _place(row: Row) -> tuple[int, float, float]:
    """By event time, then ingestion (history first), then the order of loading."""
    known = -math.inf if row["known"] is None else row["known"]
    return row["ts"], known, -math.inf if row["seq"] is None else row["seq"]


def _cell(row: Row, column: str) -> Any:
    cell = row[column]
    return None if isinstance(cell, float) and math.isnan(cell) else cell


def _deviation(cells: Sequence[float]) -> float | None:
    if len(cells) < 2:
        return None
    mean = math.fsum(cells) / len(cells)
    return math.sqrt(math.fsum((cell - mean) ** 2 for cell in cells) / (len(cells) - 1))


def _quantile(cells: Sequence[float], share: float) -> float:
    place = (len(cells) - 1) * share
    low = math.floor(place)
    high = min(low + 1, len(cells) - 1)
    return cells[low] + (cells[high] - cells[low]) * (place - low)


def snapshots(
    rows: Sequence[Row], keys: Sequence[str], every: int, zone: str | None, active: int | None, start: int, end: int
) -> list[tuple[Any, ...]]:
    """``(instant, *key)`` of a snapshot spine, sorted: keys with a row in ``[instant - active, instant)``."""
    found = set()
    for instant in instants(start, end, every, zone):
        for row in rows:
            key = tuple(row[name] for name in keys)
            if row["ts"] is None or None in key or row.get("until") is not None:
                continue
            if row["ts"] < instant and (active is None or instant - active <= row["ts"]):
                found.add((instant, *key))
    return sorted(found)


def instants(start: int, end: int, every: int, zone: str | None) -> list[int]:
    """Every boundary in ``[start, end)``."""
    found, t = [], end
    while t > start:
        b = boundary(t - 1, every, zone, 0)
        if b < start:
            break
        found.append(b)
        t = b
    return sorted(found)
