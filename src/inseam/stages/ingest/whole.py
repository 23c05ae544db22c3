"""The checks of a load as a whole: its size, the age of its newest row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inseam.ir.checks import CheckKind, CheckSpec, Severity, SourceSpec
from inseam.kernel.clock import format_duration, format_instant, now
from inseam.kernel.errors import Problem, RefusedError
from inseam.stages.ingest.finding import Findings
from inseam.stages.ingest.staging import Staging


def newest_event(spec: SourceSpec, staging: Staging, keep: np.ndarray) -> int | None:
    """The greatest event time of the rows that are kept, None when there is none."""
    newest: int | None = None
    start = 0
    for batch in staging.read():
        times = batch.column(spec.timestamp).filter(pa.array(keep[start : start + batch.num_rows]))
        start += batch.num_rows
        greatest = pc.max(times.cast(pa.int64())).as_py()
        if greatest is not None and (newest is None or greatest > newest):
            newest = int(greatest)
    return newest


def judge_load(spec: SourceSpec, rows: int, newest: int | None, findings: Findings) -> None:
    """`RefusedError` names every error check that the load breaks; broken warn checks become findings."""
    problems: list[Problem] = []
    for check in spec.checks:
        found = _broken(check, rows, newest)
        if found is None:
            continue
        if check.severity is Severity.ERROR:
            mend = "nothing was loaded: mend the data, or let the check warn"
            problems.append(
                Problem(RefusedError.code, f"source:{spec.name}", f"check {check.name}: {found}", mend=mend)
            )
        else:
            findings.add(check.name, check.kind.value, check.severity.value, 1, [found])
    if problems:
        raise RefusedError.of(problems)


def _broken(check: CheckSpec, rows: int, newest: int | None) -> str | None:
    """What is wrong with the load, None when the check holds."""
    if check.kind is CheckKind.ROW_COUNT:
        least, most = check.arguments
        if (least is not None and rows < least) or (most is not None and rows > most):
            return f"{rows} rows were accepted, expected {least or 0} to {'any number' if most is None else most}"
    if check.kind is CheckKind.FRESH:
        age = check.arguments[0]
        if newest is None:
            return f"no row was accepted, expected one at most {format_duration(age)} old"
        if now() - newest > age:
            return f"the newest row is of {format_instant(newest)}, more than {format_duration(age)} old"
    return None
