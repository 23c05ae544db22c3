"""Every mistake that can be found without running anything, all at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from inseam.define.aggregate import Aggregate
from inseam.define.declaration import Declaration
from inseam.define.endpoint import Endpoint
from inseam.define.entity import Entity
from inseam.define.feature_view import FeatureView
from inseam.define.model import METRICS, Model
from inseam.define.on_demand import OnDemand
from inseam.define.project import Project
from inseam.define.source import Rows, Source
from inseam.define.training_set import SpineRows, TrainingSet
from inseam.ir.aggregates import ALGEBRA, result_type
from inseam.ir.checks import CheckKind
from inseam.kernel.errors import DefinitionError, Problem
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import DataType, Schema
from inseam.plan.expressions import columns_of
from inseam.plan.lower import task_of
from inseam.plan.schemas import Schemas, declared_schema


def check(project: Project, schemas: Schemas) -> list[Problem]:
    """All problems, in the order of declaration. What depends on an unknown schema is checked once it is known."""
    found = [problem for item in project.declarations for problem in item.problems()]
    found += _duplicates(project)
    found += schemas.mistakes
    # Columns are looked at only where the shape is right: one mistake should not be reported as ten.
    broken = {problem.subject for problem in found}
    for item in project.declarations:
        if str(item.ref) not in broken:
            found += _column_problems(item, schemas)
    found += _key_clashes(project, schemas)
    return found


def require(project: Project, schemas: Schemas) -> None:
    """`DefinitionError` with every problem when there is one."""
    problems = check(project, schemas)
    if problems:
        raise DefinitionError.of(problems)


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
    elif isinstance(item, FeatureView):
        yield from _view_problems(item, schemas)
    elif isinstance(item, OnDemand):
        yield from _on_demand_problems(item, schemas)
    elif isinstance(item, TrainingSet):
        yield from _training_set_problems(item, schemas)
    elif isinstance(item, Model):
        yield from _model_problems(item, schemas)
    elif isinstance(item, Endpoint):
        yield from _endpoint_problems(item)


def _missing(item: Declaration, what: str, column: str, rows: Rows, schema: Schema) -> Iterator[Problem]:
    if column not in schema:
        yield item.problem(
            "column-unknown",
            f"{what} reads column {column!r}",
            expected=f"a column of {rows.ref}",
            mend=did_you_mean(column, schema.names),
        )


def _expression_problems(
    item: Declaration, what: str, expression: str, rows: Rows, schema: Schema | None
) -> Iterator[Problem]:
    try:
        columns = columns_of(expression)
    except ValueError as error:
        yield item.problem(
            "expression-invalid", f"{what}: {expression!r}: {error}", expected="a SQL expression over one row"
        )
        return
    for column in columns:
        if schema is not None:
            yield from _missing(item, f"{what} ({expression})", column, rows, schema)


def _source_problems(source: Source, schemas: Schemas) -> Iterator[Problem]:
    schema = schemas.of(source)
    for check_ in source.checks:
        if check_.kind is CheckKind.EXPRESSION and check_.expression is not None:
            yield from _expression_problems(source, f"check {check_.name!r}", check_.expression, source, schema)
    if schema is None:
        return
    yield from _missing(source, "timestamp", source.timestamp, source, schema)
    for column in source.key:
        yield from _missing(source, "key", column, source, schema)
    for check_ in source.checks:
        for column in check_.columns:
            yield from _missing(source, f"check {check_.name!r}", column, source, schema)
    declared = declared_schema(source)
    if declared is not None and declared != schema:
        changed = sorted(
            f.name for f in {*declared.fields, *schema.fields} if declared.type_of(f.name) != schema.type_of(f.name)
        )
        yield source.problem(
            "schema-changed",
            f"the declared schema differs from the one that its table is held to, in {', '.join(changed) or 'order'}",
            expected="the schema of the first load",
            mend=f"declare a new source, or drop the table with `inseam drop source {source.name} --destroy`",
        )


def _aggregate_problems(
    item: Declaration, what: str, aggregate: Aggregate, rows: Rows, schema: Schema | None
) -> Iterator[Problem]:
    if aggregate.where is not None:
        yield from _expression_problems(item, f"the filter of {what}", aggregate.where, rows, schema)
    if schema is None or aggregate.column is None:
        return
    yield from _missing(item, what, aggregate.column, rows, schema)
    type_ = schema.type_of(aggregate.column)
    accepted = ALGEBRA[aggregate.kind].accepts
    if type_ is not None and type_ not in accepted:
        yield item.problem(
            "type-clash",
            f"{what} is the {aggregate.kind.value} of {aggregate.column!r}, a {type_.value}",
            expected=f"a column of type {', '.join(t.value for t in accepted)}",
        )


def _view_problems(view: FeatureView, schemas: Schemas) -> Iterator[Problem]:
    schema = schemas.of(view.rows)
    for name, aggregate in view.features.items():
        yield from _aggregate_problems(view, f"feature {name!r}", aggregate, view.rows, schema)
        if name in view.entity.keys:
            yield view.problem(
                "name-duplicate", f"feature {name!r} has the name of a key column", mend="rename the feature"
            )
    if schema is not None:
        for key in view.entity.keys:
            yield from _missing(view, f"the key of {view.entity.ref}", key, view.rows, schema)
        if view.rows.timestamp in schema and schema.type_of(view.rows.timestamp) is not DataType.TIMESTAMP:
            yield view.problem(
                "type-clash",
                f"the timestamp {view.rows.timestamp!r} is a {schema.type_of(view.rows.timestamp)}",
                expected="a timestamp",
            )


def _on_demand_problems(item: OnDemand, schemas: Schemas) -> Iterator[Problem]:
    """An annotation that contradicts the feature's type: numbers pass as each other, strings do not."""
    for view in item.views:
        if not isinstance(view, FeatureView):
            continue
        schema = schemas.of(view.rows)
        for name in item.parameters:
            hint = item.declared_type(name)
            aggregate = view.features.get(name)
            if hint is None or aggregate is None or schema is None:
                continue
            column = schema.type_of(aggregate.column) if aggregate.column is not None else None
            if aggregate.column is not None and column is None:
                continue
            actual = result_type(aggregate.kind, column)
            if actual is not hint and not (actual.is_numeric and hint.is_numeric):
                yield item.problem(
                    "type-clash",
                    f"parameter {name!r} is annotated as {hint.value}, {view.ref} gives {actual.value}",
                    expected=actual.value,
                )


