"""JSON lines by blocks; a line that is no JSON object goes to quarantine alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pyarrow as pa

from inseam.ir.checks import SourceSpec
from inseam.kernel.errors import DataError
from inseam.stages.ingest.cells import BLOCK_ROWS, Cells, Reject
from inseam.stages.ingest.location import UNREADABLE, InputFile, undecodable
from inseam.stages.ingest.values import column_of


def read_json_lines(file: InputFile, spec: SourceSpec, advance: Callable[[int], None]) -> Iterator[Cells]:
    """The records of a file, one object a line. Blank lines are no records."""
    decode = msgspec.json.Decoder().decode
    with file.open() as source:
        objects: list[dict[str, Any]] = []
        lines: list[int] = []
        rejects: list[Reject] = []
        position = 0
        for number, line in enumerate(source, start=1):
            position += len(line)
            if not line.strip(b" \t\r\n\xef\xbb\xbf"):
                continue
            try:
                objects.append(_object(decode(_checked(line, file).lstrip(b"\xef\xbb\xbf"))))
                lines.append(number)
            except (msgspec.DecodeError, RecursionError, ValueError) as error:
                _check_lines(line, number, file, spec)
                rejects.append(
                    Reject(number, f"not a JSON object: {error}", line.decode(errors="replace").rstrip("\r\n"))
                )
            if len(objects) + len(rejects) >= BLOCK_ROWS:
                yield _block(objects, lines, rejects)
                advance(position)
                objects, lines, rejects = [], [], []
        yield _block(objects, lines, rejects)
        advance(position)


def _checked(line: bytes, file: InputFile) -> bytes:
    """The line, in which every byte was one of the file's encoding."""
    if file.encoding != "utf-8" and UNREADABLE.encode() in line:
        raise ValueError(undecodable(file))
    return line


def _check_lines(line: bytes, number: int, file: InputFile, spec: SourceSpec) -> None:
    if number == 1 and line.lstrip().startswith(b"["):
        raise DataError(
            f"source:{spec.name}",
            f"{file.path.name} is one JSON array",
            expected="JSON lines: an object a line",
            mend=f"jq -c '.[]' {file.path.name} > {file.path.stem}.jsonl",
        )


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"found {type(value).__name__}")
    return value


def _block(objects: list[dict[str, Any]], lines: list[int], rejects: list[Reject]) -> Cells:
    names = dict.fromkeys(name for row in objects for name in row)
    columns = {name: column_of([row.get(name) for row in objects]) for name in names}
    return Cells(columns, pa.array(lines, pa.int64()), is_text=False, rejects=rejects, has_header=False)
