"""What stands in for online rows while the store does not answer: an endpoint's defaults, and NULL for the rest."""

from __future__ import annotations

import numpy as np

from inseam.ir.training import EndpointSpec
from inseam.stages.serve.cells import to_array
from inseam.stages.serve.record import NO_INSTANT, NO_VERSION


class NoRows:
    """`inseam.stages.serve.endpoint.FeatureRows`, all of them missing.

    Not the aggregates over no row, as for an entity that nobody knows: nothing is known of these entities.
    """

    def __init__(self, spec: EndpointSpec, rows: int) -> None:
        fields = [field for view in spec.views for field in view.schema]
        one = {field.name: to_array([spec.defaults.get(field.name)], field.type) for field in fields}
        names = [view.name for view in spec.views]
        self.columns = {name: np.repeat(cell, rows) for name, cell in one.items()}
        self.boundaries = {name: np.full(rows, NO_INSTANT, np.int64) for name in names}
        self.versions = {name: np.full(rows, NO_VERSION, np.int64) for name in names}
        self.is_stale = {name: np.zeros(rows, np.bool_) for name in names}
        self.is_missing = {name: np.ones(rows, np.bool_) for name in names}
