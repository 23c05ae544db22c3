"""The online read: the values of views for entities, each under the boundary that its own row names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from inseam.ir.aggregates import ALGEBRA
from inseam.ir.online_key import KeyCodec
from inseam.ir.online_row import RowBlock, RowCodec
from inseam.ir.windows import WindowedAggregate
from inseam.kernel import clock
from inseam.kernel.errors import DataError, DefinitionError
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import Schema
from inseam.ports.online import OnlineStore
from inseam.stages.features.mark import Mark, online_table

Entity = Mapping[str, Any] | Sequence[Any]
"""An entity's key fields by name, or their values in the order of the reader's ``keys``."""


@dataclass(slots=True)
class FeatureRow:
    """One entity's online values. The other mappings are by view; a missing row has no boundary and no version."""

    values: dict[str, Any]
    """By feature: None for NULL, instants as UTC datetimes."""
    boundaries: dict[str, int | None]
    versions: dict[str, int | None]
    is_stale: dict[str, bool]
    is_missing: dict[str, bool]


class FeatureRows:
    """Online values of some entities, by feature; the rest by view, an array of one item an entity.

    ``boundaries`` (int64 UTC microseconds) and ``versions`` (int64) hold `NO_BOUNDARY` and `NO_VERSION` where a row
    ``is_missing``. A row ``is_stale`` when a newer boundary was due at the instant of the read.
    """

    def __init__(
        self, at: int, count: int, views: Sequence[_View], blocks: Sequence[RowBlock], missing: Sequence[np.ndarray]
    ) -> None:
        self.at = at
        self._count = count
        self._views = views
        self._blocks = blocks
        self.is_missing = {view.name: absent for view, absent in zip(views, missing, strict=True)}
        self.boundaries = {view.name: block.boundaries for view, block in zip(views, blocks, strict=True)}
        self.versions = {view.name: block.versions for view, block in zip(views, blocks, strict=True)}

    @cached_property
    def is_stale(self) -> dict[str, np.ndarray]:
        return {
            view.name: (self.boundaries[view.name] < view.due(self.at)) & ~self.is_missing[view.name]
            for view in self._views
        }

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """Each feature in the form of `encoding.to_numpy`, straight from the rows' bytes: what a model asks."""
        return self._by_name(RowBlock.arrays)

    @cached_property
    def values(self) -> dict[str, list[Any]]:
        """Each feature's Python values: None for NULL, instants as UTC datetimes."""
        return self._by_name(RowBlock.values)

    def as_dicts(self) -> list[dict[str, Any]]:
        """Each entity's ``features`` by name, and its ``views`` by name with what is known of their rows, to be shown.

        Boundaries are ISO 8601 texts; a missing row's is None.
        """
        rows = []
        for place in range(len(self)):
            views = {}
            for view in self._views:
                name, is_missing = view.name, bool(self.is_missing[view.name][place])
                views[name] = {
                    "boundary": None if is_missing else clock.format_instant(int(self.boundaries[name][place])),
                    "version": None if is_missing else int(self.versions[name][place]),
                    "is_stale": bool(self.is_stale[name][place]),
                    "is_missing": is_missing,
                }
            features = {name: column[place] for name, column in self.values.items()}
            rows.append({"features": features, "views": views})
        return rows

    def __len__(self) -> int:
        return self._count

    def _by_name(self, decode: Callable[[RowBlock], Sequence[Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for block in self._blocks:
            found.update(zip(block.names, decode(block), strict=True))
        return found


class FeatureReader:
    """Reads views for entities whose key fields are ``keys``; each view takes those of them that are its own keys.

    Build it once: it is thread-safe and may be carried across a fork. An entity of which a view has no row was not
    known at any boundary that was written: it reads as the aggregates over no row (0 for counts, NULL for the rest, as
    in training), and says that it is missing. A view may be narrowed to some of its aggregates.
    """

    def __init__(self, store: OnlineStore, views: Sequence[tuple[WindowedAggregate, str]], keys: Schema) -> None:
        _check(views, keys)
        self._store = store
        self._keys = keys
        self._views = [_View(view, fingerprint, store) for view, fingerprint in views]
        self._tables = [view.table for view in self._views]
        combinations = list(dict.fromkeys(view.keys for view, _ in views))
        self._pickers = [_Picker(names, keys) for names in combinations]
        self._picker_of = [combinations.index(view.keys) for view, _ in views]

    def read(self, entities: Sequence[Entity], *, at: int | None = None) -> FeatureRows:
        """Rows of many entities, in their order, from one consistent state; ``at`` (default now) judges staleness."""
        keys = [picker.many(entities) for picker in self._pickers]
        found = self._store.read(self._tables, [keys[i] for i in self._picker_of])
        blocks = [view.codec_for(rows).block(rows) for view, rows in zip(self._views, found, strict=True)]
        present = np.zeros(len(entities), np.bool_)
        missing = [np.array([row is None for row in rows], np.bool_) if None in rows else present for rows in found]
        return FeatureRows(clock.now() if at is None else at, len(entities), self._views, blocks, missing)

    def one(self, entity: Entity, *, at: int | None = None) -> FeatureRow:
        """`read` of one entity, in the fewest microseconds."""
        instant = clock.now() if at is None else at
        keys = [(picker.one(entity),) for picker in self._pickers]
        found = self._store.read(self._tables, [keys[i] for i in self._picker_of])
        values: dict[str, Any] = {}
        boundaries: dict[str, int | None] = {}
        versions: dict[str, int | None] = {}
        stale: dict[str, bool] = {}
        missing: dict[str, bool] = {}
        for view, rows in zip(self._views, found, strict=True):
            text = rows[0]
            name = view.name
            if text is None:
                values.update(zip(view.codec.names, view.codec.decode(view.codec.nothing)[2], strict=True))
                boundaries[name] = versions[name] = None
                stale[name], missing[name] = False, True
            else:
                codec = view.codec if view.is_sure else view.codec_for(rows)
                boundary, versions[name], decoded = codec.decode(text)
                values.update(zip(codec.names, decoded, strict=True))
                boundaries[name] = boundary
                stale[name], missing[name] = boundary < view.due(instant), False
        return FeatureRow(values, boundaries, versions, stale, missing)


class _View:
    """One view as it is read: its codec, and the boundary that is due."""

    def __init__(self, view: WindowedAggregate, fingerprint: str, store: OnlineStore) -> None:
        self.name = view.name
        self.table = online_table(view.name, fingerprint)
        self.is_sure = False
        self.codec = self._codec(view.schema, view)
        self._view = view
        self._store = store
        self._due = (0, 0, 0)

    def codec_for(self, rows: Sequence[bytes | None]) -> RowCodec:
        """The codec by which these rows were written: the table's mark tells, once there is a row."""
        if not self.is_sure and any(row is not None for row in rows):
            mark = Mark.decode(self._store.mark(self.table))
            if mark is not None:
                self.codec = self._codec(mark.schema, self._view)
                self.is_sure = True
        return self.codec

    def due(self, instant: int) -> int:
        """``view.boundary(instant)``, remembered from one read to the next: it moves once a step."""
        start, end, boundary = self._due
        if not start <= instant < end:
            view = self._view
            boundary = view.boundary(instant)
            self._due = (boundary + view.lag, view.step.next_after(boundary) + view.lag, boundary)
        return boundary

    @staticmethod
    def _codec(schema: Schema, view: WindowedAggregate) -> RowCodec:
        zeros = frozenset(aggregate.name for aggregate in view.aggregates if ALGEBRA[aggregate.kind].empty == 0)
        written = {field.name: field.type for field in schema}
        for field in view.schema:
            if written.get(field.name) is not field.type:
                raise DefinitionError(
                    f"view {view.name!r}",
                    f"feature {field.name!r} is read as {field.type} and was written as {written.get(field.name)}",
                    mend=f"inseam materialize {view.name}",
                )
        return RowCodec(schema, wanted=view.schema.names, zeros=zeros)


_PLAIN = frozenset((tuple, list))


class _Picker:
    """Takes the fields of one combination of keys from an entity and makes the store's key."""

    def __init__(self, names: Sequence[str], keys: Schema) -> None:
        self._codec = KeyCodec(Schema(tuple(field for name in names for field in keys if field.name == name)))
        self._names = names
        self._keys = keys.names
        self._places = [keys.names.index(name) for name in names]
        self._width = len(keys.fields)
        self._is_whole = self._places == list(range(self._width))

    def one(self, entity: Entity) -> bytes:
        return self._codec.one(entity if self._is_whole and type(entity) is tuple else self._pick(entity))

    def many(self, entities: Sequence[Entity]) -> list[bytes]:
        if self._is_whole and _PLAIN.issuperset(map(type, entities)):
            return self._codec.many(entities)  # type: ignore[arg-type]
        return self._codec.many([self._pick(entity) for entity in entities])

    def _pick(self, entity: Entity) -> Sequence[Any]:
        if isinstance(entity, Mapping):
            for name in self._names:
                if name not in entity:
                    raise DataError("entity", f"{dict(entity)!r}", expected=f"a value of key {name!r}")
            return [entity[name] for name in self._names]
        if isinstance(entity, str) or not isinstance(entity, Sequence) or len(entity) != self._width:
            raise DataError("entity", f"{entity!r}", expected=f"the values of {', '.join(self._keys)}")
        return [entity[place] for place in self._places]


def _check(views: Sequence[tuple[WindowedAggregate, str]], keys: Schema) -> None:
    names: dict[str, str] = {}
    for view, _ in views:
        for key in view.keys:
            asked, held = keys.type_of(key), view.relation.schema.type_of(key)
            if asked is None:
                raise DefinitionError(
                    f"view {view.name!r}", f"its key {key!r} is not given", mend=did_you_mean(key, keys.names)
                )
            if held is not None and held is not asked:
                raise DefinitionError(f"key {key!r}", f"{asked}", expected=f"{held}, as in view {view.name!r}")
        for name in view.schema.names:
            if name in names:
                raise DefinitionError(f"feature {name!r}", f"both {names[name]!r} and {view.name!r} have it")
            names[name] = view.name
