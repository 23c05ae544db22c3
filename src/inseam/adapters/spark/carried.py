"""Functions on their way to the workers, who look for their modules where this process does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from pyspark import cloudpickle


class Carried:
    """Calls ``function``; what a worker makes of it calls it there.

    Spark starts its workers with a path of its own. A project that is not installed is found on this process's path, as
    far as the workers see those folders.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *given: Any) -> Any:
        return self._function(*given)

    def __reduce__(self) -> tuple[Callable[..., Carried], tuple[Any, ...]]:
        return _arrive, (tuple(sys.path), cloudpickle.dumps(self._function))


def _arrive(path: tuple[str, ...], function: bytes) -> Carried:
    sys.path += [folder for folder in path if folder not in sys.path]
    return Carried(cloudpickle.loads(function))
