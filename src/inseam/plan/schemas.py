"""Which columns each source and transform has, as far as anybody knows before running."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from inseam.define.aggregate import Aggregate
from inseam.define.declaration import Declaration
from inseam.define.join import Join
from inseam.define.project import Project
from inseam.define.rows import Rows
from inseam.define.source import Source
from inseam.define.training_set import SpineTable, TrainingSet
from inseam.define.transform import Transform
from inseam.ir.aggregates import ALGEBRA
from inseam.ir.functions import FunctionRef
from inseam.ir.relation import FunctionTransform, Relation, SqlTransform, Upserts
from inseam.kernel.errors import InseamError, Problem
from inseam.kernel.types import DataType, Field, Schema

Typer = Callable[[Relation, Schema], Schema]
"""An engine's typing of a relation's transform over the source's columns; raises `InseamError`."""
Binder = Callable[[Mapping[str, str], Schema], Schema]
"""An engine's typing of row-wise expressions over columns: a column for each; raises `InseamError`."""
Reader = Callable[[str], Schema]
"""The columns of a file that a user brings, by its path as declared; raises `InseamError`."""


def table_of(source: Source) -> str:
    """The table that holds a source's accepted rows."""
    return f"sources/{source.name}"


def quarantine_of(source: Source) -> str:
    return f"quarantine/{source.name}"


@dataclass(frozen=True)
class Schemas:
    """The known columns of everything that rows can be read from; a source never loaded nor declared is missing.

    ``bind`` types expressions over them; without an engine there is none.
    """

    known: Mapping[str, Schema]
    mistakes: tuple[Problem, ...] = field(default=())
    bind: Binder | None = None

    def of(self, rows: Rows | SpineTable) -> Schema | None:
        return self.known.get(_key(rows))


def _key(rows: Rows | SpineTable) -> str:
    return f"file:{rows.path}" if isinstance(rows, SpineTable) else str(rows.ref)


def alone(rows: Rows, schema: Schema) -> Relation:
    """What is read, without what is joined to it."""
    source = rows.base
    upserts, transform = None, None
    if source.on_duplicate == "replace":
        upserts = Upserts(tuple(source.key), source.timestamp, source.deleted)
    if isinstance(rows, Transform):
        function = rows.function
        transform = SqlTransform(rows.sql or "") if function is None else FunctionTransform(FunctionRef.of(function))
    return Relation(table_of(source), rows.timestamp, schema, transform, upserts=upserts)


def value_type(aggregate: Aggregate, schema: Schema | None) -> DataType | None:
    """The type of an aggregate's values; None while its column is not known."""
    column = schema.type_of(aggregate.column) if schema is not None and aggregate.column is not None else None
    fixed = ALGEBRA[aggregate.kind].result
    return column if fixed is None else fixed


def joined_fields(join: Join, known: Mapping[str, Schema]) -> tuple[Field, ...] | None:
    """The columns that rows get by a join; None while one of them is not known."""
    schema, features = known.get(_key(join.view.rows)), join.view.features
    types = {
        column: value_type(features[name], schema) if isinstance(features.get(name), Aggregate) else None
        for column, name in join.columns.items()
    }
    if schema is None or None in types.values():
        return None
    return tuple(Field(column, type_) for column, type_ in types.items() if type_ is not None)


def declared_schema(source: Source) -> Schema | None:
    """The schema that the source declares, when its types are right."""
    if source.schema is None:
        return None
    try:
        return Schema.of(source.schema.items())
    except ValueError:
        return None


def find_schemas(
    project: Project,
    held: Mapping[str, Schema],
    typer: Typer | None,
    bind: Binder | None = None,
    read: Reader | None = None,
) -> Schemas:
    """Declared schemas, else those held since the first load (by source name); transforms typed by the engine.

    ``read`` looks at the files of spines. What engine and files say against the declarations is kept as mistakes.
    """
    known: dict[str, Schema] = {}
    mistakes: list[Problem] = []

    def learn(item: Declaration, key: str, find: Callable[[], Schema]) -> None:
        try:
            known[key] = find()
        except InseamError as error:
            expected = "what the engine can read and keeps a row a row"
            mistakes.extend(
                item.problem(p.code, p.found, expected=p.expected or expected, mend=p.mend) for p in error.problems
            )

    for source in project.all(Source):
        schema = held.get(source.name) or declared_schema(source)
        if schema is not None:
            known[str(source.ref)] = schema
    for made in (item for item in project.declarations if isinstance(item, Transform | Join)):
        before = known.get(_key(made.rows if isinstance(made, Join) else made.source))
        if before is None or any(made.problems()):
            continue
        if isinstance(made, Join):
            added = joined_fields(made, known)
            if added is not None:
                known[_key(made)] = Schema((*before, *(f for f in added if f.name not in before)))
        elif typer is not None:
            learn(made, _key(made), partial(typer, alone(made, Schema(())), before))
    for item in project.all(TrainingSet):
        if isinstance(item.plain_spine, SpineTable) and read is not None:
            learn(item, _key(item.plain_spine), partial(read, item.plain_spine.path))
    return Schemas(known, tuple(mistakes), bind)


def field_of(schema: Schema, name: str) -> Field | None:
    return next((f for f in schema if f.name == name), None)
