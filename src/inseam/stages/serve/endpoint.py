"""What a served endpoint is made of: its spec, the model that answers now, and a reader of its features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from inseam.ir.training import EndpointSpec
from inseam.ports.bundle import Bundle
from inseam.stages.serve.guarded_store import GuardedStore

if TYPE_CHECKING:
    import numpy as np


class ViewRows(Protocol):
    """What is known of online rows of some entities: an array a view.

    ``boundaries`` (int64 UTC microseconds) mean nothing where ``is_missing``; ``is_stale`` and ``is_missing`` are bool.
    """

    @property
    def boundaries(self) -> Mapping[str, np.ndarray]: ...
    @property
    def is_stale(self) -> Mapping[str, np.ndarray]: ...
    @property
    def is_missing(self) -> Mapping[str, np.ndarray]: ...


class FeatureRows(ViewRows, Protocol):
    """Online rows, by column in the forms of `encoding.to_numpy`; ``versions`` (int64) are as ``boundaries``."""

    @property
    def columns(self) -> Mapping[str, np.ndarray]: ...
    @property
    def versions(self) -> Mapping[str, np.ndarray]: ...


class FeatureReading(Protocol):
    """Looks up the endpoint's views for entities: key values in the order of the endpoint's keys, instants as UTC
    microseconds and dates as days. A missing row reads as the aggregates over no row: 0 for counts, NULL else."""

    def read(self, entities: Sequence[Sequence[Any]], *, at: int) -> FeatureRows: ...


class MemberRows(ViewRows, Protocol):
    """Online rows of the view that names members: a column of plain values a feature, None for NULL."""

    @property
    def values(self) -> Mapping[str, Sequence[Any]]: ...


class MemberReading(Protocol):
    """Looks up what names the members of a wildcard: key values in the order of the endpoint's keys but the last."""

    def read(self, entities: Sequence[Sequence[Any]], *, at: int) -> MemberRows: ...


@dataclass(frozen=True, slots=True)
class Champion:
    """The model that answers now, and what it is asked with.

    ``spec`` has the views as the model was trained on them, which the definitions may no longer. ``reader`` reads
    exactly those; None for an endpoint without views. ``members`` reads those of its wildcard, when it has one.
    """

    bundle: Bundle
    version: int
    spec: EndpointSpec
    reader: FeatureReading | None
    members: MemberReading | None = None


class ChampionSource(Protocol):
    """Holds the present champion. ``current`` is swapped whole, from any thread; a request keeps the one it took."""

    @property
    def current(self) -> Champion | None: ...

    @property
    def problem(self) -> str | None:
        """Why the newest promotion is not being served, None when it is."""

    def start(self) -> None:
        """Begin to follow promotions; called once in the serving process."""

    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ServedEndpoint:
    """``spec`` is as declared: what requests bring. ``guard`` is what its champion's reads go through, when they do."""

    spec: EndpointSpec
    champion: ChampionSource
    guard: GuardedStore | None = None
