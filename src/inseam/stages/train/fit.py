"""Calls the user's training function, seeded, and finds the format that can save what it gives back."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from typing import Any

from inseam.kernel.errors import DefinitionError, ExtraMissingError, InseamError, UnsafeArtifactError
from inseam.ports.discover import adapter, available
from inseam.ports.model_format import ModelFormat
from inseam.stages.train.data import TrainingData

TrainingFunction = Callable[[TrainingData, dict[str, Any]], Any]
SEED_NAMES = ("seed", "random_state", "random_seed")
"""What libraries call the seed. A function that refuses the first is asked again with the next."""


def fit(subject: str, function: TrainingFunction, data: TrainingData, params: Mapping[str, Any]) -> Any:
    """The fitted model. Python, numpy and torch are seeded; ``params`` reach the function with the seed added.

    The seed stands under ``seed``. Where that lands in a constructor that calls it ``random_state`` (scikit-learn) or
    ``random_seed``, or that takes none, the call is repeated so, which makes ``Estimator(**params)`` work everywhere.
    A failure inside the function is a `DefinitionError` that names the line of the user's code.
    """
    declared = [name for name in SEED_NAMES if name in params]
    names: tuple[str | None, ...] = tuple(declared[:1]) if declared else (*SEED_NAMES, None)
    for name in names:
        # A seed among the declared parameters wins over the model's own.
        seeded = dict(params) if name is None else {name: data.seed} | dict(params)
        seed_everything(data.seed)
        try:
            # What the function prints is for whoever watches: stdout carries the answer, for programs too.
            with _torch_seeded_on_import(data.seed), redirect_stdout(sys.stderr):
                model = function(data, seeded)
        except InseamError:
            raise
        except (Exception, SystemExit) as error:
            refused = re.search(r"unexpected keyword argument '(\w+)'", str(error))
            if isinstance(error, TypeError) and refused and refused[1] == name and name != names[-1]:
                continue
            raise _failed(subject, error) from error
        if model is None:
            raise DefinitionError(subject, "the training function returned None", mend="return the fitted model")
        return model
    raise AssertionError("the last name always returns or raises")


def seed_everything(seed: int) -> None:
    """Fix the state of every global generator that is loaded."""
    import numpy as np

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


@contextmanager
def _torch_seeded_on_import(seed: int) -> Iterator[None]:
    """Seed torch as soon as it is loaded within: a function that imports it first would draw from a random state.

    It is not loaded ahead for models that never ask for it: that takes seconds, and two OpenMP runtimes may clash.
    """

    class Finder(MetaPathFinder):
        def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
            if name != "torch":
                return None
            sys.meta_path.remove(self)
            spec = find_spec(name)
            if spec is not None and spec.loader is not None:
                execute = spec.loader.exec_module

                def execute_and_seed(module: Any) -> None:
                    execute(module)
                    module.manual_seed(seed)

                spec.loader.exec_module = execute_and_seed  # type: ignore[method-assign]
            return spec

    finder = Finder()
    if "torch" not in sys.modules:
        sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)


def format_for(subject: str, model: Any) -> ModelFormat:
    """The first installed format that accepts the model; `UnsafeArtifactError` when none does."""
    missing: list[str] = []
    for name in sorted(available("model_format")):
        try:
            candidate: ModelFormat = adapter("model_format", name)()
        except ExtraMissingError as error:
            missing.append(error.problems[0].subject)
            continue
        if candidate.accepts(model):
            return candidate
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    raise UnsafeArtifactError(
        subject,
        f"no model format saves a {kind} without code that would run when it is loaded",
        expected="a fitted estimator of scikit-learn, XGBoost, LightGBM, or a PyTorch module",
        mend=f"install {', '.join(missing)}" if missing else "return the fitted model itself from the function",
    )


def _failed(subject: str, error: BaseException) -> DefinitionError:
    place = error.__traceback__
    # The first frame is ours; the second is the user's function.
    frame = place.tb_next if place is not None and place.tb_next is not None else place
    where = f" at {frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame is not None else ""
    return DefinitionError(
        subject,
        f"the training function failed{where}: {type(error).__name__}: {error}",
        mend="run it on its own: it takes (data, params), see TrainingData",
    )
