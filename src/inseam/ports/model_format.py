"""How a fitted model is written and read without running code that it brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from inseam.ir.training import Task

if TYPE_CHECKING:
    import numpy as np


class Predictor(Protocol):
    """A loaded model, ready to be asked. Thread-safe, single-threaded inside."""

    is_row_independent: bool
    """Whether a row's output has the same bits alone and within any batch."""

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """float64 of shape (rows, columns) in; float64 out.

        Binary: the probability of the positive class, (rows,). Multiclass: a probability a class, (rows, classes).
        Regression: the value, (rows,). `DataError` for rows to which the model has no answer.
        """


class ModelFormat(Protocol):
    """One way to save models. ``name`` is recorded with the version and chooses the loader."""

    name: str

    def accepts(self, model: Any) -> bool:
        """Whether this format can save ``model``, judged without importing its library."""

    def save(self, model: Any, directory: Path, *, example: np.ndarray) -> None:
        """Write files into an empty directory. `UnsafeArtifactError` names the types that would need code to load."""

    def load(self, directory: Path, task: Task) -> Predictor:
        """Read what `save` wrote, after the caller has checked its digest. Never unpickles."""

    def importances(self, model: Any, names: Sequence[str]) -> Mapping[str, float]:
        """The fitted model's own feature importances, empty when it has none."""
