"""Which columns each source and transform has, as far as anybody knows before running."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from inseam.define.declaration import Declaration
from inseam.define.project import Project
from inseam.define.source import Rows, Source, Transform, source_of
from inseam.define.training_set import SpineTable, TrainingSet
from inseam.ir.functions import FunctionRef
from inseam.ir.relation import FunctionTransform, Relation, SqlTransform, Upserts
from inseam.kernel.errors import InseamError, Problem
from inseam.kernel.types import Field, Schema

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

    def relation(self, rows: Rows) -> Relation:
        return _relation(rows, self.of(rows) or Schema(()))


def _key(rows: Rows | SpineTable) -> str:
    return f"file:{rows.path}" if isinstance(rows, SpineTable) else str(rows.ref)


def _relation(rows: Rows, schema: Schema) -> Relation:
    source = source_of(rows)
    upserts = None
    if source.on_duplicate == "replace":
        upserts = Upserts(tuple(source.key), source.timestamp, source.deleted)
    if isinstance(rows, Source):
        return Relation(table_of(rows), rows.timestamp, schema, upserts=upserts)
    if rows.function is not None:
        transform: SqlTransform | FunctionTransform = FunctionTransform(FunctionRef.of(rows.function))
    else:
        transform = SqlTransform(rows.sql or "")
    return Relation(table_of(rows.source), rows.timestamp, schema, transform, upserts=upserts)


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
    for transform in project.all(Transform):
        before = known.get(str(transform.source.ref))
        if before is not None and typer is not None and not any(transform.problems()):
            learn(transform, str(transform.ref), partial(typer, _relation(transform, Schema(())), before))
    for item in project.all(TrainingSet):
        if isinstance(item.spine, SpineTable) and read is not None:
            learn(item, _key(item.spine), partial(read, item.spine.path))
    return Schemas(known, tuple(mistakes), bind)


def field_of(schema: Schema, name: str) -> Field | None:
    return next((f for f in schema if f.name == name), None)
