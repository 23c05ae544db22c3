"""Computes what an example asks for, by the very steps that make training sets: on tables that hold its rows alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from inseam.ir.on_demand import OnDemandSpec
from inseam.ir.relation import Relation
from inseam.ir.training import LABEL, LabelSpec
from inseam.ir.windows import EVENT_TIME, WindowedAggregate
from inseam.kernel.types import DataType, Field, Schema
from inseam.ports.engine import Engine
from inseam.ports.tables import Tables
from inseam.stages.features.derived import Derived
from inseam.stages.features.given import plain, typed_table
from inseam.stages.features.label import label_column


@dataclass(frozen=True, slots=True)
class Case:
    """One example's given rows by source, as tables below ``name``, which no project's table has."""

    name: str
    subject: str
    engine: Engine

    def store(self, tables: Tables, given: Mapping[str, pa.Table]) -> None:
        """Write each source's rows as one snapshot."""
        for source, rows in given.items():
            tables.append(f"{self.name}/{source}", rows.to_reader())

    def rows(self, relation: Relation) -> list[dict[str, Any]]:
        """The rows of a relation, in the order in which they were given."""
        columns = list(relation.schema.names)
        return _plain_rows(self.engine.scan(self._own(relation), columns=columns).reader().read_all())

    def values(
        self,
        read: Mapping[str, Any],
        columns: Schema,
        views: Sequence[WindowedAggregate],
        on_demand: Sequence[OnDemandSpec] = (),
        label: LabelSpec | None = None,
    ) -> dict[str, Any]:
        """Every value at one read: ``read`` holds its keys, `EVENT_TIME` and carried columns, typed by ``columns``."""
        spine = typed_table([read], columns, self.subject)
        own = [replace(view, relation=self._own(view.relation)) for view in views]
        if label is not None and label.window is not None:
            own.append(replace(label.window, relation=self._own(label.window.relation)))
        table = self.engine.features(spine.to_reader(), own).reader().read_all() if own else spine
        (batch,) = table.combine_chunks().to_batches()
        found = _plain_rows(table)[0]
        for name, column in Derived(on_demand, Schema.from_arrow(table.schema)).columns(batch).items():
            found[name] = plain(column[0].as_py())
        return found if label is None else found | {LABEL: plain(label_column(label, batch)[0].as_py())}

    def called(self, spec: OnDemandSpec, given: Mapping[str, Any], at: str) -> Any:
        """The value of an on-demand function of these parameters."""
        columns = Schema((Field(EVENT_TIME, DataType.TIMESTAMP), *spec.parameters))
        (batch,) = typed_table([{**given, EVENT_TIME: at}], columns, self.subject).to_batches()
        return plain(Derived([spec], columns).columns(batch)[spec.name][0].as_py())

    def _own(self, relation: Relation) -> Relation:
        return relation.each(lambda one: replace(one, table=f"{self.name}/{one.table.rpartition('/')[2]}"))


def _plain_rows(table: pa.Table) -> list[dict[str, Any]]:
    return [{name: plain(value) for name, value in row.items()} for row in table.to_pylist()]
