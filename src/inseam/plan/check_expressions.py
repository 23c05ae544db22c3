"""SQL expressions in declarations: read by ourselves first, for the better words, then typed by the engine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inseam.define.aggregate import Aggregate
from inseam.define.declaration import Declaration
from inseam.define.feature_view import FeatureView
from inseam.define.project import Project
from inseam.define.rows import Rows
from inseam.define.source import Source
from inseam.define.training_set import TrainingSet
from inseam.ir.checks import CheckKind
from inseam.kernel.errors import InseamError, Place, Problem
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import DataType, Schema
from inseam.plan.expressions import clashes, columns_of, unstable_part
from inseam.plan.schemas import Binder, Schemas


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition over one row of ``rows``; ``what`` it is in its declaration, and where it was written."""

    item: Declaration
    what: str
    text: str
    rows: Rows
    place: Place | None

    def problem(self, code: str, found: str, *, expected: str, mend: str = "") -> Problem:
        return self.item.problem(code, found, expected=expected, mend=mend, place=self.place)


def expression_problems(project: Project, schemas: Schemas) -> Iterator[Problem]:
    """Of every filter and check. Types are looked at once the columns are known; functions by the engine only."""
    sound: dict[Schema, list[Expression]] = defaultdict(list)
    for expression in _expressions(project):
        schema = schemas.of(expression.rows)
        problems = list(_read(expression, schema))
        yield from problems
        if schema is not None and not problems:
            sound[schema].append(expression)
    if schemas.bind is not None:
        for schema, expressions in sound.items():
            yield from _bound(expressions, schema, schemas.bind)


def _expressions(project: Project) -> Iterator[Expression]:
    for source in project.all(Source):
        for check in source.checks:
            if check.kind is CheckKind.EXPRESSION and check.expression is not None:
                yield Expression(source, f"check {check.name!r}", check.expression, source, source.place)
        if source.deleted is not None:
            yield Expression(source, "deleted", source.deleted, source, source.place)
    for view in project.all(FeatureView):
        for name, aggregate in view.features.items():
            if isinstance(aggregate, Aggregate):
                yield from _filter(view, f"feature {name!r}", aggregate, view.rows)
    for item in project.all(TrainingSet):
        label = item.label.aggregate
        if label is not None:
            yield from _filter(item, "the label", label, label.rows)


def _filter(item: Declaration, what: str, aggregate: Aggregate, rows: Rows | None) -> Iterator[Expression]:
    if aggregate.where is not None and rows is not None:
        yield Expression(item, f"the filter of {what}", aggregate.where, rows, aggregate.place)


def _read(expression: Expression, schema: Schema | None) -> Iterator[Problem]:
    """What can be said of it without an engine."""
    what, text = expression.what, expression.text
    try:
        columns = columns_of(text)
    except ValueError as error:
        yield expression.problem(
            "expression-invalid", f"{what} is {text!r}: {error}", expected="a SQL expression over one row"
        )
        return
    unstable = unstable_part(text)
    if unstable is not None:
        yield expression.problem(
            "expression-unstable",
            f"{what} asks for {unstable}, which differs from run to run",
            expected="an expression of the row alone",
            mend="use a window to look at recent rows, and fresh(...) to have a load be recent",
        )
    if schema is None:
        return
    for column in columns:
        if column not in schema:
            yield expression.problem(
                "column-unknown",
                f"{what} ({text}) reads column {column!r}",
                expected=f"a column of {expression.rows.ref}",
                mend=did_you_mean(column, schema.names),
            )
    for clash in clashes(text, schema):
        yield expression.problem("type-clash", f"{what}: {clash}", expected="true or false of like types")


def _bound(expressions: Sequence[Expression], schema: Schema, bind: Binder) -> Iterator[Problem]:
    """What the engine says of expressions over the same columns: all in one go, one by one only when that fails."""
    try:
        types = bind({str(number): expression.text for number, expression in enumerate(expressions)}, schema)
    except InseamError as error:
        if len(expressions) > 1:
            for expression in expressions:
                yield from _bound([expression], schema, bind)
            return
        (expression,) = expressions
        for p in error.problems:
            yield expression.problem(
                "expression-invalid",
                f"{expression.what} is {expression.text!r}: {p.found}",
                expected=p.expected or "a SQL expression that the engine knows",
                mend=p.mend,
            )
        return
    for expression, field in zip(expressions, types, strict=True):
        if field.type is not DataType.BOOL:
            yield expression.problem(
                "type-clash",
                f"{expression.what}: {expression.text} is a {field.type.value}, neither true nor false",
                expected="a condition",
            )
