"""An entity is forgotten: erased from all that the environment keeps, and dropped when it comes again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from inseam.define.entity import Entity
from inseam.define.feature_view import FeatureView
from inseam.define.join import sources_of
from inseam.define.rows import Rows
from inseam.define.source import Source
from inseam.define.transform import Transform
from inseam.ir.entity_key import EntityKey
from inseam.ir.forgotten import Forgotten
from inseam.ir.records import ErasureRecord, RunRecord
from inseam.kernel import clock
from inseam.kernel.types import Schema
from inseam.plan.schemas import Schemas
from inseam.plan.views import relation_of
from inseam.ports.progress import Progress, silent
from inseam.ports.wiping import Wiping
from inseam.run.compacting import move_log
from inseam.run.context import Context
from inseam.run.erasure_record import AskedKey, key_of, record_of, rows_of
from inseam.run.receipt import LOG
from inseam.run.remains import remains
from inseam.run.runs import run
from inseam.run.streaming import drain, stream_sources

if TYPE_CHECKING:
    import numpy as np

    from inseam.ir.relation import Relation

_WAIT_SECONDS = 600.0
"""How long what others are writing is waited for."""
_OWN = ("sources", "quarantine", "predictions", "outcomes")
"""Tables whose rows say whose they are in their own way; all others have the key's columns."""


@dataclass(frozen=True)
class Erasure:
    """What was erased: rows by place. ``left``: by place, why it may hold something of the entity still."""

    entity: str
    is_dry_run: bool
    erased: dict[str, int] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def forget(
    context: Context,
    entity: str,
    key: AskedKey,
    *,
    is_dry_run: bool = False,
    progress: Progress = silent,
) -> Erasure:
    """Erase an entity from everything that this environment keeps, for good.

    From its first step on rows of the entity are dropped wherever they come in, and counted. Killed at any instant it
    is finished by the same call. ``is_dry_run``: says what would go, and changes nothing. `ConflictError` while another
    process keeps one of the views fresh, or loads or materializes for minutes.
    """
    schemas = context.checked()
    asked = key_of(context.project.get(Entity, entity), key, context.project, schemas)
    if is_dry_run:
        return _Forgetting(context, schemas, asked, record_of(asked, context.ledger), None, progress).carry_out()
    with context.ledger.lease("forget"):
        record = record_of(asked, context.ledger)
        context.ledger.put(record)
        with run(context.ledger, "forget", entity, record.digest) as opened, ExitStack() as held:
            erasure = _Forgetting(context, schemas, asked, record, held, progress).carry_out()
            opened.outputs = {"erased": erasure.erased}
        return erasure


