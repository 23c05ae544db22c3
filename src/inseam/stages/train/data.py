"""What a training function is given: features as numbers, the label, and how to read them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from inseam.ir.encoding import EncodedColumn, Encoding
from inseam.ir.labels import Classes, classes_of, coded, is_null
from inseam.ir.training import LABEL, ModelSpec, Task
from inseam.ir.windows import EVENT_TIME
from inseam.kernel.errors import DataError
from inseam.kernel.types import DataType, Field
from inseam.ports.training_rows import TrainingRows, read_training_rows, training_schema

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MAX_CATEGORIES = 1_000
"""Rarer categories of a string column are NaN to the model, as unseen ones are."""


@dataclass(frozen=True)
class TrainingData:
    """The train part, as a training function ``(data, params) -> fitted model`` sees it. Rows are in written order.

    ``X``: DataFrame of float64, a column a feature; strings are coded by their place among the categories; NaN is NULL.
    ``y``: int64 0/1 (binary), int64 class codes in the order of ``classes`` (multiclass), float64 (regression).
    ``categorical``: names of the coded columns; ``feature_types``: ``"c"`` or ``"q"`` a column, as XGBoost takes them.
    ``keys``: DataFrame of the entity keys; ``event_time``: ``datetime64[us]``, the instant of each row.
    ``seed`` makes training repeatable; it stands in the parameters too.
    """

    X: pd.DataFrame
    y: np.ndarray
    keys: pd.DataFrame
    event_time: np.ndarray
    encoding: Encoding
    classes: Classes
    task: Task
    seed: int
    weights: np.ndarray | None = None

    @property
    def categorical(self) -> list[str]:
        return [column.name for column in self.encoding.columns if column.is_categorical]

    @property
    def feature_types(self) -> list[str]:
        return ["c" if column.is_categorical else "q" for column in self.encoding.columns]

    @cached_property
    def X_filled(self) -> np.ndarray:  # noqa: N802 - named after X
        """float32 of shape (rows, columns) with 0 for NULL: exactly what a PyTorch module is asked with when it serves.

        A module whose first layer is `BatchNorm1d` learns each column's scale by itself.
        """
        import numpy as np

        filled: np.ndarray = np.nan_to_num(self.X.to_numpy(np.float32), nan=0.0)
        return filled

    def __len__(self) -> int:
        return len(self.y)

    def lent(self) -> TrainingData:
        """The same, for a function that may change what it is given: what is judged later is what was read."""
        return replace(self, X=self.X.copy(deep=False), y=self.y.copy())

    def take(self, rows: np.ndarray) -> TrainingData:
        """Some of the rows, for folds."""
        weights = None if self.weights is None else self.weights[rows]
        return replace(
            self,
            X=self.X.iloc[rows],
            y=self.y[rows],
            keys=self.keys.iloc[rows],
            event_time=self.event_time[rows],
            weights=weights,
        )


@dataclass(frozen=True)
class TestRows:
    """The test part: the label as ``TrainingData.y`` has it, and every column that predicting or slicing needs."""

    rows: TrainingRows
    truth: np.ndarray
    dropped: int
    """Rows without a label, or with a class that training never saw."""


def read_train_part(spec: ModelSpec, path: str, keys: tuple[Field, ...]) -> TrainingData:
    """The train part of a written training set, with the encoding learnt from it.

    `DataError` when it is empty or its labels don't fit the task. Rows without a label are left out.
    """
    import pandas as pd

    key_names = [key.name for key in keys]
    features = [field.name for field in spec.training_set.features]
    rows = read_training_rows(path, "train", [*key_names, EVENT_TIME, *features, LABEL])
    rows = rows.take(~is_null(rows.columns[LABEL]))
    if rows.count == 0:
        raise DataError(
            f"model:{spec.name}",
            "the training set has no labelled row to train on",
            mend="check spine, label and split",
        )
    label_type = rows.schema.type_of(LABEL) or DataType.FLOAT64
    labels = rows.columns[LABEL]
    _require_finite(spec, labels)
    classes = classes_of(f"label of {spec.training_set.name}", labels, label_type, spec.task)
    encoding = learn_encoding(spec, rows)
    return TrainingData(
        X=pd.DataFrame(encoding.matrix(rows.columns), columns=list(encoding.names), copy=False),
        y=coded(labels, classes, spec.task),
        keys=pd.DataFrame({name: rows.columns[name] for name in key_names}, index=range(rows.count)),
        event_time=rows.columns[EVENT_TIME],
        encoding=encoding,
        classes=classes,
        task=spec.task,
        seed=spec.seed,
    )


def read_test_part(spec: ModelSpec, path: str, keys: tuple[Field, ...], classes: Classes) -> TestRows:
    """The test part, with the labels coded as training coded them."""
    carried = [name for name in spec.slices if name in training_schema(path)]
    names = [*(key.name for key in keys), EVENT_TIME, *(f.name for f in spec.training_set.features), *carried, LABEL]
    rows = read_training_rows(path, "test", names)
    whole = rows.count
    rows = rows.take(~is_null(rows.columns[LABEL]))
    _require_finite(spec, rows.columns[LABEL])
    truth = coded(rows.columns[LABEL], classes, spec.task)
    if spec.task is not Task.REGRESSION:
        rows, truth = rows.take(truth >= 0), truth[truth >= 0]
    return TestRows(rows, truth, whole - rows.count)


def _require_finite(spec: ModelSpec, labels: np.ndarray) -> None:
    import numpy as np

    endless = int(np.isinf(labels).sum()) if spec.task is Task.REGRESSION else 0
    if endless:
        raise DataError(
            f"model:{spec.name}",
            f"the label is infinite in {endless:,} of {len(labels):,} rows of {spec.training_set.name}",
            expected="numbers; NULL where there is no label",
            mend="find the division by zero that the label comes from, or filter such rows in the spine",
        )


def learn_encoding(spec: ModelSpec, rows: TrainingRows) -> Encoding:
    """Categories of string features in falling order of their count in the train part, then by name."""
    return Encoding(
        tuple(
            EncodedColumn(field.name, field.type, _categories(rows.columns[field.name]))
            if field.type is DataType.STRING
            else EncodedColumn(field.name, field.type)
            for field in spec.training_set.features
        )
    )


def _categories(values: np.ndarray) -> tuple[str, ...]:
    import pandas as pd

    counts = pd.Series(values).value_counts(dropna=True, sort=False)
    ranked = sorted(counts.items(), key=lambda pair: (-int(pair[1]), str(pair[0])))
    return tuple(str(name) for name, _ in ranked[:MAX_CATEGORIES])
