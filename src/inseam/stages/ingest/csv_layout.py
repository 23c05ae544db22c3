"""The layout of a CSV file: its delimiter, its columns, and where its header ends."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from inseam.ir.checks import SourceSpec
from inseam.kernel.errors import DataError
from inseam.stages.ingest.location import UNREADABLE, InputFile

DELIMITERS = (",", ";", "\t", "|")
_HEAD = 1 << 16


@dataclass(frozen=True, slots=True)
class Layout:
    """``blank_lines`` come before the header record, which ends on physical line ``header_end``."""

    names: tuple[str, ...]
    delimiter: str
    blank_lines: int


def layout(file: InputFile, spec: SourceSpec) -> Layout | None:
    """Read the header; None for a file without any record."""
    with file.open() as source:
        head = source.read(_HEAD).decode(errors="ignore")
    stripped = head.lstrip("\r\n")
    if not stripped:
        return None
    blank = len(head[: len(head) - len(stripped)].replace("\r\n", "\n"))
    delimiter = spec.delimiter or _sniff(stripped)
    header = stripped.partition("\n")[0]
    if UNREADABLE in header or "\0" in header:
        raise DataError(
            f"source:{spec.name}",
            f"the header of {file.path.name} is not {spec.encoding or 'utf-8'}",
            mend=f"declare the source's encoding, e.g. encoding={'utf-16-le' if chr(0) in header else 'cp1252'!r}",
        )
    names = next(csv.reader(io.StringIO(stripped, newline=""), delimiter=delimiter))
    return Layout(unique_names(names), delimiter, blank)


def _sniff(text: str) -> str:
    """The delimiter by which the first records have the most columns, and equally many."""
    sample = text[: text.rfind("\n") + 1] or text

    def score(delimiter: str) -> tuple[float, int]:
        rows = list(islice(csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter), 20))
        widths = [len(row) for row in rows if row]
        agreeing = sum(width == widths[0] for width in widths) / len(widths)
        return (agreeing if widths[0] > 1 else 0.0, widths[0])

    return max(DELIMITERS, key=score)


def unique_names(names: Iterable[str]) -> tuple[str, ...]:
    """Names as they stand as column names: one without a name is ``column_N``, one that repeats gets a number."""
    found: list[str] = []
    for place, name in enumerate(names, start=1):
        plain = name.strip() or f"column_{place}"
        candidate, count = plain, 1
        while candidate in found:
            count += 1
            candidate = f"{plain}_{count}"
        found.append(candidate)
    return tuple(found)