class _Forgetting:
    """One erasure. ``held`` None: only counts. What was made of rows goes before the rows, which tell what there is."""

    def __init__(
        self,
        context: Context,
        schemas: Schemas,
        key: EntityKey,
        record: ErasureRecord,
        held: ExitStack | None,
        progress: Progress,
    ) -> None:
        self._context, self._schemas, self._key, self._record = context, schemas, key, record
        self._held, self._progress = held, progress
        self._forgotten = Forgotten([record])
        before = record.report if held is not None else {}
        self._erased: dict[str, int] = dict(before.get("erased", {}))
        self._left: dict[str, str] = dict(before.get("left", {}))

    @property
    def _is_dry_run(self) -> bool:
        return self._held is None

    def carry_out(self) -> Erasure:
        self._shut_out()
        steps = (
            self._forget_online,
            self._forget_predictions,
            self._forget_tables,
            self._forget_sources,
            self._forget_texts,
            self._forget_training_sets,
            self._wipe,
        )
        for place, step in enumerate(steps):
            step()
            self._progress(f"forget {self._key.entity}", place + 1, len(steps))
        self._left |= remains(self._context, self._key, self._record.begun_at)
        if not self._is_dry_run:
            self._save(status="committed", finished_at=clock.now())
        return Erasure(self._key.entity, self._is_dry_run, self._erased, self._left)

    def _shut_out(self) -> None:
        """What is on its way comes in first; then nobody loads, materializes, freshens or compacts until the end."""
        from inseam.stages.ingest.book import application
        from inseam.stages.serve.compact import locked

        if self._held is None:
            return
        move_log(self._context, wait_seconds=_WAIT_SECONDS)
        for name in stream_sources(self._context):
            drain(self._context, name)
        leases = self._context.ledger.lease
        for view in self._context.project.all(FeatureView):
            if view.is_fresh:
                self._held.enter_context(leases(f"freshen:{view.name}"))
            self._held.enter_context(leases(f"materialize:{view.name}", wait_seconds=_WAIT_SECONDS))
        for source in self._context.project.all(Source):
            self._held.enter_context(leases(application(source.name), wait_seconds=_WAIT_SECONDS))
        self._held.enter_context(locked(self._context.path(LOG), _WAIT_SECONDS))
        shutil.rmtree(self._context.path("loads"))  # whoever left something there is dead

    def _forget_online(self) -> None:
        from inseam.stages.features.forget import forget_rows, forget_tiles, online_keys

        views = {view.name: view for view in self._context.project.all(FeatureView)}
        for table in self._context.online.tables():
            name, is_tiles = table.partition("@")[0], table.endswith("/tiles")
            if name not in views:
                self._left[f"online {table}"] = "nothing declares this view: inseam apply --destroy"
            elif self._key.is_in(views[name].entity.keys):
                view, _ = self._context.view(name, self._schemas)
                keys = online_keys(view, self._key, self._context.engine)
                act = forget_tiles if is_tiles else forget_rows
                self._count(f"online {table}", act(self._context.online, table, keys, is_dry_run=self._is_dry_run))
        self._save()

    def _forget_training_sets(self) -> None:
        from inseam.stages.features.forget import forget_training_sets

        found = forget_training_sets(
            self._context.training_sets, self._key, self._context.ledger, is_dry_run=self._is_dry_run
        )
        self._count_all(found)

    def _forget_predictions(self) -> None:
        from inseam.stages.serve.forget import forget_predictions

        self._count_all(forget_predictions(self._context.tables, self._key, is_dry_run=self._is_dry_run))

    def _forget_tables(self) -> None:
        """Scores, and whatever else has the key's columns."""
        tables = self._context.tables
        for table in tables.list():
            if table.partition("/")[0] not in _OWN:
                cells = self._key.within(tables.snapshot(table).schema)
                if cells is not None:
                    self._count(table, tables.erase(table, cells, is_dry_run=self._is_dry_run))
        self._save()

    def _forget_sources(self) -> None:
        from inseam.stages.ingest.forget import forget_source

        tables = self._context.tables
        names = (table.partition("/")[2] for table in tables.list() if table.startswith(("sources/", "quarantine/")))
        for name in dict.fromkeys(names):
            sequences = self._sequences(name)
            if len(sequences):
                self._begin_others_anew(name)
            found = forget_source(name, self._key, self._forgotten, sequences, tables, is_dry_run=self._is_dry_run)
            self._count_all(found)

    def _sequences(self, source: str) -> np.ndarray:
        """The numbers of the entity's rows in a source, found by all that reads it; where they came from is noted."""
        import numpy as np

        from inseam.stages.ingest.forget import files_of, rows_in

        direct = f"sources/{source}"
        found: list[np.ndarray] = [np.empty(0, np.int64)]
        for rows, relation in self._readers(source):
            found.append(rows_in(relation, self._key, self._context.engine))
            if isinstance(rows, Transform) and self._key.within(self._stored(direct)) is None and len(found[-1]):
                self._left[direct] = (
                    f"its rows name the entity only behind {rows.ref}: those that come later are not dropped; "
                    "declare rename= on the source, or forget again"
                )
        sequences = np.unique(np.concatenate(found))
        for path in files_of(source, sequences, self._context.ledger):
            self._left[path] = "rows were loaded from it: it is yours to clear"
        return sequences

    def _readers(self, source: str) -> list[tuple[Rows, Relation]]:
        """What is declared over a source and has the key's columns."""
        if f"sources/{source}" not in self._context.tables.list():
            return []
        known = [rows for rows in rows_of(self._context.project) if self._schemas.of(rows) is not None]
        relations = ((rows, relation_of(rows, self._schemas)) for rows in known if rows.base.name == source)
        return [(rows, relation) for rows, relation in relations if self._key.within(relation.schema) is not None]

    def _stored(self, table: str) -> Schema:
        return self._context.tables.snapshot(table).schema

    def _begin_others_anew(self, source: str) -> None:
        """Tiles of other entities have added up the rows, and can't take them back: they are built anew."""
        from inseam.stages.features.forget import forget_rows

        online, views = self._context.online, self._context.project.all(FeatureView)
        reading = [v for v in views if source in (one.name for one in sources_of(v.rows))]
        others = {v.name for v in reading if not self._key.is_in(v.entity.keys)}
        for table in online.tables():
            name = table.partition("@")[0]
            if name in others and table.endswith("/tiles"):
                self._left[f"online {table}"] = (
                    f"it counted rows of the entity, and is built anew: inseam freshen {name}"
                )
                if not self._is_dry_run:
                    online.drop(table)
            elif name in others:
                forget_rows(online, table, [], is_dry_run=self._is_dry_run)

    def _forget_texts(self) -> None:
        """Examples in what loads found, and failures that name the entity."""
        from inseam.stages.ingest.forget import forget_findings

        ledger = self._context.ledger
        if self._is_dry_run:
            return
        for source in self._context.project.all(Source):
            self._count(f"findings of {source.name}", forget_findings(source.name, self._forgotten, ledger))
        for failed in ledger.select(RunRecord, status="failed"):
            if failed.error and self._forgotten.is_told(failed.error):
                ledger.put(replace(failed, error="what was said named an entity that was forgotten since"))
                self._count("failures", 1)
        self._save()

    def _wipe(self) -> None:
        """Files of this machine keep bytes of what was taken out of them."""
        if self._is_dry_run:
            return
        streams = [self._context.stream_log] if stream_sources(self._context) else []
        for store in (self._context.online, *streams):
            if isinstance(store, Wiping):
                store.wipe()

    def _count(self, place: str, rows: int) -> None:
        if rows:
            self._erased[place] = self._erased.get(place, 0) + rows

    def _count_all(self, found: Mapping[str, int]) -> None:
        for place, rows in found.items():
            self._count(place, rows)
        self._save()

    def _save(self, **changes: Any) -> None:
        """What was done so far is in the ledger, for whoever goes on after a kill."""
        if not self._is_dry_run:
            report = {"erased": self._erased, "left": self._left}
            self._record = replace(self._record, report=report, **changes)
            self._context.ledger.put(self._record)
