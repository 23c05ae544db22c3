"""TIME.md in plain Python, row by row: slow, obvious, and sharing no code with what it judges.

Instants are UTC microseconds. A row is a dict; its event time is ``ts``, its ingestion time ``known`` (None for
history), its place in the order of loading ``seq``. Of a source with upserts rows go through `corrected` first, which
adds ``until``: the instant from which a row no longer counts, None for ever.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]
_UTC = timezone.utc  # noqa: UP017 (spelt out: this page borrows nothing)
_DAY = 24 * 60 * 60 * 1_000_000
HASHES = 1024
"""How many hashes approx_distinct keeps."""


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
    rank: int | None = None
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


def joined(
    rows: Sequence[Row], others: Sequence[Row], on: Mapping[str, str], questions: Mapping[str, Question]
) -> list[Row]:
    """The rows that have an instant, each with ``value(k, ts)`` of some features of other rows as columns of its own.

    ``on``: key of the others -> the column of the row that holds it. NULL is nobody's key.
    """
    found: list[Row] = []
    for row in rows:
        if row["ts"] is not None:
            of = [o for o in others if all(o[key] is not None and o[key] == row[column] for key, column in on.items())]
            found.append({**row, **{name: value(of, question, row["ts"]) for name, question in questions.items()}})
    return found


def _loaded(row: Row) -> tuple[float, float]:
    return -math.inf if row["known"] is None else row["known"], row["seq"]


def _aggregate(rows: Sequence[Row], question: Question) -> Any:
    kind = question.kind
    if kind == "count" and question.column is None:
        return len(rows)
    assert question.column is not None
    if kind in ("first", "last", "last_n"):
        ordered = sorted(rows, key=_place, reverse=kind != "first")
        place = (question.rank or 1) - 1
        return _cell(ordered[place], question.column) if place < len(ordered) else None
    cells = [cell for cell in (_cell(row, question.column) for row in rows) if cell is not None]
    if kind == "count":
        return len(cells)
    if kind == "distinct":
        return len(set(cells))
    if kind == "approx_distinct":
        return _approx_distinct({_hash(cell) for cell in cells})
    if not cells:
        return None
    if kind in ("min", "max"):
        return min(cells) if kind == "min" else max(cells)
    if kind == "sum":
        return sum(cells) if isinstance(cells[0], int) else math.fsum(cells)
    if kind == "top_k":
        different = sorted(set(cells), key=lambda cell: (-cells.count(cell), cell))
        return different[question.rank - 1] if question.rank is not None and question.rank <= len(different) else None
    if kind == "approx_quantile":
        assert question.quantile is not None
        return sorted(map(_rounded, cells))[math.floor((len(cells) - 1) * question.quantile)]
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


def _rounded(cell: float) -> float:
    """To 8 significant binary digits, half away from 0, in the bits of the float."""
    (bits,) = struct.unpack("<Q", struct.pack("<d", cell))
    (rounded,) = struct.unpack("<d", struct.pack("<Q", (bits + (1 << 44)) >> 45 << 45))
    return float(rounded) + 0.0


def _hash(cell: Any) -> int:
    """63 bits: of BLAKE2b of a text, else of SplitMix64 of the number's 64 bits."""
    if isinstance(cell, str):
        return int.from_bytes(hashlib.blake2b(cell.encode(), digest_size=8).digest(), "little") >> 1
    if isinstance(cell, float):
        word = int(struct.unpack("<Q", struct.pack("<d", cell + 0.0))[0])
    else:
        word = (cell - date(1970, 1, 1)).days if isinstance(cell, date) else int(cell)
    z = (word + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return int(z ^ (z >> 31)) >> 1


def _approx_distinct(hashes: set[int]) -> int:
    """Exact below `HASHES`; else what the `HASHES`th least hash says of how densely they lie."""
    if len(hashes) < HASHES:
        return len(hashes)
    share = (sorted(hashes)[HASHES - 1] >> 10) * 2.0**-53
    return math.floor((HASHES - 1) / share + 0.5)


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
