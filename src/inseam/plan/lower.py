"""Declarations to specs: references resolved, durations in microseconds, types known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from inseam.define.endpoint import Endpoint
from inseam.define.entity import keys_of
from inseam.define.feature_view import FeatureView
from inseam.define.model import Model
from inseam.define.on_demand import OnDemand
from inseam.define.source import Source
from inseam.define.training_set import Snapshots, SpineRows, SpineTable, TrainingSet, Wildcard, microseconds
from inseam.ir.checks import SourceSpec
from inseam.ir.functions import FunctionRef
from inseam.ir.on_demand import OnDemandSpec
from inseam.ir.spine import AnySpine, RowsSpine, SnapshotsSpine, Spine, TableSpine, WildcardSpine, plain
from inseam.ir.training import EndpointSpec, LabelSpec, ModelSpec, SplitSpec, Task, TrainingSetSpec
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import Step, parse_duration, parse_instant
from inseam.kernel.errors import DefinitionError
from inseam.kernel.types import DataType, Field, Schema
from inseam.plan.meaning import lineage
from inseam.plan.schemas import Schemas, declared_schema, value_type
from inseam.plan.views import aggregate_spec, known_schema, relation_of, view_spec

LABEL_VALUE = "label_value"
"""The forward aggregate's own column, before it is compared."""
FileDigest = Callable[[Path], str]
"""The content digest of a file that a user brings."""


def source_spec(source: Source, root: Path) -> SourceSpec:
    """What ingestion needs; relative locations are under the project's ``root``."""
    return SourceSpec(
        name=source.name,
        timestamp=source.timestamp,
        location=None if source.location is None else str(root / source.location),
        format=source.format,
        database=source.database,
        directory=str(root),
        query=source.query,
        schema=declared_schema(source),
        rename=tuple(source.rename.items()),
        timezone=source.timezone,
        ambiguous=source.ambiguous,
        timestamp_formats=source.timestamp_formats,
        encoding=source.encoding,
        delimiter=source.delimiter,
        key=tuple(source.key),
        on_duplicate=source.on_duplicate,
        deleted=source.deleted,
        decimal=source.decimal,
        checks=tuple(source.checks),
    )


def on_demand_spec(item: OnDemand, types: dict[str, DataType]) -> OnDemandSpec:
    """``types``: of the features known so far, by name."""
    inputs = item.inputs
    return OnDemandSpec(
        name=item.name,
        type=item.type,
        function=FunctionRef.of(item.function),
        features=tuple(Field(name, types[name]) for name in item.parameters if name not in inputs),
        inputs=tuple(Field(name, type_) for name, type_ in inputs.items()),
        takes_event_time=item.takes_event_time,
    )


def training_set_spec(item: TrainingSet, schemas: Schemas, root: Path, digest_of: FileDigest) -> TrainingSetSpec:
    views = tuple(view_spec(use.view, schemas).only(use.features) for use in item.uses)
    within, carried = _spine_spec(item, schemas, root, digest_of)
    types = {f.name: f.type for view in views for f in view.schema} | {f.name: f.type for f in carried}
    on_demand: list[OnDemandSpec] = []
    for feature in item.on_demand:
        on_demand.append(on_demand_spec(feature, types))
        types[feature.name] = feature.type
    return TrainingSetSpec(
        name=item.name,
        spine=_unfolding(item, within, schemas),
        views=views,
        on_demand=tuple(on_demand),
        features=tuple(Field(name, types[name]) for name in feature_names(item)),
        label=_label_spec(item, schemas, carried),
        split=SplitSpec(
            at=None if item.split.at is None else parse_instant(item.split.at),
            test=microseconds(item.split.test),
            fraction=item.split.fraction,
        ),
        fingerprint=lineage(item),
    )


def feature_names(item: TrainingSet) -> tuple[str, ...]:
    """The columns that a model sees: only what is listed, not what on-demand features merely read."""
    names: list[str] = []
    for feature in item.features:
        if isinstance(feature, str):
            names.append(feature)
        elif isinstance(feature, OnDemand):
            names.append(feature.name)
        else:
            names += feature.names if isinstance(feature, FeatureView) else feature.features
    return tuple(dict.fromkeys(names))


def _unfolding(item: TrainingSet, within: Spine, schemas: Schemas) -> AnySpine:
    """The set's spine, which stands over the one within where it has a wildcard."""
    if not isinstance(item.spine, Wildcard):
        return within
    members = item.spine.members
    (key,) = item.spine.entity.keys
    return WildcardSpine(within, view_spec(members.view, schemas).only(members.features), key)


def _spine_spec(
    item: TrainingSet, schemas: Schemas, root: Path, digest_of: FileDigest
) -> tuple[Spine, tuple[Field, ...]]:
    spine = item.plain_spine
    keys = keys_of(spine.entities)
    if isinstance(spine, Snapshots):
        rows = item.activity
        if rows is None:
            raise DefinitionError(str(item.ref), "nothing says whose rows make an entity active", place=item.place)
        known_schema(item, rows, schemas)
        step = Step(parse_duration(spine.every), spine.timezone)
        return SnapshotsSpine(
            relation_of(rows, schemas),
            keys,
            step,
            microseconds(spine.active),
            _instant(spine.start),
            _instant(spine.end),
        ), ()
    if isinstance(spine, SpineRows):
        schema = known_schema(item, spine.rows, schemas)
        return RowsSpine(relation_of(spine.rows, schemas), keys, spine.columns), _fields(schema, spine.columns)
    return _table_spine(spine, item, schemas, root, digest_of)


