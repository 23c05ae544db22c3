from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace

STDIN = Path("-")


def push(
    source: Annotated[str, typer.Argument(help="A source that is a stream.")],
    file: Annotated[Path, typer.Argument(help="CSV (*.csv) or JSON lines; - reads from standard input.")] = STDIN,
    is_csv: Annotated[bool, typer.Option("--csv", help="What is read is CSV, whatever it is called.")] = False,
    key: Annotated[
        str,
        typer.Option(
            help='Names the rows, with their places, where they have no "_id". Default: a digest of the file.'
        ),
    ] = "",
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
) -> None:
    """Push rows to a stream: kept durably, each id once. The same file pushed again, or the rest of it, adds nothing.

    Example: inseam push orders orders.jsonl
    """
    with workspace(project, environment) as opened, _opened(file) as text, terminal.bars(is_silent=json) as progress:
        named = key or ("" if file == STDIN else _digest(file))
        rows = _csv(text) if is_csv or file.suffix == ".csv" else _lines(text, file)
        pushed = opened.push(source, rows, key=named, progress=progress)
    if json:
        terminal.print_json({"source": source, "pushed": pushed})
    else:
        terminal.table("Pushed", ("source", "rows"), [(source, pushed)])


@contextmanager
def _opened(file: Path) -> Iterator[IO[str]]:
    from inseam.kernel.errors import NotFoundError

    if file == STDIN:
        yield sys.stdin
        return
    if not file.is_file():
        raise NotFoundError(str(file), "there is no such file")
    with file.open(encoding="utf-8-sig", newline="") as text:
        yield text


def _digest(file: Path) -> str:
    import hashlib

    with file.open("rb") as content:
        return hashlib.file_digest(content, "blake2b").hexdigest()[:32]


def _csv(text: IO[str]) -> Iterator[Mapping[str, Any]]:
    """An empty cell is no cell."""
    import csv

    for row in csv.DictReader(text):
        yield {name: cell for name, cell in row.items() if cell}


def _lines(text: IO[str], file: Path) -> Iterator[Mapping[str, Any]]:
    import msgspec

    from inseam.kernel.errors import DataError

    decode = msgspec.json.Decoder(dict[str, Any]).decode
    for number, line in enumerate(text, start=1):
        if line.strip():
            try:
                yield decode(line)
            except (msgspec.DecodeError, RecursionError) as error:
                raise DataError(
                    str(file), f"line {number} is no JSON object: {error}", mend="give JSON lines, or --csv"
                ) from None
