"""What the gates look at: a version's saved model, asked on the test rows of one training set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inseam.ir.labels import coded, is_null
from inseam.ir.metrics import Metric, metric
from inseam.ir.records import AliasRecord, ModelVersionRecord, TrainingSetRecord
from inseam.ir.training import LABEL, ModelSpec, Task
from inseam.kernel.errors import DataError
from inseam.ports.artifacts import Artifacts
from inseam.ports.bundle import Bundle, open_kept
from inseam.ports.ledger import Ledger
from inseam.ports.training_rows import read_training_rows, training_schema

if TYPE_CHECKING:
    import numpy as np

CHAMPION = "champion"


@dataclass(frozen=True)
class Case:
    """One version before its judges. Everything is read anew: no number that training noted down is trusted."""

    spec: ModelSpec
    version: ModelVersionRecord
    record: TrainingSetRecord
    ledger: Ledger
    models: Artifacts

    @property
    def directory(self) -> Path:
        return self.models.here(self.version.path)

    @cached_property
    def champion(self) -> int | None:
        """The version that is champion while this one is judged: one and the same for every gate."""
        alias = self.ledger.get(AliasRecord, self.spec.name, CHAMPION)
        return None if alias is None else alias.version

    @cached_property
    def bundle(self) -> Bundle:
        return open_kept(self.models, self.version.path, self.version.digest)

    @cached_property
    def columns(self) -> Mapping[str, np.ndarray]:
        """Every column of the test rows that have a label the model knows."""
        names = training_schema(self.record.path).names
        rows = read_training_rows(self.record.path, "test", names)
        rows = rows.take(~is_null(rows.columns[LABEL]))
        if self.spec.task is not Task.REGRESSION:
            rows = rows.take(self._code(rows.columns[LABEL]) >= 0)
        if rows.count == 0:
            raise DataError(
                f"training set {self.record.name}",
                "no test row has a label, so nothing can be judged",
                mend="widen the split's test part or wait for labels to ripen",
            )
        return rows.columns

    @cached_property
    def truth(self) -> np.ndarray:
        return self._code(self.columns[LABEL])

    @cached_property
    def matrix(self) -> np.ndarray:
        return self.bundle.manifest.encoding.matrix(self.columns)

    @cached_property
    def output(self) -> np.ndarray:
        return self.bundle.predictor.predict(self.matrix)

    @cached_property
    def groups(self) -> np.ndarray | None:
        """The entity of each row, which the bootstrap draws whole."""
        from inseam.ir.resampling import group_codes

        keys = [self.columns[key.name] for key in self.bundle.manifest.keys if key.name in self.columns]
        return group_codes(*keys) if keys else None

    def metric(self, options: Mapping[str, Any]) -> Metric:
        """The metric that a gate names, else the model's own."""
        return metric(self.spec.task, options.get("metric") or self.spec.metric)

    def _code(self, labels: np.ndarray) -> np.ndarray:
        return coded(labels, self.bundle.manifest.classes, self.spec.task)
