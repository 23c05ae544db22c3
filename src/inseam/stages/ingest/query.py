"""The rows of a SQL query on a database, streamed from a server-side cursor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from inseam.ir.checks import SourceSpec
from inseam.kernel.errors import DataError, ExtraMissingError, NotFoundError, SettingError
from inseam.stages.ingest.csv_layout import unique_names
from inseam.stages.ingest.values import column_of

if TYPE_CHECKING:
    from sqlalchemy import URL

FETCH_ROWS = 20_000


def database_url(spec: SourceSpec) -> str:
    """The source's database URL, from the environment where it is declared as ``env:NAME``."""
    declared = spec.database or ""
    if not declared.startswith("env:"):
        return declared
    name = declared.removeprefix("env:")
    found = os.environ.get(name)
    if not found:
        raise SettingError(
            f"source:{spec.name}", f"the environment has no {name}", mend=f"export {name}=postgresql://..."
        )
    return found


def _located(spec: SourceSpec, url: URL) -> URL:
    """The URL with the driver that is installed, and with a SQLite file below the project's directory."""
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:") or "uri" in url.query:
        return url
    path = Path(spec.directory, url.database or "")
    if not path.is_file():
        # SQLite itself would make an empty one.
        raise NotFoundError(
            f"source:{spec.name}", f"there is no database file at {path}", mend="mend the source's database"
        )
    return url.set(database=str(path))


def read_query(spec: SourceSpec) -> Iterator[pa.RecordBatch]:
    """The rows of the source's query, at least one batch. `DataError` carries the database's message."""
    import sqlalchemy as sa
    from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

    subject = f"source:{spec.name}"
    try:
        url = _located(spec, sa.make_url(database_url(spec)))
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        is_empty = True
        with engine.connect() as connection:
            streaming = connection.execution_options(stream_results=True, max_row_buffer=FETCH_ROWS)
            # Escaped, so that a colon in the query is a colon; % is escaped by SQLAlchemy itself.
            result = streaming.execute(sa.text((spec.query or "").replace(":", "\\:")))
            names = unique_names(result.keys())
            for rows in result.yield_per(FETCH_ROWS).partitions():
                columns = [column_of(values) for values in zip(*rows, strict=True)]
                yield pa.record_batch(columns, names=names)
                is_empty = False
            if is_empty:
                yield pa.record_batch([pa.nulls(0, pa.string()) for _ in names], names=names)
    except ModuleNotFoundError as error:
        driver = error.name or "a driver"
        if driver.startswith("psycopg"):
            raise ExtraMissingError.for_library(driver, "postgres") from error
        raise ExtraMissingError(
            subject,
            f"the database's driver {driver} is not installed",
            mend="install it beside inseam, or name another one: mysql+pymysql://...",
        ) from error
    except NoSuchModuleError as error:
        raise SettingError(subject, f"the database URL is not known: {error}") from error
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip()
        raise DataError(subject, f"the query failed: {reason}", mend="mend the source's query or database") from error
