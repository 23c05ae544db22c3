"""Asks a loaded network, on one thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from inseam.adapters.torch.graph import Network
from inseam.ir.training import Task
from inseam.kernel.errors import DataError

_BLOCK = 65_536
"""Rows that are asked at once, so that a network's inner values fit in memory."""


class TorchPredictor:
    """`Predictor` over a network. Matrix products round otherwise for another number of rows."""

    is_row_independent = False

    def __init__(self, network: Network, task: Task) -> None:
        self._network = network
        self._task = task

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        if matrix.ndim != 2:
            raise DataError("model input", f"shape {matrix.shape}", expected="(rows, columns)")
        with torch.inference_mode(), _one_thread():
            try:
                blocks = [
                    self._network(filled(matrix[at : at + _BLOCK])) for at in range(0, max(len(matrix), 1), _BLOCK)
                ]
            except RuntimeError as error:
                raise DataError("model input", f"shape {matrix.shape}: {str(error).splitlines()[0]}") from error
            said = torch.cat(blocks).double()
            return np.ascontiguousarray(_finished(said, self._task).numpy())


def filled(matrix: np.ndarray) -> torch.Tensor:
    """float32 with 0 for NaN, as `TrainingData.X_filled` gives it."""
    return torch.from_numpy(np.nan_to_num(np.ascontiguousarray(matrix, np.float32), nan=0.0))


def _finished(said: torch.Tensor, task: Task) -> torch.Tensor:
    """Logits as probabilities, values as they are."""
    if task is Task.MULTICLASS:
        return torch.softmax(said, dim=1)
    if said.ndim == 2 and said.shape[1] == 2 and task is Task.BINARY:
        return torch.softmax(said, dim=1)[:, 1]
    if said.ndim == 2 and said.shape[1] == 1:
        said = said[:, 0]
    return torch.sigmoid(said) if task is Task.BINARY else said


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
