"""What applying would change: definitions against the ledger, and everything downstream of a change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from inseam.define.declaration import Declaration
from inseam.define.endpoint import Endpoint
from inseam.define.feature_view import FeatureView
from inseam.define.model import Model
from inseam.define.project import Project
from inseam.define.source import Source
from inseam.define.training_set import TrainingSet
from inseam.ir.records import DefinitionRecord
from inseam.kernel.names import Ref
from inseam.plan.meaning import lineage, own


class Change(StrEnum):
    CREATED = "created"
    CHANGED = "changed"
    """Its own meaning is another."""
    ALTERED = "altered"
    """Something upstream is another, so that its values may be."""
    REMOVED = "removed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class DefinitionChange:
    """``fields``: which parts of the meaning differ. ``reaches``: what lies downstream. ``recompute``: what to do."""

    ref: str
    change: Change
    fields: tuple[str, ...] = ()
    because: tuple[str, ...] = ()
    """The changed definitions upstream that alter this one."""
    reaches: tuple[str, ...] = ()
    recompute: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """One thing to run so that what is stored matches what is declared.

    ``rows`` and ``bytes``: how many it will read; ``entities``: how many it will write; ``seconds``: how long it will
    take by what it took before. None: not known.
    """

    verb: str
    subject: str
    reason: str
    rows: int | None = None
    is_destructive: bool = False
    bytes: int | None = None
    entities: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A frozen answer: look at it, then apply it. ``fingerprint`` of the definitions that it was made from."""

    project: str
    fingerprint: str
    changes: tuple[DefinitionChange, ...]
    work: tuple[Work, ...] = ()

    @property
    def has_changes(self) -> bool:
        return any(c.change is not Change.UNCHANGED for c in self.changes)

    @property
    def is_empty(self) -> bool:
        return not self.has_changes and not self.work

    def of(self, change: Change) -> tuple[DefinitionChange, ...]:
        return tuple(c for c in self.changes if c.change is change)

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain data for ``--json``."""
        return asdict(self) | {"has_changes": self.has_changes, "is_empty": self.is_empty}


_RECOMPUTE: Mapping[type[Declaration], str] = {
    FeatureView: "materialize its online rows anew",
    TrainingSet: "build it anew",
    Model: "train a new version",
    Endpoint: "serves the old model until a new version is promoted",
}


def downstream(project: Project) -> dict[str, tuple[str, ...]]:
    """For each declaration everything that is made from it, nearest first in the order of declaration."""
    reached: dict[str, list[str]] = {str(item.ref): [] for item in project.declarations}
    for item in project.declarations:
        for ancestor in ancestors(item):
            reached[str(ancestor.ref)].append(str(item.ref))
    return {ref: tuple(dict.fromkeys(refs)) for ref, refs in reached.items()}


def ancestors(item: Declaration) -> tuple[Declaration, ...]:
    """Everything upstream of a declaration, each once."""
    found: dict[int, Declaration] = {}
    pending = list(item.upstream())
    while pending:
        parent = pending.pop(0)
        if id(parent) not in found:
            found[id(parent)] = parent
            pending += parent.upstream()
    return tuple(found.values())


def compare(project: Project, applied: Iterable[DefinitionRecord]) -> tuple[DefinitionChange, ...]:
    """Each definition's change against what was last applied, removed ones last."""
    before = {record.ref: record for record in applied}
    own_changed = {
        str(item.ref)
        for item in project.declarations
        if str(item.ref) not in before or before[str(item.ref)].fingerprint != own(item)
    }
    reaches = downstream(project)
    changes = [_compare(item, before.get(str(item.ref)), own_changed, reaches) for item in project.declarations]
    present = {str(item.ref) for item in project.declarations}
    gone = [ref for ref in before if ref not in present]
    reached = _recorded_downstream(before) if gone else {}
    return (*changes, *(DefinitionChange(ref, Change.REMOVED, reaches=reached[ref]) for ref in gone))


def _recorded_downstream(before: Mapping[str, DefinitionRecord]) -> dict[str, tuple[str, ...]]:
    """What was made from each definition when it was last applied: what its removal touches."""
    users: dict[str, list[str]] = {ref: [] for ref in before}
    for record in before.values():
        for ref in dict.fromkeys(_references(record.meaning)):
            users.setdefault(ref, []).append(record.ref)
    return {ref: tuple(_reachable(ref, users)) for ref in before}


def _references(meaning: Any) -> Iterator[str]:
    """The references within recorded meaning: ``{"ref": "kind:name"}``."""
    if isinstance(meaning, dict):
        if meaning.keys() == {"ref"}:
            yield str(meaning["ref"])
        for value in meaning.values():
            yield from _references(value)
    elif isinstance(meaning, list):
        for value in meaning:
            yield from _references(value)


def _reachable(start: str, users: Mapping[str, Sequence[str]]) -> dict[str, None]:
    found: dict[str, None] = {}
    pending = list(users[start])
    while pending:
        ref = pending.pop(0)
        if ref not in found:
            found[ref] = None
            pending += users.get(ref, ())
    return found


def _compare(
    item: Declaration,
    record: DefinitionRecord | None,
    own_changed: set[str],
    reaches: Mapping[str, tuple[str, ...]],
) -> DefinitionChange:
    ref = str(item.ref)
    place = str(item.place or "")
    recompute = _RECOMPUTE.get(type(item), "")
    if record is None:
        return DefinitionChange(ref, Change.CREATED, reaches=reaches[ref], recompute=recompute, place=place)
    because = tuple(dict.fromkeys(str(a.ref) for a in ancestors(item) if str(a.ref) in own_changed))
    if ref in own_changed:
        fields = _changed_fields(record.meaning, item.meaning())
        return DefinitionChange(ref, Change.CHANGED, fields, because, reaches[ref], recompute, place)
    if record.lineage != lineage(item):
        return DefinitionChange(ref, Change.ALTERED, (), because, reaches[ref], recompute, place)
    return DefinitionChange(ref, Change.UNCHANGED, place=place)


def _changed_fields(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> tuple[str, ...]:
    """Dotted names of what differs, down to the features of a view."""
    names: list[str] = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict) and old.get("") == new.get(""):
            names += _changed_fields(old, new, f"{prefix}{name}.")
        else:
            names.append(f"{prefix}{name}")
    return tuple(names)


def record_of(item: Declaration, applied_at: int) -> DefinitionRecord:
    return DefinitionRecord(str(item.ref), own(item), lineage(item), item.meaning(), applied_at)


def removed_sources(changes: Iterable[DefinitionChange]) -> tuple[str, ...]:
    """Names of sources whose tables nothing declares any more."""
    refs = (Ref.parse(c.ref) for c in changes if c.change is Change.REMOVED)
    return tuple(ref.name for ref in refs if ref.kind == Source.KIND)
