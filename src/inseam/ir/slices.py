"""Parts of the rows that share a value of one column, for which a model is judged apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

MOST = 20
"""The most frequent values of a column that are told apart."""


@dataclass(frozen=True)
class Slice:
    """``inside``: bool (rows,), where the column has this value."""

    label: str
    inside: np.ndarray
    rows: int


def slices(values: np.ndarray) -> Iterator[Slice]:
    """A column's most frequent values, NULL among them, by falling count and then by name."""
    import numpy as np
    import pandas as pd

    codes, distinct = pd.factorize(values, use_na_sentinel=False)
    counts = np.bincount(codes, minlength=len(distinct))
    labels = [_label(value) for value in distinct.tolist()]
    for code in sorted(range(len(labels)), key=lambda code: (-counts[code], labels[code]))[:MOST]:
        yield Slice(labels[code], codes == code, int(counts[code]))


def _label(value: Any) -> str:
    """A value as text: whole numbers without a decimal point, NULL as ``NULL``."""
    if value is None or value != value:
        return "NULL"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
