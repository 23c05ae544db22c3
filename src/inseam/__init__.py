"""Inseam: declare a machine-learning system once; every path that computes a value gives the same one.

The names that users write, resolved on first use so that ``import inseam`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inseam.define.aggregate import (
        approx_distinct,
        approx_quantile,
        count,
        distinct,
        first,
        last,
        last_n,
        max,
        mean,
        min,
        quantile,
        std,
        sum,
        top_k,
    )
    from inseam.define.check import between, check, fresh, not_null, one_of, row_count, unique
    from inseam.define.derived import difference, ratio, time_since_first, time_since_last
    from inseam.define.endpoint import Endpoint
    from inseam.define.entity import Entity
    from inseam.define.example import Example
    from inseam.define.feature_view import FeatureView
    from inseam.define.join import Join
    from inseam.define.model import (
        Tune,
        at_least,
        at_most,
        beats_champion,
        calibration,
        choice,
        integer,
        latency,
        model,
        no_skew,
        no_unseen_features,
        number,
        size,
        slice_gap,
    )
    from inseam.define.on_demand import on_demand
    from inseam.define.project import Project
    from inseam.define.source import Source
    from inseam.define.training_set import Label, Split, TrainingSet, rows, snapshots, table, wildcard
    from inseam.define.transform import Transform, transform
    from inseam.run.workspace import Workspace, open

_HOMES = {
    "define.aggregate": "approx_distinct approx_quantile count distinct first last last_n max mean min quantile "
    "std sum top_k",
    "define.check": "between check fresh not_null one_of row_count unique",
    "define.derived": "difference ratio time_since_first time_since_last",
    "define.endpoint": "Endpoint",
    "define.entity": "Entity",
    "define.example": "Example",
    "define.feature_view": "FeatureView",
    "define.join": "Join",
    "define.model": "Tune at_least at_most beats_champion calibration choice integer latency model no_skew "
    "no_unseen_features number size slice_gap",
    "define.on_demand": "on_demand",
    "define.project": "Project",
    "define.source": "Source",
    "define.transform": "Transform transform",
    "define.training_set": "Label Split TrainingSet rows snapshots table wildcard",
    "run.workspace": "Workspace open",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}
# Written out, for type checkers read it.
__all__ = [
    "Endpoint",
    "Entity",
    "Example",
    "FeatureView",
    "Join",
    "Label",
    "Project",
    "Source",
    "Split",
    "TrainingSet",
    "Transform",
    "Tune",
    "Workspace",
    "approx_distinct",
    "approx_quantile",
    "at_least",
    "at_most",
    "beats_champion",
    "between",
    "calibration",
    "check",
    "choice",
    "count",
    "difference",
    "distinct",
    "first",
    "fresh",
    "integer",
    "last",
    "last_n",
    "latency",
    "max",
    "mean",
    "min",
    "model",
    "no_skew",
    "no_unseen_features",
    "not_null",
    "number",
    "on_demand",
    "one_of",
    "open",
    "quantile",
    "ratio",
    "row_count",
    "rows",
    "size",
    "slice_gap",
    "snapshots",
    "std",
    "sum",
    "table",
    "time_since_first",
    "time_since_last",
    "top_k",
    "transform",
    "unique",
    "wildcard",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'inseam' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"inseam.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
