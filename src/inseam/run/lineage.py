"""What a thing was made from, and what is made from it: read from declarations and the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from inseam.define.declaration import Declaration
from inseam.define.feature_view import FeatureView
from inseam.define.model import Model
from inseam.define.source import Source
from inseam.define.training_set import TrainingSet
from inseam.ir.records import AliasRecord, LoadRecord, ModelVersionRecord, TrainingSetRecord
from inseam.kernel.clock import format_instant
from inseam.kernel.names import Ref
from inseam.plan import meaning
from inseam.plan.diff import ancestors, downstream
from inseam.run.context import Context
from inseam.run.online import online_record


@dataclass(frozen=True, slots=True)
class Node:
    """One thing in a lineage: its reference, and what is known of it now."""

    ref: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lineage:
    """``upstream`` nearest first, ``downstream`` in the order of declaration."""

    subject: Node
    upstream: tuple[Node, ...]
    downstream: tuple[Node, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def lineage(context: Context, name: str) -> Lineage:
    """Of a declaration (``spend``, ``feature_view:spend``), a model version (``lapse@3``) or a prediction's id."""
    if _is_prediction(name):
        return _of_prediction(context, name)
    if "@" in name:
        return _of_version(context, name)
    item = context.declaration(name)
    reaches = {str(d.ref): d for d in context.project.declarations}
    return Lineage(
        _node(context, item),
        tuple(_node(context, parent) for parent in ancestors(item)),
        tuple(_node(context, reaches[ref]) for ref in downstream(context.project)[str(item.ref)]),
    )


def _is_prediction(text: str) -> bool:
    return len(text) == 36 and text.count("-") == 4


def _node(context: Context, item: Declaration) -> Node:
    facts: dict[str, Any] = {"fingerprint": meaning.lineage(item), "place": str(item.place or "")}
    if item.owner:
        facts["owner"] = item.owner
    for name, value in _stored(context, item):
        facts[name] = value
    return Node(str(item.ref), facts)


def _stored(context: Context, item: Declaration) -> Iterator[tuple[str, Any]]:
    """What the ledger knows of a declaration."""
    ledger = context.ledger
    if isinstance(item, Source):
        loads = ledger.select(LoadRecord, source=item.name, status="committed")
        if loads:
            yield "snapshot", loads[-1].version
            yield "loads", len(loads)
            yield "rows", sum(load.rows_accepted for load in loads)
    elif isinstance(item, FeatureView):
        online = online_record(context, item.name, meaning.lineage(item))
        if online is not None:
            yield "boundary", format_instant(online.boundary)
            yield "online rows", online.rows
    elif isinstance(item, TrainingSet):
        built = ledger.select(TrainingSetRecord, name=item.name)
        if built:
            yield "digest", built[-1].digest
            yield "rows", built[-1].rows
    elif isinstance(item, Model):
        alias = ledger.get(AliasRecord, item.name, "champion")
        yield "versions", len(ledger.select(ModelVersionRecord, model=item.name))
        if alias is not None:
            yield "champion", alias.version


def _of_version(context: Context, name: str) -> Lineage:
    from inseam.run.learning import version_of

    ref = Ref.parse(name if ":" in name else f"model:{name}")
    record = version_of(context, ref.name, int(ref.version or 0))
    return Lineage(_version_node(record), tuple(_made_from(context, record)), ())


def _version_node(record: ModelVersionRecord) -> Node:
    facts = {"digest": record.digest, "format": record.format, **record.provenance}
    return Node(f"model:{record.model}@{record.version}", facts)


def _made_from(context: Context, record: ModelVersionRecord) -> Iterator[Node]:
    trained_on = context.ledger.get(TrainingSetRecord, record.training_set)
    if trained_on is None:
        return
    facts = {"digest": trained_on.digest, "rows": trained_on.rows, "fingerprint": trained_on.fingerprint}
    yield Node(f"training_set:{trained_on.name}", facts)
    for table, version in trained_on.snapshots.items():
        yield Node(f"table:{table}@{version}", {"snapshot": version})


def _of_prediction(context: Context, prediction: str) -> Lineage:
    from inseam.run.receipt import receipt

    made = receipt(context, prediction)
    views = tuple(
        Node(
            f"feature_view:{name}",
            {
                "boundary": None if read.boundary is None else format_instant(read.boundary),
                "snapshot": read.version,
                "fingerprint": made.definitions.get(name, ""),
            },
        )
        for name, read in made.prediction.views.items()
    )
    subject = Node(
        f"prediction:{prediction}", {"endpoint": made.prediction.endpoint, "at": format_instant(made.prediction.at)}
    )
    return Lineage(subject, (*views, _version_node(made.model), *_made_from(context, made.model)), ())
