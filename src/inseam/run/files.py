"""Files of rows that a user brings as a spine."""

from __future__ import annotations

import hashlib
from pathlib import Path

from inseam.kernel.errors import DataError, NotFoundError
from inseam.kernel.types import Schema


def columns_and_digest(path: Path) -> tuple[Schema, str]:
    """The columns of a Parquet or CSV file and the SHA-256 of its bytes."""
    import pyarrow.csv as csv
    import pyarrow.parquet as parquet
    from pyarrow import ArrowInvalid

    if not path.is_file():
        raise NotFoundError(str(path), "there is no such file")
    try:
        if path.suffix == ".parquet":
            schema = parquet.read_schema(path)
        else:
            with csv.open_csv(path) as reader:
                schema = reader.schema
        columns = Schema.from_arrow(schema)
    except (ArrowInvalid, ValueError) as error:
        raise DataError(str(path), f"its columns cannot be read: {error}", expected="a Parquet or CSV file") from None
    with path.open("rb") as file:
        return columns, hashlib.file_digest(file, "sha256").hexdigest()
