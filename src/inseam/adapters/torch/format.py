"""PyTorch networks as a list of operators in JSON and their weights in safetensors.

`torch.load` unpickles. `torch.export.load` unpickles too where a program holds anything but tensors, and evaluates
texts as expressions. So neither is used: a network is traced by `torch.export`, and what was traced is written as data.
The loader runs operators of a closed list. Excluded: modules that branch on values, that need a fixed number of rows,
or that use an operator off the list (recurrent cells, sampling, custom kernels).

A module takes float32 of shape (rows, columns) with 0 for NULL (`TrainingData.X_filled`) and gives one logit a row (or
two, or one a class), for regression the value. The same seed gives the same bytes on one machine with one number of
threads, unless the training function itself uses an operator that PyTorch documents as nondeterministic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inseam.ir.training import Task
from inseam.kernel.errors import UnsafeArtifactError

if TYPE_CHECKING:
    import numpy as np

    from inseam.adapters.torch.predictor import TorchPredictor

_GRAPH, _WEIGHTS = "network.json", "weights.safetensors"


class TorchFormat:
    """Saves a `torch.nn.Module`."""

    name = "torch"

    def accepts(self, model: Any) -> bool:
        return any(kind.__module__ == "torch.nn.modules.module" for kind in type(model).__mro__)

    def save(self, model: Any, directory: Path, *, example: np.ndarray) -> None:
        """Trace, write, and hold what was written against the module on the example rows."""
        import numpy as np
        import torch
        from safetensors.torch import save

        from inseam.adapters.torch.graph import Network, trace
        from inseam.adapters.torch.predictor import filled

        subject = f"PyTorch {type(model).__name__}"
        # One row would be taken for a constant by the tracer.
        rows = filled(example if len(example) > 1 else np.repeat(np.atleast_2d(example), 2, axis=0))
        text, weights = trace(subject, model, rows)
        network = Network(text, weights)
        was_training = model.training
        model.eval()
        with torch.inference_mode():
            is_same = all(torch.allclose(model(part), network(part), equal_nan=True) for part in (rows, rows[:1]))
        model.train(was_training)
        if not is_same:
            raise UnsafeArtifactError(
                subject, "what was traced computes other values than the module", mend="take randomness out of forward"
            )
        (directory / _GRAPH).write_text(text + "\n")
        (directory / _WEIGHTS).write_bytes(save(weights))

    def load(self, directory: Path, task: Task) -> TorchPredictor:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from inseam.adapters.torch.graph import Network
        from inseam.adapters.torch.predictor import TorchPredictor

        try:
            weights = load_file(str(directory / _WEIGHTS))
            network = Network((directory / _GRAPH).read_text(), weights)
        except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnsafeArtifactError("PyTorch network", f"it cannot be read: {error}") from error
        return TorchPredictor(network, task)

    def importances(self, model: Any, names: Sequence[str]) -> Mapping[str, float]:
        """A network has none of its own."""
        return {}
