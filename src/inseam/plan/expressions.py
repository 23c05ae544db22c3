"""SQL expressions that users write over one row: which columns they read."""

from __future__ import annotations


def columns_of(expression: str) -> tuple[str, ...]:
    """The columns that a row-wise SQL expression reads, each once; ValueError says why it is not one."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        tree = sqlglot.parse_one(expression, dialect="duckdb")
    except SqlglotError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    forbidden = next(tree.find_all(exp.Query, exp.AggFunc, exp.Window, exp.Star, exp.DDL), None)
    if forbidden is not None and not isinstance(forbidden, exp.Count):
        raise ValueError(f"{forbidden.sql()} looks beyond the row")
    if forbidden is not None:
        raise ValueError("an aggregate looks beyond the row")
    return tuple(dict.fromkeys(column.name for column in tree.find_all(exp.Column)))
