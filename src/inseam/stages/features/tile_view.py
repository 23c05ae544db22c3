"""A view that is kept in tiles, as it is read online: its values at the boundary that is applied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from inseam.ir.derived import core, finisher
from inseam.ir.online_row import RowCodec
from inseam.ir.tile_fold import HEAD
from inseam.ir.tile_key import chunk_key, head_key
from inseam.ir.tile_read import TileWindows
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.errors import ConflictError, DefinitionError, UnavailableError
from inseam.ports.online import OnlineStore
from inseam.stages.features.tile_table import APPLIED, TileMark, read_applied, tile_table

_TRIES = 5
_NEVER = -(1 << 63)


class Question(list[bytes]):
    """The keys of one read; ``applied``: the row under `APPLIED` that was known before it."""

    def __init__(self, keys: Iterable[bytes], applied: bytes | None) -> None:
        super().__init__(keys)
        self.applied = applied


class TileView:
    """Answers as `OnlineView` does: with a row of `online_row` for each entity, which names its own boundary.

    An entity's head has every row that is known at the head's boundary, and none came for it until the boundary that
    is applied: its values are right at each one between the two. A read takes the newest that is readable.

    Where a read is not of one state, an entity's rows are, and they may be older than what the same read says is
    applied: it is believed when it was known before. An entity is taken for one that was never there when a second
    read does not find it either, for the tiles may have been going away during the first.
    """

    def __init__(self, view: WindowedAggregate, fingerprint: str, store: OnlineStore) -> None:
        self.name = view.name
        self.table = tile_table(view.name, fingerprint)
        self._view = view
        self._store = store
        self._windows: TileWindows | None = None
        self._applied: bytes | None = None
        zeros = frozenset(aggregate.name for aggregate in view.aggregates if aggregate.is_zero_over_nothing)
        self.codec = RowCodec(view.schema, zeros=zeros)
        self._schema = view.schema.to_arrow()
        self._computed = core(view).schema.to_arrow()
        self._finish = finisher(view)

    def codec_for(self, rows: Sequence[bytes | None]) -> RowCodec:
        """The rows are made here, by one codec."""
        return self.codec

    def due(self, instant: int) -> int:
        """The boundary that a row must name not to be stale. A continuous view is always on its way: none is due."""
        return self._view.boundary(instant) if self._view.step.microseconds else _NEVER

    def asked(self, entities: Sequence[bytes], at: int) -> Question:
        """The keys that are read for these entities at an instant: mostly all that are needed."""
        applied = self._applied
        guess = _NEVER if applied is None else min(self._view.boundary(at), read_applied(applied)[0])
        return Question(_keys(self._windows, entities, [guess] * len(entities)), applied)

    def answered(
        self, entities: Sequence[bytes], at: int, asked: Sequence[bytes], found: Sequence[bytes | None]
    ) -> list[bytes | None]:
        """The entities' rows from what was ``found`` for the keys ``asked``; reads again what lies elsewhere."""
        assert isinstance(asked, Question)
        missed: set[bytes] = set()
        for _ in range(_TRIES):
            held = dict(zip(asked, found, strict=True))
            applied = self._applied = self._reach(held)
            reach, version, digest = read_applied(applied)
            windows = self._windows_of(digest)
            missing = {entity for entity in entities if held[head_key(entity)] is None}
            is_settled = self._store.is_one_state or (applied == asked.applied and missing <= missed)
            missed = missing
            due = min(self._view.boundary(at), reach)
            heads = [held[head_key(entity)] for entity in entities]
            boundaries = [_NEVER if head is None else max(HEAD.unpack_from(head)[0], due) for head in heads]
            asked = Question(_keys(windows, entities, boundaries), applied)
            if windows is not None and is_settled and held.keys() >= set(asked):
                return [
                    self._answer(windows, held, entity, boundary, version if boundary <= reach else None)
                    for entity, boundary in zip(entities, boundaries, strict=True)
                ]
            found = self._store.read([self.table], [asked])[0]
        raise ConflictError(f"view {self.name!r}", "its tiles changed again and again while they were read")

    def _reach(self, held: Mapping[bytes, bytes | None]) -> bytes:
        """The row that says what is applied."""
        row = held[APPLIED]
        if row is None:
            raise UnavailableError(
                f"feature_view:{self.name}",
                "its tiles are not built yet, or are being built anew",
                mend=f"inseam freshen {self.name}",
            )
        return row

    def _windows_of(self, digest: bytes) -> TileWindows | None:
        """For tiles of this layout; None when they have been replaced since they were read."""
        windows = self._windows
        if windows is not None and windows.layout.digest == digest:
            return windows
        mark = TileMark.decode(self._store.mark(self.table))
        if mark is None or mark.shape.layout.digest != digest:
            return None
        try:
            windows = self._windows = TileWindows(self._view, mark.shape.layout)
        except ValueError:
            raise DefinitionError(
                f"view {self.name!r}", "its tiles were made for other features", mend=f"inseam freshen {self.name}"
            ) from None
        return windows

    def _answer(
        self,
        windows: TileWindows,
        held: Mapping[bytes, bytes | None],
        entity: bytes,
        boundary: int,
        version: int | None,
    ) -> bytes | None:
        """An entity's row; ``version`` None: that of its head, which is ahead of what is applied."""
        head = held[head_key(entity)]
        if head is None:
            return None
        chunks = {start: held[chunk_key(entity, start)] for start in windows.chunks(boundary)}
        values = windows.values(head, chunks, boundary)
        return self._row(values, boundary, HEAD.unpack_from(head)[1] if version is None else version)

    def _row(self, values: Mapping[str, Any], boundary: int, version: int) -> bytes:
        import pyarrow as pa

        # Arrow reads a plain integer as an instant in the column's own unit.
        columns = {field.name: pa.array([values[field.name]], field.type) for field in self._computed}
        made = self._finish(columns, np.array([boundary]))
        batch = pa.record_batch([made[name] for name in self._schema.names], schema=self._schema)
        return self.codec.encode(batch, boundary, version)[0]


def _keys(windows: TileWindows | None, entities: Sequence[bytes], boundaries: Sequence[int]) -> list[bytes]:
    """What is to be read for each entity to be answered at a boundary of its own; `_NEVER`: its head alone."""
    starts = {b: windows.chunks(b) if windows is not None and b != _NEVER else [] for b in set(boundaries)}
    keys = [APPLIED]
    for entity, boundary in zip(entities, boundaries, strict=True):
        keys.append(head_key(entity))
        keys += [chunk_key(entity, start) for start in starts[boundary]]
    return list(dict.fromkeys(keys))
