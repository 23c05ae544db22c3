"""Texts and naive timestamps to UTC instants and dates. What could mean two instants is never guessed."""

from __future__ import annotations

import re
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as at

from inseam.kernel.types import DataType, arrow_type
from inseam.stages.ingest import epoch
from inseam.stages.ingest.cast import NULL_WORDS, Faults, scatter
from inseam.stages.ingest.notation import Notation

_NAIVE = pa.timestamp("us")
_UTC = arrow_type(DataType.TIMESTAMP)
_ISO_DATE = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
_ISO_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
_ISO = rf"^{_ISO_DATE}([ T]{_ISO_TIME})?$"
_ISO_ZONED = rf"^{_ISO_DATE}[ T]{_ISO_TIME}(Z|[+-][0-9]{{2}}:?[0-9]{{2}})$"
_NO_DAY_AFTER = date(9999, 12, 30)
"""A day early: in some zone it is the year 10000 by then."""
_SLASHED = re.compile(r"\s*\d{1,2}[/.\-]\d{1,2}[/.\-]\d{2,4}\b")
_COUNT = re.compile(r"\s*[+-]?\d+(\.\d*)?\s*\Z")
_SIMPLE = re.compile(r"(?:[^%]|%[YmdHMS])+\Z")
"""Formats that Arrow's own parser reads as Python's does, but for days past a month's end."""


def timestamps(column: pa.Array, notation: Notation) -> tuple[pa.Array, Faults]:
    """A plain column as ``timestamp[us, UTC]``."""
    if at.is_timestamp(column.type) and column.type.tz is not None:
        return column.cast(_UTC, safe=False), {}
    if at.is_timestamp(column.type) or at.is_date(column.type):
        return _localised(column.cast(_NAIVE, safe=False), notation)
    if notation.epoch is None:
        return _written(column, notation)
    counted = epoch.instants(column, notation.epoch)
    rest, faults = _written(pc.if_else(pc.is_valid(counted), pa.scalar(None, column.type), column), notation)
    return pc.coalesce(counted, rest), faults


def _written(column: pa.Array, notation: Notation) -> tuple[pa.Array, Faults]:
    """A column without types of time, by its cells' texts."""
    texts = column if at.is_string(column.type) else column.cast(pa.string())
    if not notation.formats:
        try:
            return _localised(pc.cast(texts, _NAIVE), notation)
        except pa.ArrowInvalid:
            pass
    return _mixed(texts, notation)


def dates(column: pa.Array, notation: Notation) -> tuple[pa.Array, Faults]:
    """A plain column as ``date32``."""
    if at.is_temporal(column.type):
        return column.cast(pa.date32(), safe=False), {}
    texts = column if at.is_string(column.type) else column.cast(pa.string())
    if not notation.formats:
        try:
            return pc.cast(texts, pa.date32()), {}
        except pa.ArrowInvalid:
            pass
    values = pa.nulls(len(texts), pa.date32())
    return scatter(texts, pc.is_valid(texts), values, lambda text: _date(text, notation))


def within_years(values: pa.Array, faults: Faults) -> tuple[pa.Array, Faults]:
    """Instants or dates without those outside of the years 1 to 9999, which few programs can show."""
    earliest, latest = (pa.scalar(day, pa.date32()).cast(values.type) for day in (date(1, 1, 1), _NO_DAY_AFTER))
    outside = pc.or_(pc.less(values, earliest), pc.greater(values, latest))
    if not pc.any(outside).as_py():
        return values, faults
    rows = np.flatnonzero(pc.fill_null(outside, False).to_numpy(zero_copy_only=False))
    inside = pc.if_else(outside, pa.scalar(None, values.type), values)
    return inside, faults | {int(row): "is not in the years 1 to 9999" for row in rows}


