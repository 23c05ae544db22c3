"""The rows of a training set as they are written: columns in order, derived features, label, part."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from inseam.ir.training import LABEL, PART, TrainingSetSpec
from inseam.ir.windows import EVENT_TIME
from inseam.kernel.errors import DefinitionError
from inseam.kernel.types import DataType, Field, Schema, arrow_type
from inseam.ports.rows import Batches
from inseam.stages.features.derived import Derived
from inseam.stages.features.label import label_column
from inseam.stages.features.spine_rows import instants
from inseam.stages.features.split import Split

TEST, TRAIN = "test", "train"


class Finished:
    """Makes written rows from the engine's: ``spine`` and ``stream`` are the columns before and after its features.

    ``schema``: keys, ``event_time``, carried columns, features, label, part. The column that a spine brings as the
    label is written as the label alone.
    """

    def __init__(self, spec: TrainingSetSpec, spine: pa.Schema, stream: pa.Schema, split: Split) -> None:
        self._spec = spec
        self._split = split
        self._derived = Derived(spec.on_demand, Schema.from_arrow(stream))
        known = {field.name: field for field in Schema.from_arrow(spine)}
        known.pop(spec.label.column or "", None)
        first = [*spec.spine.keys, EVENT_TIME]
        features = [field for field in spec.features if field.name not in known]
        fields = [*(known.pop(name) for name in first), *known.values(), *features]
        for field in fields:
            if field.name in (LABEL, PART):
                raise DefinitionError(
                    f"training_set:{spec.name}",
                    f"a column is called {field.name!r}",
                    expected="a name that the training set does not need itself",
                    mend="rename the column or the feature",
                )
        self.schema = Schema((*fields, Field(LABEL, spec.label.type), Field(PART, DataType.STRING)))
        self._arrow = self.schema.to_arrow()

    def rows(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of a batch that have a label."""
        label = label_column(self._spec.label, batch)
        is_test = pa.array(self._split.is_test(instants(batch)))
        found = self._derived.columns(batch) | {LABEL: label, PART: pc.if_else(is_test, TEST, TRAIN)}
        columns = [
            found[field.name] if field.name in found else batch.column(field.name).cast(arrow_type(field.type))
            for field in self.schema
        ]
        return pa.record_batch(columns, schema=self._arrow).filter(pc.is_valid(label))


def finished(spec: TrainingSetSpec, spine: pa.Schema, stream: pa.Schema, split: Split, batches: Batches) -> Batches:
    """`Finished.rows` of a part."""
    finish = Finished(spec, spine, stream, split)
    yield from map(finish.rows, batches)
