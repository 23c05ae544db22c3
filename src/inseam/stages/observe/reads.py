"""Values of a view as somebody read them, and the same values computed again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from inseam.ir.encoding import to_numpy
from inseam.ir.windows import EVENT_TIME, WindowedAggregate
from inseam.kernel.clock import DAY, format_instant
from inseam.kernel.types import DataType, arrow_type
from inseam.ports.engine import Engine


@dataclass(frozen=True, slots=True)
class Reads:
    """A row a read. ``values`` by feature, in the forms of `encoding.to_numpy`.

    ``boundaries`` (UTC microseconds) and ``versions`` are int64: what each read named.
    """

    keys: pa.Table
    boundaries: np.ndarray
    versions: np.ndarray
    values: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.boundaries)

    def where(self, chosen: np.ndarray) -> Reads:
        """Those of a mask."""
        values = {name: column[chosen] for name, column in self.values.items()}
        return Reads(self.keys.filter(pa.array(chosen)), self.boundaries[chosen], self.versions[chosen], values)


def recompute(engine: Engine, view: WindowedAggregate, reads: Reads) -> dict[str, np.ndarray]:
    """The view's values for the entities of some reads at their boundaries, as a training set gets them: by one query.

    The view's snapshot is the one that it names, or the newest.
    """
    # The first instant at which a boundary is readable: b(boundary + lag) is the boundary itself.
    instants = pa.array(reads.boundaries + view.lag, pa.int64()).cast(arrow_type(DataType.TIMESTAMP))
    spine = reads.keys.select(list(view.keys)).append_column(EVENT_TIME, instants)
    found = engine.features(spine.to_reader(), [view]).reader().read_all()
    return {field.name: to_numpy(found[field.name], field.type) for field in view.schema}


def differing(left: np.ndarray, right: np.ndarray, type_: DataType) -> np.ndarray:
    """Where two columns differ in any bit: -0.0 is not 0.0, NULL equals NULL alone."""
    if type_ is DataType.STRING:
        return np.fromiter((a != b for a, b in zip(left, right, strict=True)), bool, len(left))
    bits, others = (np.ascontiguousarray(column).view(np.int64) for column in (left, right))
    differs: np.ndarray = (bits != others) & ~(np.isnan(left) & np.isnan(right))
    return differs


def shown(value: Any, type_: DataType) -> Any:
    """A cell as people and JSON have it: None for NULL, instants and dates as ISO 8601 texts."""
    if value is None or value != value or (isinstance(value, np.datetime64) and np.isnat(value)):
        return None
    if type_ is DataType.TIMESTAMP:
        return format_instant(int(value.astype("datetime64[us]").astype(np.int64)))
    if type_ is DataType.DATE:
        return format_instant(int(value.astype("datetime64[D]").astype(np.int64)) * DAY).partition("T")[0]
    if type_ is DataType.STRING:
        return str(value)
    if type_ is DataType.BOOL:
        return bool(value)
    return int(value) if type_ is DataType.INT64 and abs(value) < 1 << 53 else float(value)