def _table_spine(
    spine: SpineTable, item: TrainingSet, schemas: Schemas, root: Path, digest_of: FileDigest
) -> tuple[TableSpine, tuple[Field, ...]]:
    schema, path = known_schema(item, spine, schemas), root / spine.path
    return (
        TableSpine(str(path), digest_of(path), keys_of(spine.entities), spine.timestamp, schema),
        _fields(schema, spine.columns),
    )


def _fields(schema: Schema, names: tuple[str, ...]) -> tuple[Field, ...]:
    return tuple(f for name in names for f in schema if f.name == name)


def _instant(text: str | None) -> int | None:
    return None if text is None else parse_instant(text)


def _label_spec(item: TrainingSet, schemas: Schemas, carried: tuple[Field, ...]) -> LabelSpec:
    label, aggregate, comparison = item.label, item.label.aggregate, item.label.comparison
    if aggregate is None or aggregate.rows is None:
        type_ = next((f.type for f in carried if f.name == label.column), None)
        if type_ is None:
            raise DefinitionError(str(item.ref), f"its spine does not carry {label.column!r}", place=item.place)
        return LabelSpec(type=type_, column=label.column)
    schema = known_schema(item, aggregate.rows, schemas)
    spec = aggregate_spec(LABEL_VALUE, aggregate, schema, None)
    window = WindowedAggregate(
        name="label",
        relation=relation_of(aggregate.rows, schemas),
        keys=item.keys,
        step=Step(0),
        lag=0,
        aggregates=(spec,),
        forward=parse_duration(label.ahead or "0s"),
    )
    if comparison is None:
        return LabelSpec(type=spec.type, window=window)
    return LabelSpec(DataType.BOOL, window, comparison.compare, comparison.threshold)


def task_of(item: Model, schemas: Schemas) -> Task | None:
    """The declared task, or the one that the label's type means; None while that is not known."""
    if item.task is not None:
        return item.task
    type_ = label_type(item.training_set, schemas)
    return None if type_ is None else _task(type_)


def label_type(item: TrainingSet, schemas: Schemas) -> DataType | None:
    """The type of the label; None while it is not known."""
    label, spine = item.label, item.plain_spine
    if label.comparison is not None:
        return DataType.BOOL
    if label.aggregate is not None:
        return value_type(label.aggregate, schemas.of(label.aggregate.rows)) if label.aggregate.rows else None
    if isinstance(spine, Snapshots):
        return None
    schema = schemas.of(spine.rows if isinstance(spine, SpineRows) else spine)
    return schema.type_of(label.column) if schema is not None and label.column is not None else None


def _task(type_: DataType) -> Task:
    return {DataType.BOOL: Task.BINARY, DataType.STRING: Task.MULTICLASS}.get(type_, Task.REGRESSION)


def model_spec(item: Model, training_set: TrainingSetSpec, schemas: Schemas) -> ModelSpec:
    return ModelSpec(
        name=item.name,
        training_set=training_set,
        function=FunctionRef.of(item.function),
        task=task_of(item, schemas) or _task(training_set.label.type),
        metric=item.metric,
        params=dict(item.params),
        gates=item.gates,
        slices=item.slices,
        tune=item.tune.spec() if item.tune is not None else None,
        seed=item.seed,
        fingerprint=lineage(item),
        owner=item.owner,
    )


def key_fields(item: TrainingSet, schemas: Schemas, training_set: TrainingSetSpec) -> tuple[Field, ...]:
    """The spine's key columns with their types, from the first schema that has them. A wildcard's is the last."""
    found = [view.relation.schema for view in training_set.views]
    spine = plain(training_set.spine)
    if isinstance(training_set.spine, WildcardSpine):
        found.insert(0, Schema((Field(training_set.spine.key, training_set.spine.type),)))
    found.append(spine.schema if isinstance(spine, TableSpine) else spine.relation.schema)
    return tuple(
        Field(key, next((t for s in found if (t := s.type_of(key)) is not None), DataType.STRING)) for key in item.keys
    )


def endpoint_spec(item: Endpoint, training_set: TrainingSetSpec, schemas: Schemas) -> EndpointSpec:
    declared = item.model.training_set
    inputs = {f.name: f for spec in training_set.on_demand for f in spec.inputs}
    carried = {f.name: f for f in training_set.features if f.name in declared.carried}
    spine = training_set.spine
    return EndpointSpec(
        name=item.name,
        model=item.model.name,
        keys=key_fields(declared, schemas, training_set),
        views=training_set.views,
        on_demand=training_set.on_demand,
        features=training_set.features,
        inputs=tuple((inputs | carried).values()),
        unknown=item.unknown,
        defaults=dict(item.defaults),
        max_rows=item.max_rows,
        max_staleness=microseconds(item.max_staleness),
        fingerprint=lineage(item),
        unavailable=item.unavailable,
        members=spine.members if isinstance(spine, WildcardSpine) else None,
    )
