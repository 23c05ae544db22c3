"""What is left of Spark's errors."""

import pytest

from inseam.adapters.spark.failure import WorkerError, first_line, told
from inseam.kernel.errors import DataError, InseamError

_JAVA = """An error occurred while calling o42.collectToPython.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 1.0 failed 1 times
org.apache.spark.api.python.PythonException: Traceback (most recent call last):
  File "/somewhere/pyspark/worker.py", line 1, in main
    process()
ZeroDivisionError: division by zero

\tat org.apache.spark.api.python.BasePythonRunner.handle(PythonRunner.scala:581)
Driver stacktrace:
"""


def test_the_line_that_matters_is_found() -> None:
    assert first_line(_JAVA) == "division by zero"
    assert first_line("[PATH_NOT_FOUND] Path does not exist: file:/nowhere. SQLSTATE: 42K03") == (
        "[PATH_NOT_FOUND] Path does not exist: file:/nowhere. SQLSTATE: 42K03"
    )
    assert first_line("") == ""


def test_an_error_of_ours_travels_as_text() -> None:
    with pytest.raises(WorkerError) as raised, told():
        raise DataError("orders", "it has no 'at'", mend='say "at"; or \n not')
    assert "orders" not in str(raised.value)
    with pytest.raises(ZeroDivisionError), told():
        raise ZeroDivisionError
    assert issubclass(DataError, InseamError)