def _mixed(texts: pa.Array, notation: Notation) -> tuple[pa.Array, Faults]:
    """Cells of several forms: declared formats in their order, then ISO with and without an offset."""
    naive, zoned = pa.nulls(len(texts), _NAIVE), pa.nulls(len(texts), _UTC)
    for format_ in notation.formats:
        # As soon as a format is not simple, Python reads it and all that come after it: their order counts.
        if not _SIMPLE.match(format_):
            break
        naive = pc.coalesce(naive, _strptime(texts, format_))
    open_ = pc.and_(pc.is_valid(texts), pc.is_null(naive))
    if all(_SIMPLE.match(format_) for format_ in notation.formats):
        is_naive = pc.and_(open_, pc.fill_null(pc.match_substring_regex(texts, _ISO), False))
        naive = pc.coalesce(naive, pc.cast(pc.if_else(is_naive, texts, pa.scalar(None, pa.string())), _NAIVE))
        is_zoned = pc.and_(open_, pc.fill_null(pc.match_substring_regex(texts, _ISO_ZONED), False))
        zoned = pc.cast(pc.if_else(is_zoned, texts, pa.scalar(None, pa.string())), _UTC)
        open_ = pc.and_(open_, pc.invert(pc.or_(is_naive, is_zoned)))
    parsed: dict[str, datetime | None] = {}

    def parse(text: str) -> datetime | None:
        parsed[text] = _datetime(text, notation)
        moment = parsed[text]
        return None if moment is None else moment.replace(tzinfo=None)

    naive, faults = scatter(texts, open_, naive, parse)
    # Those with an offset are instants already: they must not be read as local times.
    offsets = {text: moment for text, moment in parsed.items() if moment is not None and moment.tzinfo is not None}
    if offsets:
        zoned, _ = scatter(texts, open_, zoned, offsets.get)
    local, local_faults = _localised(pc.if_else(pc.is_valid(zoned), pa.scalar(None, _NAIVE), naive), notation)
    return pc.coalesce(zoned, local), faults | local_faults


def _strptime(texts: pa.Array, format_: str) -> pa.Array:
    """NULL where the text has another form. Arrow rolls 31 February on into March: early days are read again."""
    values = pc.strptime(texts, format=format_, unit="us", error_is_null=True)
    doubtful = pc.fill_null(pc.less_equal(pc.day(values), 3), False)

    def parse(text: str) -> datetime | None:
        try:
            return datetime.strptime(text, format_)  # noqa: DTZ007 - made aware by the source's zone
        except ValueError:
            return None

    return scatter(texts, doubtful, values, parse)[0]


def _datetime(text: str, notation: Notation) -> datetime | None:
    """One cell; ValueError says why it is no instant."""
    word = text.strip()
    if word.lower() in NULL_WORDS:
        return None
    for format_ in notation.formats:
        try:
            return datetime.strptime(word, format_)  # noqa: DTZ007 - made aware by the source's zone
        except ValueError:
            continue
    try:
        if not word[:4].isdecimal() or len(word) < 8:
            raise ValueError
        return datetime.fromisoformat(word)
    except ValueError:
        raise ValueError(_reason(word, "timestamp", notation)) from None


def _date(text: str, notation: Notation) -> date | None:
    try:
        moment = _datetime(text, notation)
    except ValueError:
        raise ValueError(_reason(text, "date", notation)) from None
    if moment is not None and (moment.hour or moment.minute or moment.second or moment.microsecond):
        raise ValueError("is not date: it has a time of day")
    return None if moment is None else moment.date()


def _reason(text: str, type_: str, notation: Notation) -> str:
    if notation.formats:
        return f"is not {type_} in the declared formats ({', '.join(notation.formats)}) or ISO 8601"
    if _COUNT.match(text) and notation.epoch is None:
        return f"is not {type_} in ISO 8601, but a number; declare timestamp_formats, e.g. 'epoch_s' or 'epoch_ms'"
    if _SLASHED.match(text):
        return f"is not {type_}: day or month may come first; declare timestamp_formats, e.g. '%d/%m/%Y %H:%M'"
    return f"is not {type_} in ISO 8601; declare timestamp_formats"


def _localised(naive: pa.Array, notation: Notation) -> tuple[pa.Array, Faults]:
    """Local times of the source's zone as UTC; those that a clock change doubles or skips by the source's notation."""
    if notation.timezone.upper() == "UTC":
        return pc.assume_timezone(naive, "UTC"), {}
    if notation.ambiguous != "quarantine":
        return _assumed(naive, notation.timezone, notation.ambiguous), {}
    early, late = (_assumed(naive, notation.timezone, side) for side in ("earliest", "latest"))
    twofold = pc.fill_null(pc.not_equal(early, late), False)
    if not pc.any(twofold).as_py():
        return early, {}
    back = pc.local_timestamp(early.cast(pa.timestamp("us", tz=notation.timezone)))
    is_real = pc.equal(back, naive)
    faults: Faults = {}
    for row in np.flatnonzero(twofold.to_numpy(zero_copy_only=False)).tolist():
        fault = "twice (ambiguous)" if is_real[row].as_py() else "never (impossible)"
        faults[row] = f"is a local time that {notation.timezone} has {fault}; declare ambiguous='earliest' or 'latest'"
    return pc.if_else(twofold, pa.scalar(None, _UTC), early), faults


def _assumed(naive: pa.Array, timezone: str, side: str) -> pa.Array:
    return pc.assume_timezone(naive, timezone, ambiguous=side, nonexistent=side).cast(_UTC)
