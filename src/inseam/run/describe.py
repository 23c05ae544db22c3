"""What is known of one declared thing: what it means, how fresh and how full it is, who uses it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from inseam.define.declaration import Declaration
from inseam.define.feature_view import FeatureView
from inseam.define.model import Model
from inseam.define.on_demand import OnDemand
from inseam.define.source import Source
from inseam.define.training_set import TrainingSet
from inseam.ir.histogram import Bar, histogram
from inseam.ir.records import (
    AliasRecord,
    DefinitionRecord,
    LoadRecord,
    MaterializationRecord,
    ModelVersionRecord,
    TrainingSetRecord,
)
from inseam.kernel import clock
from inseam.kernel.clock import format_instant
from inseam.plan import meaning
from inseam.plan.catalogue import FEATURE, Entry, entries, entry_of
from inseam.plan.diff import ancestors, downstream
from inseam.run.context import Context
from inseam.run.online import online_record


@dataclass(frozen=True, slots=True)
class Freshness:
    """The newest boundary that is online. ``age_seconds``: how long ago that is."""

    boundary: str
    age_seconds: float
    rows: int


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """A feature in the newest training set that uses it: ``statistics`` are those of its training rows."""

    training_set: str
    rows: int
    null_rate: float
    statistics: Mapping[str, Any]
    histogram: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """``uses``: what it is made from. ``used_by``: everything that is made from it. ``coverage``: of a view or feature.

    ``coverage`` is the share of the entity's online entities (those of its widest view) that have a row; the share of
    rows with a value is one minus the null rate. ``importance``: a feature's share in each model that uses it, by the
    champion's, else the newest version's, own measure. ``drift`` is what monitoring found last; None: nothing yet.
    """

    entry: Entry
    features: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    used_by: tuple[str, ...] = ()
    freshness: Freshness | None = None
    coverage: float | None = None
    column: ColumnFacts | None = None
    importance: Mapping[str, float] = field(default_factory=dict)
    versions: tuple[Mapping[str, Any], ...] = ()
    drift: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Describer:
    """Describes things of one project as it stands; what several of them need is read once."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        return entries(self._context.project, self._context.schemas())

    def describe(self, name: str) -> Description:
        """`NotFoundError` suggests the nearest name."""
        entry = entry_of(self.entries, name)
        if entry.kind == FEATURE:
            return self._feature(entry)
        item = self._context.declaration(entry.ref)
        view = item if isinstance(item, FeatureView) else None
        return Description(
            entry,
            features=self._features(item),
            uses=tuple(str(parent.ref) for parent in ancestors(item)),
            used_by=self._downstream[entry.ref],
            freshness=None if view is None else self._freshness(view),
            coverage=None if view is None else self._coverage(view),
            column=self._column(item.name, item) if isinstance(item, OnDemand) else None,
            importance=self._importance(item.name, item) if isinstance(item, OnDemand) else {},
            versions=tuple(self._versions(item)),
        )

    def _feature(self, entry: Entry) -> Description:
        view_name = entry.ref.partition(":")[2].partition(".")[0]
        view = self._context.project.get(FeatureView, view_name)
        users = [item for item in self._context.project.declarations if _reads(item, view, entry.name)]
        reached = dict.fromkeys(ref for user in users for ref in (str(user.ref), *self._downstream[str(user.ref)]))
        return Description(
            entry,
            uses=(str(view.ref), *(str(parent.ref) for parent in ancestors(view))),
            used_by=tuple(ref for ref in self._downstream[str(view.ref)] if ref in reached),
            freshness=self._freshness(view),
            coverage=self._coverage(view),
            column=self._column(entry.name, view),
            importance=self._importance(entry.name, view),
            versions=tuple(self._versions(view)),
        )

    @cached_property
    def _downstream(self) -> dict[str, tuple[str, ...]]:
        return downstream(self._context.project)

    @cached_property
    def _built(self) -> dict[str, TrainingSetRecord]:
        """The newest of each training set."""
        records = sorted(self._context.ledger.select(TrainingSetRecord), key=lambda record: record.built_at)
        return {record.name: record for record in records}

    def _features(self, item: Declaration) -> tuple[str, ...]:
        """References to the single features of a view, or of those that a training set or model sees."""
        if isinstance(item, FeatureView):
            return tuple(f"{FEATURE}:{item.name}.{name}" for name in item.names)
        found = item.training_set if isinstance(item, Model) else item
        if not isinstance(found, TrainingSet):
            return ()
        views = [f"{FEATURE}:{use.view.name}.{name}" for use in found.uses for name in use.features]
        return (*views, *(str(one.ref) for one in found.on_demand))

    def _freshness(self, view: FeatureView) -> Freshness | None:
        record = self._online[view.name]
        if record is None:
            return None
        age = (clock.now() - record.boundary) / clock.SECOND
        return Freshness(format_instant(record.boundary), age, record.rows)

    @cached_property
    def _online(self) -> dict[str, MaterializationRecord | None]:
        views = self._context.project.all(FeatureView)
        return {view.name: online_record(self._context, view.name, meaning.lineage(view)) for view in views}

    def _coverage(self, view: FeatureView) -> float | None:
        record = self._online[view.name]
        same = [v.name for v in self._context.project.all(FeatureView) if v.entity.name == view.entity.name]
        widest = max((found.rows for name in same if (found := self._online[name]) is not None), default=0)
        return record.rows / widest if record is not None and widest else None

    def _column(self, name: str, owner: FeatureView | OnDemand) -> ColumnFacts | None:
        users = [one for one in self._context.project.all(TrainingSet) if _reads(one, owner, name)]
        built = [record for user in users if (record := self._built.get(user.name)) is not None]
        for record in sorted(built, key=lambda record: -record.built_at):
            facts = record.statistics.get("train", {}).get(name)
            if facts and facts.get("count"):
                rate = facts["nulls"] / facts["count"]
                return ColumnFacts(f"{TrainingSet.KIND}:{record.name}", facts["count"], rate, facts, histogram(facts))
        return None

    def _importance(self, name: str, owner: FeatureView | OnDemand) -> dict[str, float]:
        found = {}
        for model in self._context.project.all(Model):
            if _reads(model.training_set, owner, name):
                shares = self._shares(model.name)
                if name in shares:
                    found[str(model.ref)] = shares[name]
        return found

    def _shares(self, model: str) -> dict[str, float]:
        """Each feature's share of the model's measure, all together 1."""
        ledger = self._context.ledger
        versions = ledger.select(ModelVersionRecord, model=model)
        alias = ledger.get(AliasRecord, model, "champion")
        version = next((v for v in versions if alias is not None and v.version == alias.version), None)
        version = version or (versions[-1] if versions else None)
        told = {} if version is None else version.metrics.get("importances", {})
        whole = sum(abs(value) for value in told.values())
        return {name: abs(value) / whole for name, value in told.items()} if whole else {}

    def _versions(self, item: Declaration) -> Iterator[Mapping[str, Any]]:
        """What the ledger holds of it, newest first."""
        ledger = self._context.ledger
        if isinstance(item, Source):
            for load in reversed(ledger.select(LoadRecord, source=item.name, status="committed")):
                yield {
                    "load": load.number,
                    "snapshot": load.version,
                    "rows": load.rows_accepted,
                    "quarantined": load.rows_quarantined,
                    "at": format_instant(load.ingested_at),
                }
        elif isinstance(item, FeatureView):
            written = ledger.select(MaterializationRecord, view=item.name, status="committed")
            for fingerprint in dict.fromkeys(record.fingerprint for record in reversed(written)):
                newest = max((r for r in written if r.fingerprint == fingerprint), key=lambda r: r.finished_at or 0)
                yield {
                    "fingerprint": fingerprint,
                    "is_declared": fingerprint == meaning.lineage(item),
                    "boundary": format_instant(newest.boundary),
                    "rows": newest.rows,
                }
        elif isinstance(item, TrainingSet):
            for built in reversed(ledger.select(TrainingSetRecord, name=item.name)):
                counts = {name: value for name, value in built.counts.items() if isinstance(value, int | float)}
                yield {"digest": built.digest, "at": format_instant(built.built_at)} | counts
        elif isinstance(item, Model):
            alias = ledger.get(AliasRecord, item.name, "champion")
            for version in reversed(ledger.select(ModelVersionRecord, model=item.name)):
                test = version.metrics.get("test", {}).get(item.metric, {})
                yield {
                    "version": version.version,
                    "is_champion": alias is not None and alias.version == version.version,
                    item.metric: test.get("value"),
                    "digest": version.digest,
                    "at": format_instant(version.created_at),
                }
        else:
            applied = ledger.get(DefinitionRecord, str(item.ref))
            if applied is not None:
                yield {"fingerprint": applied.lineage, "at": format_instant(applied.applied_at)}


def _reads(item: Declaration, owner: FeatureView | OnDemand, name: str) -> bool:
    """Whether a declaration itself reads a feature of a view, or an on-demand feature."""
    if isinstance(item, TrainingSet):
        if isinstance(owner, OnDemand):
            return owner in item.on_demand
        return any(use.view is owner and name in use.features for use in item.reads)
    return isinstance(item, OnDemand) and owner in item.views and name in item.parameters
