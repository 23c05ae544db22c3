"""Every mistake that can be found without running anything, all at once."""

from __future__ import annotations

from collections.abc import Iterator

from inseam.define.aggregate import Aggregate
from inseam.define.declaration import Declaration
from inseam.define.endpoint import Endpoint
from inseam.define.entity import keys_of
from inseam.define.feature_view import FeatureView
from inseam.define.join import Join
from inseam.define.model import Model
from inseam.define.on_demand import OnDemand
from inseam.define.project import Project
from inseam.define.rows import Rows
from inseam.define.source import Source
from inseam.define.training_set import SpineRows, SpineTable, TrainingSet
from inseam.define.transform import Transform
from inseam.ir.aggregates import ALGEBRA
from inseam.kernel.errors import DefinitionError, Place, Problem
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import DataType, Schema
from inseam.plan.check_expressions import expression_problems
from inseam.plan.check_joins import join_problems
from inseam.plan.check_keys import default_problems, key_clashes
from inseam.plan.check_models import endpoint_problems, model_problems
from inseam.plan.schemas import Schemas, declared_schema, value_type


def check(project: Project, schemas: Schemas) -> list[Problem]:
    """All problems, in the order of declaration. What depends on an unknown schema is checked once it is known."""
    found = [*project.mistakes, *_nothing(project), *schemas.mistakes]
    for item in project.declarations:
        found += item.problems()
        found += _column_problems(item, schemas)
    found += _duplicates(project)
    found += key_clashes(project, schemas)
    found += expression_problems(project, schemas)
    order = {str(item.ref): place for place, item in reversed(list(enumerate(project.declarations)))}
    return sorted(dict.fromkeys(found), key=lambda problem: order.get(problem.subject, -1))


def require(project: Project, schemas: Schemas) -> None:
    """`DefinitionError` with every problem when there is one."""
    problems = check(project, schemas)
    if problems:
        raise DefinitionError.of(problems)


def _nothing(project: Project) -> Iterator[Problem]:
    if not project.declarations and not project.mistakes:
        yield Problem(
            "definitions-missing",
            f"project:{project.name}",
            "nothing is declared",
            expected="at least one declaration",
            mend="declare something, or set `definitions` in inseam.toml to the package that does",
        )


def _duplicates(project: Project) -> Iterator[Problem]:
    seen: dict[str, Declaration] = {}
    for item in project.declarations:
        first = seen.setdefault(str(item.ref), item)
        if first is not item:
            yield item.problem(
                "name-duplicate", f"the name is also declared at {first.place}", mend="rename one of the two"
            )


def _column_problems(item: Declaration, schemas: Schemas) -> Iterator[Problem]:
    if isinstance(item, Source):
        yield from _source_problems(item, schemas)
    elif isinstance(item, Transform):
        yield from _timestamp_problems(item, schemas.of(item))
    elif isinstance(item, Join):
        yield from join_problems(item, schemas)
    elif isinstance(item, FeatureView):
        yield from _view_problems(item, schemas)
    elif isinstance(item, OnDemand):
        yield from _on_demand_problems(item, schemas)
    elif isinstance(item, TrainingSet):
        yield from _training_set_problems(item, schemas)
    elif isinstance(item, Model):
        yield from model_problems(item, schemas)
    elif isinstance(item, Endpoint):
        yield from endpoint_problems(item, schemas)


def _missing(
    item: Declaration, what: str, column: str, rows: Rows | SpineTable, schema: Schema, place: Place | None = None
) -> Iterator[Problem]:
    if column not in schema:
        yield item.problem(
            "column-unknown",
            f"{what} reads column {column!r}",
            expected=f"a column of {rows.path if isinstance(rows, SpineTable) else rows.ref}",
            mend=did_you_mean(str(column), schema.names),
            place=place,
        )


def _timestamp_problems(rows: Rows, schema: Schema | None) -> Iterator[Problem]:
    if schema is None or not rows.timestamp:
        return
    type_ = schema.type_of(rows.timestamp)
    if type_ is None:
        yield from _missing(rows, "timestamp", rows.timestamp, rows, schema)
    elif type_ is not DataType.TIMESTAMP:
        yield rows.problem("type-clash", f"the timestamp {rows.timestamp!r} is a {type_.value}", expected="a timestamp")


def _source_problems(source: Source, schemas: Schemas) -> Iterator[Problem]:
    schema = schemas.of(source)
    if schema is None:
        return
    declared = declared_schema(source)
    # The declaration itself has reported a timestamp that its own schema lacks.
    if declared is None or source.timestamp in declared:
        yield from _timestamp_problems(source, schema)
    for column in source.key:
        yield from _missing(source, "key", column, source, schema)
    for check_ in source.checks:
        for column in check_.columns:
            yield from _missing(source, f"check {check_.name!r}", column, source, schema)
    changed = {f.name for f in {*declared.fields} ^ {*schema.fields}} if declared is not None else ()
    if changed:
        yield source.problem(
            "schema-changed",
            f"the declared schema differs from the one that its table is held to, in {', '.join(sorted(changed))}",
            expected="the schema of the first load",
            mend="keep the schema of the first load, or declare a source of another name",
        )


