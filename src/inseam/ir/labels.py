"""From a label column to what a model is fitted on and judged by: class codes, or values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inseam.ir.training import Task
from inseam.kernel.errors import DataError
from inseam.kernel.types import DataType

if TYPE_CHECKING:
    import numpy as np

Classes = tuple[str | int | bool, ...]


def is_null(values: np.ndarray) -> np.ndarray:
    """bool (rows,): where a column in a form of `encoding.to_numpy` holds NULL."""
    import pandas as pd

    missing: np.ndarray = pd.isna(values)
    return missing


def classes_of(subject: str, values: np.ndarray, type_: DataType, task: Task) -> Classes:
    """The distinct labels in ascending order, the positive class of a binary task last; empty for regression.

    ``values`` hold no NULL. `DataError` when a binary label has not exactly two classes, or a multiclass one fewer.
    """
    if task is Task.REGRESSION:
        return ()
    found = sorted(set(values.tolist()))
    classes: Classes = tuple(_plain(subject, value, type_) for value in found)
    if len(classes) < 2 or (task is Task.BINARY and len(classes) > 2):
        shown = ", ".join(map(repr, classes[:5])) or "no label at all"
        raise DataError(
            subject,
            f"the training rows hold {len(classes)} classes: {shown}",
            expected="exactly 2 classes" if task is Task.BINARY else "at least 2 classes",
            mend="check the label's definition and the split; a label with more classes is task='multiclass'",
        )
    return classes


def coded(values: np.ndarray, classes: Classes, task: Task) -> np.ndarray:
    """float64 values for regression; else int64 codes in the order of ``classes``, -1 for a label that is none."""
    import numpy as np

    if task is Task.REGRESSION:
        return values.astype(np.float64)
    codes = {value: code for code, value in enumerate(classes)}
    return np.fromiter((codes.get(value, -1) for value in values.tolist()), np.int64, len(values))


def _plain(subject: str, value: str | float, type_: DataType) -> str | int | bool:
    if isinstance(value, str):
        return value
    if type_ is DataType.BOOL:
        return bool(value)
    if not float(value).is_integer():
        raise DataError(
            subject,
            f"the label {value!r} is no class",
            expected="text, bool or whole numbers",
            mend="task='regression'",
        )
    return int(value)
