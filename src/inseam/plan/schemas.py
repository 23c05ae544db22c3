"""Which columns each source and transform has, as far as anybody knows before running."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from inseam.define.project import Project
from inseam.define.source import Rows, Source, Transform
from inseam.ir.functions import FunctionRef
from inseam.ir.relation import FunctionTransform, Relation, SqlTransform
from inseam.kernel.errors import InseamError, Problem
from inseam.kernel.types import Field, Schema

Typer = Callable[[Relation, Schema], Schema]
"""An engine's typing of a relation's transform over the source's columns; raises `InseamError`."""


def table_of(source: Source) -> str:
    """The table that holds a source's accepted rows."""
    return f"sources/{source.name}"


def quarantine_of(source: Source) -> str:
    return f"quarantine/{source.name}"


@dataclass(frozen=True)
class Schemas:
    """The known columns of everything that rows can be read from; a source never loaded nor declared is missing."""

    known: Mapping[str, Schema]
    mistakes: tuple[Problem, ...] = field(default=())

    def of(self, rows: Rows) -> Schema | None:
        return self.known.get(str(rows.ref))

    def relation(self, rows: Rows) -> Relation:
        return _relation(rows, self.of(rows) or Schema(()))


def _relation(rows: Rows, schema: Schema) -> Relation:
    if isinstance(rows, Source):
        return Relation(table_of(rows), rows.timestamp, schema)
    if rows.function is not None:
        transform: SqlTransform | FunctionTransform = FunctionTransform(FunctionRef.of(rows.function))
    else:
        transform = SqlTransform(rows.sql or "")
    return Relation(table_of(rows.source), rows.timestamp, schema, transform)


def declared_schema(source: Source) -> Schema | None:
    """The schema that the source declares, when its types are right."""
    if source.schema is None:
        return None
    try:
        return Schema.of(source.schema.items())
    except ValueError:
        return None


def find_schemas(project: Project, held: Mapping[str, Schema], typer: Typer | None) -> Schemas:
    """Declared schemas, else those held since the first load (by source name); transforms typed by the engine."""
    known: dict[str, Schema] = {}
    mistakes: list[Problem] = []
    for source in project.all(Source):
        schema = held.get(source.name) or declared_schema(source)
        if schema is not None:
            known[str(source.ref)] = schema
    for transform in project.all(Transform):
        before = known.get(str(transform.source.ref))
        if before is None or typer is None or any(transform.problems()):
            continue
        try:
            known[str(transform.ref)] = typer(_relation(transform, Schema(())), before)
        except InseamError as error:
            mistakes.extend(_placed(transform, error))
    return Schemas(known, tuple(mistakes))


def _placed(transform: Transform, error: InseamError) -> Iterator[Problem]:
    for problem in error.problems:
        yield Problem(problem.code, str(transform.ref), problem.found, problem.expected, problem.mend, transform.place)


def field_of(schema: Schema, name: str) -> Field | None:
    return next((f for f in schema if f.name == name), None)
