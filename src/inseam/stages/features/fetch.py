"""The online read: the values of views for entities, each under the boundary that its own row names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from inseam.ir.online_block import RowBlock
from inseam.ir.online_entity import EntityCodec, UnknownLayoutError
from inseam.ir.online_key import KeyCodec
from inseam.ir.windows import WindowedAggregate
from inseam.kernel import clock
from inseam.kernel.errors import DataError, DefinitionError
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import Schema
from inseam.ports.online import OnlineStore
from inseam.stages.features.fetched import FeatureRow, FeatureRows
from inseam.stages.features.online_view import OnlineView
from inseam.stages.features.tile_view import TileView

Entity = Mapping[str, Any] | Sequence[Any]
"""An entity's key fields by name, or their values in the order of the reader's ``keys``."""


class FeatureReader:
    """Reads views for entities whose key fields are ``keys``; each view takes those of them that are its own keys.

    Build it once: it is thread-safe and may be carried across a fork. An entity of which a view has no row was not
    known at any boundary that was written: it reads as the aggregates over no row (0 for counts, NULL for the rest, as
    in training), and says that it is missing. A view may be narrowed to some of its aggregates. The views named in
    ``fresh`` are read from tiles, the others from the rows that were materialized.
    """

    def __init__(
        self,
        store: OnlineStore,
        views: Sequence[tuple[WindowedAggregate, str]],
        keys: Schema,
        *,
        fresh: Collection[str] = (),
    ) -> None:
        _check(views, keys)
        self._store = store
        self._views: list[OnlineView | TileView] = [
            TileView(view, fingerprint, store) if view.name in fresh else OnlineView(view, fingerprint, store)
            for view, fingerprint in views
        ]
        self._is_direct = not fresh and all(view.default is None for view, _ in views)
        """Whether a row is what the store has under the entity's key, and nothing more."""
        self._by_name = {view.name: view for view in self._views}
        self._tables = tuple(view.table for view in self._views)
        self._codec = EntityCodec([view.codec for view in self._views])
        combinations = list(dict.fromkeys(view.keys for view, _ in views))
        self._pickers = [_Picker(names, keys) for names in combinations]
        self._picker_of = [combinations.index(view.keys) for view, _ in views]
        self._pick = self._pickers[0].one if len(self._pickers) == 1 else None

    def read(self, entities: Sequence[Entity], *, at: int | None = None) -> FeatureRows:
        """Rows of many entities, in their order; ``at`` (default now) judges staleness.

        They are of one state of the store, where it promises one (see `OnlineStore`). Tiles that moved on between two
        reads are read again: a view may then be of a later state than its neighbours, under the boundary that it names.
        """
        instant = clock.now() if at is None else at
        keys = [picker.many(entities) for picker in self._pickers]
        found = self._rows([keys[i] for i in self._picker_of], instant)
        blocks = [RowBlock(view.codec_for(rows), rows) for view, rows in zip(self._views, found, strict=True)]
        return FeatureRows(instant, len(entities), self._views, blocks)

    def one(self, entity: Entity, *, at: int | None = None) -> FeatureRow:
        """`read` of one entity, in the fewest microseconds."""
        instant = clock.now() if at is None else at
        if self._pick is not None:
            keys = [self._pick(entity)] * len(self._tables)
        else:
            own = [picker.one(entity) for picker in self._pickers]
            keys = [own[i] for i in self._picker_of]
        if self._is_direct:
            found = self._store.one(self._tables, keys)
        else:
            found = [row for (row,) in self._rows([(key,) for key in keys], instant)]
        try:
            heads, values = self._codec.decode(found)
        except UnknownLayoutError:
            heads, values = self._learn(found).decode(found)
        return FeatureRow(instant, self._by_name, heads, values)

    def _rows(self, keys: Sequence[Sequence[bytes]], at: int) -> Sequence[Sequence[bytes | None]]:
        """The rows of each view's keys, by one read of the store (and another where tiles have moved meanwhile)."""
        if self._is_direct:
            return self._store.read(self._tables, keys)
        pairs = list(zip(self._views, keys, strict=True))
        asked = [view.asked(own, at) for view, own in pairs]
        found = self._store.read(self._tables, asked)
        return [view.answered(own, at, told, rows) for (view, own), told, rows in zip(pairs, asked, found, strict=True)]

    def _learn(self, found: Sequence[bytes | None]) -> EntityCodec:
        """The codec of rows that the present one does not know."""
        self._codec = codec = EntityCodec(
            [view.codec_for((row,)) for view, row in zip(self._views, found, strict=True)]
        )
        return codec


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
