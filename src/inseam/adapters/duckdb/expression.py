"""SQL that users write, checked before it runs: known columns, row by row, the same value on every run."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

import duckdb
import sqlglot
from sqlglot import exp

from inseam.adapters.duckdb.session import SQL_TYPES, Session, quote
from inseam.kernel.errors import DefinitionError
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import DataType, Schema, data_type

_ROW_BY_ROW = "an expression over one row: no aggregates, windows or subqueries"


@lru_cache(maxsize=1)
def _functions() -> tuple[frozenset[str], frozenset[str]]:
    """Names of DuckDB's functions that take or make many rows, and of those whose value changes from run to run."""
    with duckdb.connect(":memory:") as connection:
        rows = connection.execute(
            "SELECT lower(function_name), function_type, stability FROM duckdb_functions()"
        ).fetchall()
    aggregates = {name for name, kind, _ in rows if kind == "aggregate"}
    scalars = {name for name, kind, _ in rows if kind in ("scalar", "macro")}
    unstable = {name for name, kind, stability in rows if kind == "scalar" and stability not in (None, "CONSISTENT")}
    many = (aggregates - scalars) | {"unnest", "explode"}
    return frozenset(many), frozenset(unstable | {"current_timestamp", "current_time", "localtimestamp", "rand"})


def parse(sql: str, subject: str) -> exp.Expr:
    """One statement or expression in DuckDB's dialect; `DefinitionError` when it is not."""
    try:
        trees = sqlglot.parse(sql, dialect="duckdb")
    except sqlglot.errors.SqlglotError as error:
        where = str(error).partition("\n")[0].replace("\x1b[4m", "").replace("\x1b[0m", "")
        raise DefinitionError(subject, f"this SQL cannot be read: {sql!r} ({where})") from None
    if len(trees) != 1 or trees[0] is None:
        raise DefinitionError(subject, f"this SQL is not one statement: {sql!r}")
    return trees[0]


def check_row_wise(tree: exp.Expr, subject: str, expected: str = _ROW_BY_ROW) -> None:
    """Refuse what looks at other rows, and what gives another value on the next run."""
    many, unstable = _functions()
    for node in tree.walk():
        if isinstance(node, exp.Window | exp.AggFunc | exp.Unnest | exp.Explode):
            raise DefinitionError(subject, f"{node.sql('duckdb')!r} looks at more than one row", expected=expected)
        if node is not tree and isinstance(node, exp.Select | exp.SetOperation):
            raise DefinitionError(subject, f"{node.sql('duckdb')!r} is a subquery", expected=expected)
        if isinstance(node, exp.Func):
            names = {node.name.lower()} if isinstance(node, exp.Anonymous) else {n.lower() for n in node.sql_names()}
            if names & many:
                raise DefinitionError(subject, f"{node.sql('duckdb')!r} looks at more than one row", expected=expected)
            if names & unstable:
                raise DefinitionError(
                    subject,
                    f"{node.sql('duckdb')!r} has another value on every run",
                    expected="an expression that gives the same value for the same row, always",
                )


def check_columns(tree: exp.Expr, known: Collection[str], subject: str, made: Collection[str] = ()) -> None:
    """Refuse a column that is not ``known`` (and not ``made`` by the statement itself)."""
    lower = {name.lower() for name in (*known, *made)}
    for column in tree.find_all(exp.Column):
        if isinstance(column.this, exp.Star) or column.name.lower() in lower:
            continue
        if column.find_ancestor(exp.Lambda):
            continue
        raise DefinitionError(subject, f"there is no column {column.name!r}", mend=did_you_mean(column.name, known))


def typed_rows(schema: Schema) -> str:
    """SELECT of no rows with these columns: for checking types without data."""
    columns = ", ".join(f"NULL::{SQL_TYPES[field.type]} AS {quote(field.name)}" for field in schema)
    return f"SELECT {columns} WHERE false"


def check_expression(text: str, schema: Schema, subject: str, session: Session) -> DataType:
    """The type of a row-wise expression over columns of ``schema``; `DefinitionError` says what is wrong with it."""
    tree = parse(text, subject)
    if isinstance(tree, exp.Query | exp.DDL | exp.DML | exp.Command):
        raise DefinitionError(subject, f"{text!r} is a statement", expected=_ROW_BY_ROW)
    check_row_wise(tree, subject)
    check_columns(tree, schema.names, subject)
    found = session.run(f"SELECT ({text}\n) AS value FROM ({typed_rows(schema)})", subject).schema.field("value")
    try:
        return data_type(found.type)
    except ValueError as error:
        raise DefinitionError(subject, f"{text!r} gives {found.type}: {error}") from None


def check_condition(text: str, schema: Schema, subject: str, session: Session) -> None:
    """`check_expression`, and the value must be true or false."""
    found = check_expression(text, schema, subject, session)
    if found is not DataType.BOOL:
        raise DefinitionError(subject, f"{text!r} gives {found}", expected="a condition: true, false or NULL")
