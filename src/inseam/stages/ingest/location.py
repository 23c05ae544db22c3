"""Finds a source's files and opens them as UTF-8, whatever they were written in."""

from __future__ import annotations

import codecs
import glob
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import xxhash

from inseam.ir.checks import SourceSpec
from inseam.kernel.errors import DataError, NotFoundError

FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}
CHUNK = 4 << 20
UNREADABLE = "\ufffd"
"""Stands in recoded text for bytes that the encoding cannot read."""
_BINARY = {b"\x1f\x8b": "gzip", b"PAR1": "Parquet", b"PK\x03\x04": "a ZIP archive or an Excel workbook"}
_BOMS = (
    # UTF-32's first: it begins as UTF-16's does.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file as it was when its digest was taken. ``encoding`` is Python's name of the codec that reads its text."""

    path: Path
    format: str
    size: int
    modified: int
    """Nanoseconds since the epoch, as `os.stat` says."""
    digest: str
    encoding: str

    def is_unchanged(self) -> bool:
        """Whether the file is still the one whose digest was taken."""
        now = self.path.stat()
        return (now.st_size, now.st_mtime_ns) == (self.size, self.modified)

    def open(self) -> IO[bytes]:
        """The text in UTF-8 without a byte order mark; bytes that its encoding cannot read come as U+FFFD."""
        raw = _open(self.path)
        if self.encoding == "utf-8":
            return raw
        return io.BufferedReader(_Recoded(raw, self.encoding), CHUNK)  # type: ignore[type-var]


class _Recoded(io.RawIOBase):
    """A byte stream in one encoding, read as UTF-8."""

    def __init__(self, raw: IO[bytes], encoding: str) -> None:
        self._raw = raw
        self._decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        while not self._rest:
            chunk = self._raw.read(CHUNK)
            self._rest = self._decoder.decode(chunk, final=not chunk).encode()
            if not chunk:
                break
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


def find_files(spec: SourceSpec) -> list[Path]:
    """The files of a source's location in sorted order; `NotFoundError` when there is none."""
    location = spec.location or ""
    path = Path(location)
    if path.is_dir():
        found = [file for file in path.rglob("*") if file.is_file() and _is_data(file.relative_to(path), spec)]
    elif path.is_file():
        found = [path]
    else:
        # Path.glob takes no absolute pattern.
        found = [Path(file) for file in glob.iglob(location, recursive=True) if Path(file).is_file()]  # noqa: PTH207
    if not found:
        raise NotFoundError(
            f"source:{spec.name}",
            f"there is no file at {location}",
            expected="a file, a directory or a pattern such as data/*.csv",
            mend="mend the location, or put the files there",
        )
    return sorted(found)


def examine(path: Path, spec: SourceSpec) -> InputFile:
    """Take a file's digest (xxh3, 128 bits, over its bytes) and find out its format and encoding."""
    form = spec.format or _format(path)
    if form is None:
        raise DataError(
            f"source:{spec.name}",
            f"the format of {path.name} is not known by its name",
            expected=", ".join(FORMATS),
            mend="declare the source's format: csv, parquet or jsonl",
        )
    digest = xxhash.xxh3_128()
    try:
        before = path.stat()
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        encoding = "binary" if form == "parquet" else _encoding(path, spec)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"source:{spec.name}", f"{path.name} cannot be read: {error}") from error
    return InputFile(path, form, before.st_size, before.st_mtime_ns, digest.hexdigest(), encoding)


def physical_lines(file: InputFile) -> Iterator[str]:
    """A text file's lines with their ends as they are; LF, CR and CR LF each end one."""
    with io.TextIOWrapper(file.open(), encoding="utf-8", newline="") as text:
        yield from text


def undecodable(file: InputFile) -> str:
    """Why text of the file cannot be read."""
    name = file.encoding.removesuffix("-sig")
    return f"bytes that are not {name}; declare the source's encoding, e.g. encoding='cp1252'"


def _encoding(path: Path, spec: SourceSpec) -> str:
    if spec.encoding is not None:
        try:
            name = codecs.lookup(spec.encoding).name
        except LookupError:
            mend = "an encoding that Python knows, e.g. utf-8, utf-16, cp1252 or latin-1"
            raise DataError(f"source:{spec.name}", f"there is no encoding {spec.encoding!r}", mend=mend) from None
        return "utf-8-sig" if name == "utf-8" else name
    with _open(path) as file:
        head = file.read(4)
        for magic, what in _BINARY.items():
            if head.startswith(magic):
                mend = "give the file the ending of what it is, or the source its format"
                raise DataError(f"source:{spec.name}", f"{path.name} is not text but {what}", mend=mend)
        for mark, encoding in _BOMS:
            if head.startswith(mark):
                return encoding
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            decoder.decode(head)
            while chunk := file.read(CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            # Recoding puts U+FFFD where bytes cannot be read: those cells go to quarantine and no others.
            return "utf-8-sig"
    return "utf-8"


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _format(path: Path) -> str | None:
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    return FORMATS.get(plain.suffix.lower())


def _is_data(relative: Path, spec: SourceSpec) -> bool:
    is_hidden = any(part.startswith((".", "_")) for part in relative.parts)
    return not is_hidden and (spec.format is not None or _format(relative) is not None)