def _aggregate_problems(
    item: Declaration, what: str, aggregate: Aggregate, rows: Rows, schema: Schema | None
) -> Iterator[Problem]:
    place = aggregate.place
    if schema is None or aggregate.column is None:
        return
    yield from _missing(item, what, aggregate.column, rows, schema, place)
    type_ = schema.type_of(aggregate.column)
    accepted = ALGEBRA[aggregate.kind].accepts
    if type_ is not None and type_ not in accepted:
        yield item.problem(
            "type-clash",
            f"{what} is the {aggregate.kind.value} of {aggregate.column!r}, a {type_.value}",
            expected=f"a column of type {', '.join(t.value for t in accepted)}",
            place=place,
        )


def _view_problems(view: FeatureView, schemas: Schemas) -> Iterator[Problem]:
    schema = schemas.of(view.rows)
    for name, aggregate in view.features.items():
        if isinstance(aggregate, Aggregate):
            yield from _aggregate_problems(view, f"feature {name!r}", aggregate, view.rows, schema)
            yield from _operand_problems(view, name, aggregate, schema)
        if name in view.entity.keys:
            yield view.problem(
                "name-duplicate", f"feature {name!r} has the name of a key column", mend="rename the feature"
            )
    if schema is not None:
        for key in view.entity.keys:
            yield from _missing(view, f"the key of {view.entity.ref}", key, view.rows, schema)
        yield from default_problems(view, schema)


def _operand_problems(view: FeatureView, name: str, aggregate: Aggregate, schema: Schema | None) -> Iterator[Problem]:
    """Ratios and differences are of numbers."""
    for operand in aggregate.of:
        other = view.features.get(operand)
        type_ = value_type(other, schema) if isinstance(other, Aggregate) else None
        if type_ is not None and not type_.is_numeric:
            yield view.problem(
                "type-clash",
                f"feature {name!r} is the {aggregate.kind.value} of {operand!r}, a {type_.value}",
                expected="features that are numbers",
                place=aggregate.place,
            )


def _on_demand_problems(item: OnDemand, schemas: Schemas) -> Iterator[Problem]:
    """An annotation that contradicts the feature's type: numbers pass as each other, strings do not."""
    for view in item.views:
        for name in item.parameters:
            hint, actual = item.declared_type(name), _offered_type(view, name, schemas)
            if hint is not None and actual is not None and not _go_together(hint, actual):
                yield item.problem(
                    "type-clash",
                    f"parameter {name!r} is annotated as {hint.value}, {view.ref} gives {actual.value}",
                    expected=actual.value,
                )


def _offered_type(view: FeatureView | OnDemand, feature: str, schemas: Schemas) -> DataType | None:
    if isinstance(view, OnDemand):
        return view.type if feature == view.name else None
    aggregate = view.features.get(feature)
    return value_type(aggregate, schemas.of(view.rows)) if isinstance(aggregate, Aggregate) else None


def _go_together(one: DataType, other: DataType) -> bool:
    return one is other or (one.is_numeric and other.is_numeric)


def _training_set_problems(item: TrainingSet, schemas: Schemas) -> Iterator[Problem]:
    label, spine = item.label.aggregate, item.plain_spine
    grid, asked = item.activity, keys_of(spine.entities)
    if isinstance(spine, SpineRows | SpineTable):
        rows = spine.rows if isinstance(spine, SpineRows) else spine
        schema = schemas.of(rows)
        if schema is not None:
            for column in (*asked, *spine.columns):
                yield from _missing(item, "the spine", column, rows, schema)
            yield from _input_clashes(item, schema)
            if isinstance(spine, SpineTable):
                yield from _instant_problems(item, spine, schema)
    elif grid is not None and (schema := schemas.of(grid)) is not None:
        for key in asked:
            yield from _missing(item, "the spine's key", key, grid, schema)
    if label is not None and label.rows is not None:
        schema = schemas.of(label.rows)
        yield from _aggregate_problems(item, "the label", label, label.rows, schema)
        if schema is not None:
            for key in item.keys:
                yield from _missing(item, "the label's key", key, label.rows, schema, label.place)
            yield from _threshold_clash(item, label, schema)


def _instant_problems(item: TrainingSet, spine: SpineTable, schema: Schema) -> Iterator[Problem]:
    yield from _missing(item, "the spine's timestamp", spine.timestamp, spine, schema)
    type_ = schema.type_of(spine.timestamp)
    if type_ not in (None, DataType.TIMESTAMP, DataType.DATE):
        yield item.problem(
            "type-clash", f"the spine's timestamp {spine.timestamp!r} is a {type_}", expected="a timestamp or a date"
        )


def _input_clashes(item: TrainingSet, schema: Schema) -> Iterator[Problem]:
    for feature in item.on_demand:
        for name, type_ in feature.inputs.items():
            actual = schema.type_of(name)
            if actual is not None and not _go_together(actual, type_):
                yield item.problem(
                    "type-clash",
                    f"{feature.ref} takes {name!r} as {type_.value}, the spine carries {actual.value}",
                    expected=actual.value,
                )


def _threshold_clash(item: TrainingSet, label: Aggregate, schema: Schema) -> Iterator[Problem]:
    comparison, type_ = item.label.comparison, value_type(label, schema)
    if comparison is None or type_ is None or not isinstance(comparison.threshold, bool | int | float | str):
        return
    # Instants are compared with text in ISO 8601.
    is_text = isinstance(comparison.threshold, str)
    if is_text == type_.is_numeric:
        yield item.problem(
            "type-clash",
            f"the label compares {label}, a {type_.value}, with {comparison.threshold!r}",
            expected=f"a {type_.value}",
            place=label.place,
        )
