"""One entity's key must have one type wherever it is read, or joins find nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from inseam.define.aggregate import Aggregate
from inseam.define.entity import Entity
from inseam.define.feature_view import FeatureView
from inseam.define.project import Project
from inseam.define.rows import Rows
from inseam.define.training_set import SpineRows, SpineTable, TrainingSet, Wildcard
from inseam.kernel.errors import Problem
from inseam.kernel.types import DataType, Schema
from inseam.plan.schemas import Schemas, value_type

_CELLS: dict[DataType, type] = {DataType.INT64: int, DataType.STRING: str, DataType.BOOL: bool}
"""The keys that a default can name, and how it is written."""


def key_clashes(project: Project, schemas: Schemas) -> Iterator[Problem]:
    """A problem of the entity for each key that has several types."""
    types: dict[tuple[str, str], dict[DataType, dict[str, None]]] = defaultdict(lambda: defaultdict(dict))
    for entity, key, type_, told in (*_looked_up(project, schemas), *_named(project, schemas)):
        if type_ is not None:
            types[entity.name, key][type_][told] = None
    for entity in project.all(Entity):
        for key in entity.keys:
            found = types.get((entity.name, key), {})
            if len(found) > 1:
                told = "; ".join(f"{type_.value} in {', '.join(refs)}" for type_, refs in found.items())
                yield entity.problem("type-clash", f"key {key!r} is {told}", expected="one type everywhere")


def default_problems(view: FeatureView, schema: Schema) -> Iterator[Problem]:
    """A default must be a key that the view's rows could have."""
    for key, cell in zip(view.entity.keys, view.default_key, strict=False):
        type_ = schema.type_of(key)
        if type_ is not None and type(cell) is not _CELLS.get(type_):
            yield view.problem(
                "type-clash",
                f"its default names {key!r} by {cell!r}",
                expected=f"a {type_.value}, as in {view.rows.ref}"
                if type_ in _CELLS
                else f"a key of {', '.join(_CELLS)}: that of {view.entity.ref} is a {type_.value}",
            )


_Found = Iterator[tuple[Entity, str, DataType | None, str]]
"""A key of an entity, its type where that is known, and what it was found in."""


def _looked_up(project: Project, schemas: Schemas) -> _Found:
    """The keys as columns of rows."""
    for entity, rows in _readers(project):
        schema = schemas.of(rows)
        told = rows.path if isinstance(rows, SpineTable) else str(rows.ref)
        for key in entity.keys:
            yield entity, key, None if schema is None else schema.type_of(key), told


def _named(project: Project, schemas: Schemas) -> _Found:
    """The keys of wildcards, as the features that name their members."""
    for item in project.all(TrainingSet):
        if isinstance(item.spine, Wildcard):
            view = item.spine.members.view
            for feature in item.spine.members.features:
                aggregate = view.features.get(feature)
                type_ = value_type(aggregate, schemas.of(view.rows)) if isinstance(aggregate, Aggregate) else None
                yield from ((item.spine.entity, key, type_, str(view.ref)) for key in item.spine.entity.keys)


def _readers(project: Project) -> Iterator[tuple[Entity, Rows | SpineTable]]:
    """Each entity with the rows that its key is looked up in."""
    for view in project.all(FeatureView):
        yield view.entity, view.rows
    for item in project.all(TrainingSet):
        spine, label = item.plain_spine, item.label.aggregate
        rows: Rows | SpineTable | None = item.activity
        if isinstance(spine, SpineRows | SpineTable):
            rows = spine.rows if isinstance(spine, SpineRows) else spine
        if rows is not None:
            yield from ((entity, rows) for entity in spine.entities)
        if label is not None and label.rows is not None:
            yield from ((entity, label.rows) for entity in item.entities)
