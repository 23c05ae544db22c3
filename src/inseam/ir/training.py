"""What a training set and a model are made from, with every reference resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from inseam.ir.functions import FunctionRef
from inseam.ir.on_demand import OnDemandSpec
from inseam.ir.spine import AnySpine
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.frozen import METADATA
from inseam.kernel.types import DataType, Field

LABEL = "label"
"""The training set's column that holds the label."""
PART = "part"
"""The training set's column that says on which side of the split a row lies: ``train`` or ``test``."""


class Task(StrEnum):
    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


@dataclass(frozen=True, slots=True)
class LabelSpec:
    """The label is ``compare(value, threshold)`` of one forward aggregate, or the value itself without a comparison.

    With ``column`` instead, the spine itself carries the label. ``compare``: ``== != < <= > >=``.
    """

    type: DataType
    window: WindowedAggregate | None = None
    compare: str | None = None
    threshold: float | int | str | bool | None = None
    column: str | None = None

    @property
    def ahead(self) -> int:
        """How far the label looks past the spine's instant, in microseconds."""
        return 0 if self.window is None or self.window.forward is None else self.window.forward


@dataclass(frozen=True, slots=True)
class SplitSpec:
    """Rows at or after the split instant are for testing; training rows whose label reaches past it are purged.

    ``at`` names the instant; otherwise it lies ``test`` microseconds before the last spine instant's end, or, with
    ``fraction``, where that share of the span of instants is left.
    """

    at: int | None = None
    test: int | None = None
    fraction: float = 0.2


@dataclass(frozen=True, slots=True)
class TrainingSetSpec:
    name: str
    spine: AnySpine
    views: tuple[WindowedAggregate, ...]
    on_demand: tuple[OnDemandSpec, ...]
    features: tuple[Field, ...]
    """The columns that a model sees, in order: features of views, then on-demand features, then carried columns."""
    label: LabelSpec
    split: SplitSpec
    fingerprint: str
    """Of the whole meaning, this set's and all that it is made from (not of the data: snapshots add that)."""


@dataclass(frozen=True, slots=True)
class GateSpec:
    """One condition on the way to champion. ``kind`` names the judge in `stages.register`; ``options`` are its own."""

    kind: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TuneSpec:
    """Search space by parameter: ``(kind, low, high, is_log)`` for numbers, ``("choice", *values)`` otherwise."""

    space: Mapping[str, tuple[Any, ...]]
    trials: int = 30
    timeout_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ModelSpec:
    name: str
    training_set: TrainingSetSpec
    function: FunctionRef
    task: Task
    metric: str
    params: Mapping[str, Any]
    gates: tuple[GateSpec, ...]
    slices: tuple[str, ...]
    tune: TuneSpec | None
    seed: int
    fingerprint: str
    owner: str = field(default="", metadata=METADATA)


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """What is served. ``unknown``: what an entity without online rows gets: ``missing`` | ``default`` | ``reject``.

    ``unavailable``: what requests get while the online store does not answer: ``fail`` | ``stale`` | ``default``.
    """

    name: str
    model: str
    keys: tuple[Field, ...]
    views: tuple[WindowedAggregate, ...]
    on_demand: tuple[OnDemandSpec, ...]
    features: tuple[Field, ...]
    inputs: tuple[Field, ...]
    """Columns that the request brings: inputs of on-demand features and columns that the spine carried."""
    unknown: str
    defaults: Mapping[str, Any]
    max_rows: int
    max_staleness: int | None
    fingerprint: str
    unavailable: str = "fail"
    members: WindowedAggregate | None = None
    """A request may leave out the last of the keys, which is then each member that this view names: see
    `WildcardSpine`."""
