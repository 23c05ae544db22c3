"""Entries to log in tests."""

import numpy as np

from inseam.stages.serve.ids import make_ids
from inseam.stages.serve.record import Batch, Context, Outcome

CONTEXT = Context("c" * 16, "lapse", "lapse", 1, "d", (("k", "string"),), (), (("x", "float64"),), (), ("v",))


def batch(value: float, rows: int = 2, context: Context = CONTEXT) -> Batch:
    ids = b"".join(one.to_bytes(16, "big") for one in make_ids(1_790_000_000_000_000, 5, rows))
    column, instants = np.full(rows, value).tobytes(), np.full(rows, 9, np.int64).tobytes()
    flags = np.zeros(rows, np.bool_).tobytes()
    return Batch(
        context=context.id,
        at=1_790_000_000_000_000,
        ids=ids,
        latency=[1] * rows,
        keys=[["a"] * rows],
        inputs=[],
        features=[column],
        derived=[],
        boundaries=[instants],
        versions=[instants],
        missing=[flags],
        stale=[flags],
        output=column,
        width=1,
    )


def outcome() -> Outcome:
    return Outcome(b"\1" * 16, "lapse", 1, 1, 1.0, None)