def _training_set_problems(item: TrainingSet, schemas: Schemas) -> Iterator[Problem]:
    label = item.label.aggregate
    if isinstance(item.spine, SpineRows):
        schema = schemas.of(item.spine.rows)
        if schema is not None:
            for column in (*item.keys, *item.spine.columns):
                yield from _missing(item, "the spine", column, item.spine.rows, schema)
            yield from _input_clashes(item, schema)
    if label is not None and label.rows is not None:
        schema = schemas.of(label.rows)
        yield from _aggregate_problems(item, "the label", label, label.rows, schema)
        if schema is not None:
            for key in item.keys:
                yield from _missing(item, "the label's key", key, label.rows, schema)
            yield from _threshold_clash(item, label, schema)


def _input_clashes(item: TrainingSet, schema: Schema) -> Iterator[Problem]:
    for feature in item.on_demand:
        for name, type_ in feature.inputs.items():
            actual = schema.type_of(name)
            if actual is not None and actual is not type_ and not (actual.is_numeric and type_.is_numeric):
                yield item.problem(
                    "type-clash",
                    f"{feature.ref} takes {name!r} as {type_.value}, the spine carries {actual.value}",
                    expected=actual.value,
                )


def _threshold_clash(item: TrainingSet, label: Aggregate, schema: Schema) -> Iterator[Problem]:
    comparison = item.label.comparison
    column = schema.type_of(label.column) if label.column is not None else None
    if comparison is None or (label.column is not None and column is None):
        return
    type_ = result_type(label.kind, column)
    is_text = isinstance(comparison.threshold, str)
    if is_text != (type_ is DataType.STRING):
        yield item.problem(
            "type-clash",
            f"the label compares {label}, a {type_.value}, with {comparison.threshold!r}",
            expected=f"a {type_.value}",
        )


def _model_problems(item: Model, schemas: Schemas) -> Iterator[Problem]:
    task = task_of(item, schemas)
    if task is not None and item.metric not in METRICS[task]:
        yield item.problem(
            "metric-unknown",
            f"the metric {item.metric!r} does not judge a {task.value} model",
            expected=", ".join(METRICS[task]),
        )
    columns = {*item.training_set.carried, *(n for use in item.training_set.uses for n in use.features)}
    columns |= {feature.name for feature in item.training_set.on_demand}
    for name in item.slices:
        if name not in columns:
            yield item.problem(
                "column-unknown",
                f"it is sliced by {name!r}",
                expected=f"a column of {item.training_set.ref}",
                mend=did_you_mean(name, columns),
            )


def _endpoint_problems(item: Endpoint) -> Iterator[Problem]:
    for use in item.model.training_set.uses:
        if use.view.every in ("0s", "0d"):
            yield item.problem(
                "view-continuous",
                f"{use.view.ref} steps continuously, so that it has no online rows",
                expected="views with every of 1s or more",
            )


def _key_clashes(project: Project, schemas: Schemas) -> Iterator[Problem]:
    """One entity's key must have one type wherever it is read."""
    types: dict[tuple[str, str], dict[DataType, list[FeatureView]]] = defaultdict(lambda: defaultdict(list))
    for view in project.all(FeatureView):
        schema = schemas.of(view.rows)
        for key in view.entity.keys:
            type_ = schema.type_of(key) if schema is not None else None
            if type_ is not None:
                types[view.entity.name, key][type_].append(view)
    for entity in project.all(Entity):
        for key in entity.keys:
            found = types.get((entity.name, key), {})
            if len(found) > 1:
                told = "; ".join(
                    f"{t.value} in {', '.join(str(v.rows.ref) for v in views)}" for t, views in found.items()
                )
                yield entity.problem("type-clash", f"key {key!r} is {told}", expected="one type everywhere")
