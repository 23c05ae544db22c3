"""Views and the rows that they read as specs: columns known, what is joined resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from inseam.define.aggregate import Aggregate
from inseam.define.feature_view import FeatureView
from inseam.define.join import Join
from inseam.define.rows import Rows
from inseam.define.training_set import SpineTable, TrainingSet, microseconds
from inseam.ir.aggregates import AggregateKind, AggregateSpec, result_type
from inseam.ir.relation import Joined, Relation
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import Step, parse_duration
from inseam.kernel.errors import NotFoundError
from inseam.kernel.types import DataType, Schema
from inseam.plan.schemas import Schemas, alone

_EXTREMES = {
    AggregateKind.TIME_SINCE_FIRST: AggregateKind.MIN,
    AggregateKind.TIME_SINCE_LAST: AggregateKind.MAX,
}


def known_schema(item: FeatureView | TrainingSet, rows: Rows | SpineTable, schemas: Schemas) -> Schema:
    schema = schemas.of(rows)
    if schema is None:
        raise NotFoundError(
            str(item.ref),
            f"the columns of {rows.path if isinstance(rows, SpineTable) else rows.ref} are not known yet",
            expected="a declared schema or a first load",
            mend="run `inseam ingest`, or declare schema={...} on the source",
        )
    return schema


def relation_of(rows: Rows, schemas: Schemas) -> Relation:
    """What is read; the columns of everything that is joined must be known."""
    relation = alone(rows, schemas.of(rows) or Schema(()))
    return replace(relation, joins=tuple(_joined(join, schemas) for join in rows.joins))


def _joined(join: Join, schemas: Schemas) -> Joined:
    view = view_spec(join.view, schemas).only(tuple(join.columns.values()))
    return Joined(view, tuple(join.keys.items()), join.prefix)


def view_spec(view: FeatureView, schemas: Schemas) -> WindowedAggregate:
    schema = known_schema(view, view.rows, schemas)
    aggregates: dict[str, AggregateSpec] = {}
    for name, aggregate in view.features.items():
        spec = aggregate_spec(name, aggregate, schema, view.ttl)
        aggregates[name] = replace(spec, parts=_parts(aggregate, spec, view.rows, aggregates))
    return WindowedAggregate(
        name=view.name,
        relation=relation_of(view.rows, schemas),
        keys=view.entity.keys,
        step=Step(parse_duration(view.every), view.timezone),
        lag=parse_duration(view.lag),
        aggregates=tuple(aggregates.values()),
        default=view.default_key or None,
    )


def _parts(
    aggregate: Aggregate, spec: AggregateSpec, rows: Rows, before: Mapping[str, AggregateSpec]
) -> tuple[AggregateSpec, ...]:
    """What a derived feature is computed from: features declared before it, or an event time of the window."""
    extreme = _EXTREMES.get(aggregate.kind)
    if extreme is None:
        return tuple(before[name] for name in aggregate.of)
    return (replace(spec, kind=extreme, type=DataType.TIMESTAMP, column=rows.timestamp),)


def aggregate_spec(name: str, aggregate: Aggregate, schema: Schema, ttl: str | None) -> AggregateSpec:
    column = schema.type_of(aggregate.column) if aggregate.column is not None else None
    return AggregateSpec(
        name=name,
        kind=aggregate.kind,
        type=result_type(aggregate.kind, column),
        column=aggregate.column,
        over=microseconds(aggregate.over or aggregate.ttl or ttl),
        where=aggregate.where,
        quantile=aggregate.q,
        rank=aggregate.rank,
    )
