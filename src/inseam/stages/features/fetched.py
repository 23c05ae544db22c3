"""What an online read gives: the values of views for one entity or for many, each under its own row's boundary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from inseam.ir.online_block import RowBlock
from inseam.ir.online_entity import HEAD_FIELDS, Heads
from inseam.ir.online_row import NO_BOUNDARY, NO_VERSION
from inseam.kernel import clock
from inseam.stages.features.online_view import OnlineView
from inseam.stages.features.tile_view import TileView

View = OnlineView | TileView


class FeatureRow:
    """One entity's online values: ``values`` by feature (None for NULL, instants as UTC datetimes), the rest by view.

    A row that ``is_missing`` has no boundary and no version. A row ``is_stale`` when a newer boundary was due at the
    instant of the read.
    """

    __slots__ = ("_heads", "_views", "at", "values")

    def __init__(self, at: int, views: Mapping[str, View], heads: Heads, values: dict[str, Any]) -> None:
        self.at = at
        self.values = values
        self._views = views
        self._heads = heads

    @property
    def boundaries(self) -> dict[str, int | None]:
        return self._known(self._heads[::HEAD_FIELDS], NO_BOUNDARY)

    @property
    def versions(self) -> dict[str, int | None]:
        return self._known(self._heads[1::HEAD_FIELDS], NO_VERSION)

    @property
    def is_stale(self) -> dict[str, bool]:
        pairs = zip(self._views.items(), self._heads[::HEAD_FIELDS], strict=True)
        return {name: NO_BOUNDARY < boundary < view.due(self.at) for (name, view), boundary in pairs}

    @property
    def is_missing(self) -> dict[str, bool]:
        pairs = zip(self._views, self._heads[::HEAD_FIELDS], strict=True)
        return {name: boundary == NO_BOUNDARY for name, boundary in pairs}

    def _known(self, numbers: Sequence[int], nothing: int) -> dict[str, int | None]:
        if nothing in numbers:
            numbers = [None if number == nothing else number for number in numbers]  # type: ignore[misc]
        return dict(zip(self._views, numbers))  # noqa: B905 - a head a view, and faster unchecked


class FeatureRows:
    """Online values of some entities, by feature; the rest by view, an array of one item an entity.

    ``boundaries`` (int64 UTC microseconds) and ``versions`` (int64) hold `NO_BOUNDARY` and `NO_VERSION` where a row
    ``is_missing``. A row ``is_stale`` when a newer boundary was due at the instant of the read.
    """

    def __init__(self, at: int, count: int, views: Sequence[View], blocks: Sequence[RowBlock]) -> None:
        self.at = at
        self._count = count
        self._views = views
        self._blocks = blocks
        self.boundaries = {view.name: block.boundaries for view, block in zip(views, blocks, strict=True)}
        self.is_missing = {name: boundaries == NO_BOUNDARY for name, boundaries in self.boundaries.items()}

    @cached_property
    def versions(self) -> dict[str, np.ndarray]:
        return {view.name: block.versions for view, block in zip(self._views, self._blocks, strict=True)}

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
