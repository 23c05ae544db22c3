"""Saves a fitted model and opens what was saved: from here on, the saved model is the one that is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inseam.ir.training import Task
from inseam.kernel.errors import DataError, DefinitionError, InseamError
from inseam.ports.model_format import Predictor
from inseam.stages.train.evaluate import checked_output
from inseam.stages.train.fit import format_for

if TYPE_CHECKING:
    import numpy as np

_EXAMPLE_ROWS = 64
_ANSWERS = "fit it on every column of data.X; a model that refuses NULL needs an imputer in its pipeline"


def save_and_load(subject: str, model: Any, place: Path, task: Task, matrix: np.ndarray) -> tuple[str, Predictor]:
    """Write the model into an empty directory, and open what was written: the format's name, and whom to ask.

    ``matrix``: float64 (rows, columns) of what it was fitted on; some of the rows serve as examples. Every failure
    names the model ``subject``.
    """
    format_ = format_for(subject, model)
    with _told_of(subject, DefinitionError, "it cannot be saved", "return the fitted model from the training function"):
        format_.save(model, place, example=matrix[:_EXAMPLE_ROWS].copy())
        return format_.name, format_.load(place, task)


def ask(subject: str, predictor: Predictor, matrix: np.ndarray, task: Task, classes: int) -> np.ndarray:
    """What the saved model says of these rows, held to what `Predictor.predict` promises."""
    with _told_of(subject, DataError, "it cannot answer", _ANSWERS):
        output = predictor.predict(matrix)
    return checked_output(subject, output, task, len(matrix), classes)


@contextmanager
def _told_of(subject: str, kind: type[InseamError], what: str, mend: str) -> Iterator[None]:
    """Lets each problem name the model, and turns a library's own exception into one."""
    try:
        yield
    except InseamError as error:
        told = (
            replace(one, subject=subject, found=f"{one.subject}: {one.found}", mend=one.mend or mend)
            for one in error.problems
        )
        raise type(error).of(told) from error
    except (OSError, MemoryError):
        raise
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise kind(subject, f"{what}: {type(error).__name__}: {first}", mend=mend) from error
