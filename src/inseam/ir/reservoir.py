"""A uniform sample of a stream of rows, in memory that grows with the sample alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa


class Reservoir:
    """Every row that is offered has the same chance to be among the ``most`` that are kept."""

    def __init__(self, schema: pa.Schema, most: int, seed: int | None = None) -> None:
        self._kept = schema.empty_table()
        self._draws = np.empty(0)
        self._most = most
        self._random = np.random.default_rng(seed)
        self.offered = 0

    def offer(self, rows: pa.Table) -> None:
        """Draw among these rows and what was kept of those before. The columns are the schema's."""
        import pyarrow as pa

        self.offered += rows.num_rows
        draws = self._random.random(rows.num_rows)
        if len(self._draws) == self._most:  # most rows of a long stream are not even copied
            better = draws < self._draws.max(initial=0.0)
            rows, draws = rows.filter(pa.array(better)), draws[better]
        together, draws = pa.concat_tables([self._kept, rows]), np.concatenate([self._draws, draws])
        chosen = np.sort(np.argsort(draws)[: self._most])
        self._kept, self._draws = together.take(chosen).combine_chunks(), draws[chosen]

    @property
    def rows(self) -> pa.Table:
        """What is kept, in the order in which it was offered."""
        return self._kept
