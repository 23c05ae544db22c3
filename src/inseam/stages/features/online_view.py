"""One view as it is read online: its table, the layout of its rows, and the boundary that is due."""

from __future__ import annotations

from collections.abc import Sequence

from inseam.ir.online_key import KeyCodec
from inseam.ir.online_row import LAYOUT, RowCodec
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.errors import ConflictError, DefinitionError
from inseam.kernel.types import Schema
from inseam.ports.online import OnlineStore
from inseam.stages.features.mark import Mark, online_table


class OnlineView:
    """``codec`` is that of the newest rows that were met; before any, the view's features are taken for all."""

    def __init__(self, view: WindowedAggregate, fingerprint: str, store: OnlineStore) -> None:
        self.name = view.name
        self.table = online_table(view.name, fingerprint)
        self._default = None if view.default is None else KeyCodec(view.key_schema).one(view.default)
        self._view = view
        self._store = store
        self._due = (0, 0, 0)
        self.codec = self._codec(view.schema)

    def asked(self, entities: Sequence[bytes], at: int) -> Sequence[bytes]:
        """The keys that are read for these entities."""
        return entities if self._default is None else [*entities, self._default]

    def answered(
        self, entities: Sequence[bytes], at: int, asked: Sequence[bytes], found: Sequence[bytes | None]
    ) -> Sequence[bytes | None]:
        """The entities' rows from what was ``found`` for the keys ``asked``: the default's where there is none."""
        if self._default is None:
            return found
        *own, default = found
        return [default if row is None else row for row in own]

    def codec_for(self, rows: Sequence[bytes | None]) -> RowCodec:
        """The codec by which these rows of one read were written: where they aren't the known ones, the mark tells."""
        layout = next(filter(None, rows), self.codec.nothing)[LAYOUT]
        if layout != self.codec.layout:
            mark = Mark.decode(self._store.mark(self.table))
            if mark is not None:
                self.codec = self._codec(mark.schema)
            if layout != self.codec.layout:
                raise ConflictError(
                    f"view {self.name!r}",
                    "its online rows are not those that their mark describes: they were replaced while they were read",
                    mend=f"read again; if that is in vain, inseam materialize {self.name}",
                )
        return self.codec

    def due(self, instant: int) -> int:
        """``view.boundary(instant)``, remembered from one read to the next: it moves once a step."""
        start, end, boundary = self._due
        if not start <= instant < end:
            view = self._view
            boundary = view.boundary(instant)
            self._due = (boundary + view.lag, view.step.next_after(boundary) + view.lag, boundary)
        return boundary

    def _codec(self, schema: Schema) -> RowCodec:
        zeros = frozenset(aggregate.name for aggregate in self._view.aggregates if aggregate.is_zero_over_nothing)
        written = {field.name: field.type for field in schema}
        for field in self._view.schema:
            if written.get(field.name) is not field.type:
                raise DefinitionError(
                    f"view {self.name!r}",
                    f"feature {field.name!r} is read as {field.type} and was written as {written.get(field.name)}",
                    mend=f"inseam materialize {self.name}",
                )
        return RowCodec(schema, wanted=self._view.schema.names, zeros=zeros)
