"""Files that declarations name: spines that a user brings, and the locations of sources."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from inseam.define.project import Project
from inseam.define.source import Source
from inseam.kernel.errors import DataError, NotFoundError, Problem
from inseam.kernel.types import Schema
from inseam.plan.lower import source_spec
from inseam.plan.schemas import Schemas


def columns_of(path: Path) -> Schema:
    """The columns of a Parquet or CSV file, from its head."""
    import pyarrow.csv as csv
    import pyarrow.parquet as parquet
    from pyarrow import ArrowInvalid

    if not path.is_file():
        raise NotFoundError(
            str(path),
            f"there is no file {path}",
            expected="a Parquet or CSV file",
            mend="mend the path, which begins at the project's directory, or put the file there",
        )
    try:
        if path.suffix == ".parquet":
            return Schema.from_arrow(parquet.read_schema(path))
        with csv.open_csv(path) as reader:
            return Schema.from_arrow(reader.schema)
    except (ArrowInvalid, ValueError) as error:
        raise DataError(
            str(path), f"the columns of {path} cannot be read: {error}", expected="a Parquet or CSV file"
        ) from None


def digest_of(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sources_without_files(project: Project, schemas: Schemas, root: Path) -> Iterator[Problem]:
    """Sources of which nothing can be known: no declared schema, never loaded, and no file at the location."""
    from inseam.stages.ingest.location import find_files

    for source in project.all(Source):
        if isinstance(source.location, str) and schemas.of(source) is None:
            try:
                find_files(source_spec(source, root))
            except NotFoundError as error:
                (p,) = error.problems
                yield source.problem(p.code, p.found, expected=p.expected, mend=p.mend)
