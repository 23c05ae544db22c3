"""Relations as SQL: the rows of a snapshot's files in our types, after a row-wise transform."""

from __future__ import annotations

from dataclasses import dataclass

from inseam.adapters.duckdb.expression import check_columns, check_row_wise, parse, typed_rows
from inseam.adapters.duckdb.session import SQL_TYPES, Session, literal, quote
from inseam.adapters.duckdb.transform import function_sql
from inseam.ir.relation import INGESTED_AT, SEQUENCE, SYSTEM_COLUMNS, Relation, SqlTransform
from inseam.kernel.errors import DefinitionError
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import DataType, Field, Schema, data_type
from inseam.ports.tables import Snapshot

_SYSTEM_FIELDS = (Field(INGESTED_AT, DataType.TIMESTAMP), Field(SEQUENCE, DataType.INT64))


@dataclass(frozen=True, slots=True)
class Compiled:
    """A relation that DuckDB has understood. ``schema`` is after the transform, without the system columns."""

    relation: Relation
    schema: Schema
    body: str
    """SQL over a table that bears the source's name; it yields ``schema`` and the system columns."""

    def over(self, source: str) -> str:
        """The relation's SQL over ``source``, a SELECT of the table's rows."""
        return f"WITH {quote(source_name(self.relation))} AS ({source}) {self.body}"


def source_name(relation: Relation) -> str:
    """What a SQL transform calls its source: the last part of the table's name."""
    return relation.table.rpartition("/")[2]


def with_system(schema: Schema) -> Schema:
    """The columns with the system columns behind them."""
    own = tuple(field for field in schema if field.name not in SYSTEM_COLUMNS)
    return Schema(own + _SYSTEM_FIELDS)


def read(snapshot: Snapshot) -> str:
    """SELECT of a snapshot's rows, in our types, in the order of its files; system columns are NULL where unknown."""
    schema = with_system(snapshot.schema)
    if not snapshot.files:
        return typed_rows(schema)
    files = ", ".join(literal(_plain_path(file)) for file in snapshot.files)
    columns = ", ".join(
        f"CAST({quote(field.name) if field.name in snapshot.schema else 'NULL'} AS {SQL_TYPES[field.type]})"
        f" AS {quote(field.name)}"
        for field in schema
    )
    by_name = "true" if len(snapshot.files) > 1 else "false"
    return f"SELECT {columns} FROM read_parquet([{files}], union_by_name = {by_name}, hive_partitioning = false)"


def compiled(relation: Relation, before: Schema, session: Session) -> Compiled:
    """Check and type a relation whose table has the columns ``before``."""
    subject = relation.table
    base = with_system(before)
    body = f"SELECT * FROM {quote(source_name(relation))}"
    if isinstance(relation.transform, SqlTransform):
        body = _checked_sql(relation.transform.sql, relation, base)
    elif relation.transform is not None:
        body = function_sql(relation.transform.function, source_name(relation), base, subject)
    inside = f"WITH {quote(source_name(relation))} AS ({typed_rows(base)}) SELECT * FROM ({body}\n)"
    found = session.run(inside, subject).schema
    fields: list[Field] = []
    for column in found:
        try:
            fields.append(Field(column.name, data_type(column.type)))
        except ValueError as error:
            raise DefinitionError(subject, f"column {column.name!r}: {error}") from None
    schema = Schema(tuple(field for field in fields if field.name not in SYSTEM_COLUMNS))
    _check_result(relation, fields, schema)
    casts = ", ".join(f"CAST({quote(f.name)} AS {SQL_TYPES[f.type]}) AS {quote(f.name)}" for f in with_system(schema))
    return Compiled(relation, schema, f"SELECT {casts} FROM ({body}\n)")


def _check_result(relation: Relation, fields: list[Field], schema: Schema) -> None:
    names = [field.name for field in fields]
    for name in SYSTEM_COLUMNS:
        if name not in names:
            raise DefinitionError(
                relation.table,
                f"the transform loses the system column {name!r}",
                mend=f"keep {', '.join(SYSTEM_COLUMNS)} in what it returns",
            )
    type_ = schema.type_of(relation.timestamp)
    if type_ is None:
        raise DefinitionError(
            relation.table,
            f"there is no timestamp column {relation.timestamp!r}",
            mend=did_you_mean(relation.timestamp, schema.names),
        )
    if type_ not in (DataType.TIMESTAMP, DataType.DATE):
        raise DefinitionError(
            relation.table, f"the timestamp column {relation.timestamp!r} is {type_}", expected="timestamp or date"
        )


_CLAUSES = {
    "with_": "WITH", "with": "WITH", "distinct": "DISTINCT", "group": "GROUP BY", "having": "HAVING",
    "qualify": "QUALIFY", "windows": "WINDOW", "order": "ORDER BY", "limit": "LIMIT", "offset": "OFFSET",
    "joins": "a join", "laterals": "LATERAL", "sample": "SAMPLE", "pivots": "PIVOT",
}  # fmt: skip


def _checked_sql(sql: str, relation: Relation, base: Schema) -> str:
    """The user's SELECT, with the system columns added when it names its columns."""
    from sqlglot import exp

    subject, name = relation.table, source_name(relation)
    expected = f"SELECT ... FROM {name} [WHERE ...], which keeps a row a row"
    tree = parse(sql, subject)
    if not isinstance(tree, exp.Select):
        raise DefinitionError(subject, f"the transform is not a SELECT: {sql!r}", expected=expected)
    for key, clause in _CLAUSES.items():
        if tree.args.get(key):
            raise DefinitionError(subject, f"the transform has {clause}", expected=expected)
    source = next(iter(tree.find_all(exp.From)), None)
    table = source.this if source is not None else None
    if not isinstance(table, exp.Table) or table.name.lower() != name.lower() or table.db or table.args.get("joins"):
        found = table.sql("duckdb") if table is not None else "nothing"
        raise DefinitionError(subject, f"the transform reads {found}", expected=expected)
    if tree.find(exp.TableSample) is not None:
        raise DefinitionError(subject, "the transform has SAMPLE", expected=expected)
    check_row_wise(tree, subject, expected)
    check_columns(tree, base.names, subject, {projection.alias for projection in tree.expressions if projection.alias})
    named = [projection.output_name.lower() for projection in tree.expressions if not projection.is_star]
    for column in named:
        if named.count(column) > 1:
            raise DefinitionError(subject, f"the transform yields the column {column!r} twice")
    for column in SYSTEM_COLUMNS:
        if any(projection.alias == column for projection in tree.expressions):
            raise DefinitionError(subject, f"the transform makes a column {column!r}, which the platform keeps")
    if not any(projection.is_star for projection in tree.expressions):
        tree = tree.select(*(exp.column(c, quoted=True) for c in SYSTEM_COLUMNS if c not in named))
    # Quoted throughout: a column may bear a name that is a keyword, such as "at".
    return tree.sql(dialect="duckdb", identify=True)


def _plain_path(file: str) -> str:
    """A file's path as DuckDB takes it literally: no scheme, and no character read as a glob."""
    path = file.removeprefix("file://")
    return "".join(f"[{character}]" if character in "*?[" else character for character in path)
