"""How Spark fails: errors of ours that were raised in a worker come back whole, all others as one line of ours."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from inseam.kernel.errors import DataError, InseamError, Problem, SettingError

T = TypeVar("T")
_MARK = "inseam-problems:"
_MARKED = re.compile(re.escape(_MARK) + r"([0-9a-f]+);")
_TECHNICAL = ("Py4JJavaError", "Traceback", "org.apache.spark", "java.", "JVM stacktrace", "at ", "File ", "pyspark.")
_MEMORY = ("OutOfMemory", "MemoryError", "exceeding memory limits", "Java heap space")


class WorkerError(Exception):
    """Carries an error of ours through Spark, which keeps only its text."""

    def __init__(self, error: InseamError) -> None:
        told = json.dumps([problem.as_dict() for problem in error.problems]).encode().hex()
        super().__init__(f"{_MARK}{told};")


@contextmanager
def told() -> Iterator[None]:
    """In a worker: an error of ours leaves in the form that `caught` reads on the driver."""
    try:
        yield
    except InseamError as error:
        raise WorkerError(error) from None


def telling(rows: Iterator[T]) -> Iterator[T]:
    """`told` about a stream."""
    with told():
        yield from rows


@contextmanager
def caught(subject: str) -> Iterator[None]:
    """On the driver: what Spark raises leaves as ours, about ``subject``."""
    try:
        yield
    except (PySparkException, Py4JError) as error:
        _fail(subject, error)


def _fail(subject: str, error: Exception) -> NoReturn:
    text = str(error)
    marked = _MARKED.search(text)
    if marked is not None:
        raise _whole(json.loads(bytes.fromhex(marked[1]))) from None
    line = first_line(text)
    if any(word in text for word in _MEMORY):
        raise SettingError(subject, f"memory ran out: {line}", mend="raise the engine's memory") from None
    raise DataError(subject, f"Spark failed: {line}") from None


def _whole(told: list[dict[str, Any]]) -> InseamError:
    problems = [Problem(**{**problem, "place": None}) for problem in told]
    kinds = {kind.code: kind for kind in _kinds(InseamError)}
    return kinds.get(problems[0].code, DataError).of(problems)


def _kinds(kind: type[InseamError]) -> list[type[InseamError]]:
    return [kind, *(deeper for below in kind.__subclasses__() for deeper in _kinds(below))]


def first_line(text: str) -> str:
    """The line of Spark's message that says what happened: no class names, no stack."""
    lines = [line.strip() for line in text.splitlines()]
    errors = [line for line in lines if re.match(r"(?:[\w.]*\.)?\w+(?:Error|Exception): ", line)]
    plain = [line for line in lines if line and not line.startswith(_TECHNICAL)]
    # The last error of a chain of causes in Python is the one that was raised; a plain line is better than none.
    found = next(iter([*reversed(errors), *plain, *lines, text]))
    return re.sub(r"^(?:[\w.]*\.)?\w+(?:Error|Exception): ", "", found)[:500]
