"""What the ledger keeps: what was declared, run, loaded, built, made, judged, promoted and written online.

Each record is one table row. ``KEY`` names its primary key. Instants are UTC microseconds. Mappings are JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class DefinitionRecord:
    """A definition as it was last applied."""

    KEY: ClassVar[tuple[str, ...]] = ("ref",)
    ref: str
    fingerprint: str
    """Of its own meaning."""
    lineage: str
    """Of its own and everything upstream: changes when any ancestor does."""
    meaning: dict[str, Any]
    applied_at: int


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One execution of one step. ``status``: running | succeeded | failed."""

    KEY: ClassVar[tuple[str, ...]] = ("id",)
    id: str
    step: str
    subject: str
    fingerprint: str
    status: str
    started_at: int
    finished_at: int | None = None
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class LoadRecord:
    """One load of a source. ``status``: begun | committed.

    ``rows_in == rows_accepted + rows_quarantined + rows_ignored + rows_forgotten``.
    """

    KEY: ClassVar[tuple[str, ...]] = ("source", "number")
    SOUGHT_BY: ClassVar[tuple[str, ...]] = ("source", "status", "is_history")
    """A stream has a load a second, and each step of its views looks for those that are begun or of history."""
    source: str
    number: int
    status: str
    is_history: bool
    ingested_at: int
    rows_in: int
    rows_accepted: int
    rows_quarantined: int
    version: int | None
    """The table's snapshot after the load."""
    findings: dict[str, Any] = field(default_factory=dict)
    rows_ignored: int = 0
    """Rows whose key was there already, where the source says to ignore them."""
    rows_forgotten: int = 0
    """Rows of entities that were forgotten."""


@dataclass(frozen=True, slots=True)
class LoadedFileRecord:
    """A file (or query result) that a committed load took in: its digest is never taken in again."""

    KEY: ClassVar[tuple[str, ...]] = ("source", "digest")
    source: str
    digest: str
    path: str
    number: int
    rows: int


@dataclass(frozen=True, slots=True)
class SourceSchemaRecord:
    """The schema that a source is held to since its first load, and the instant up to which it is complete."""

    KEY: ClassVar[tuple[str, ...]] = ("source",)
    source: str
    columns: dict[str, str]
    watermark: int | None = None


@dataclass(frozen=True, slots=True)
class TrainingSetRecord:
    """A training set as written. ``fingerprint`` is of definitions and snapshots together; ``digest`` of the rows."""

    KEY: ClassVar[tuple[str, ...]] = ("fingerprint",)
    fingerprint: str
    name: str
    digest: str
    path: str
    rows: int
    counts: dict[str, Any]
    """train, test, purged, unripe rows; positive rate or label mean."""
    snapshots: dict[str, Any]
    """table -> version."""
    statistics: dict[str, Any]
    built_at: int
    erased_at: int | None = None
    """When its file was removed, because it held an entity that was forgotten."""


@dataclass(frozen=True, slots=True)
class ModelVersionRecord:
    """A trained artefact. ``digest`` is of its files; ``path`` is relative to the object store."""

    KEY: ClassVar[tuple[str, ...]] = ("model", "version")
    model: str
    version: int
    digest: str
    path: str
    format: str
    fingerprint: str
    training_set: str
    """The training set record's fingerprint."""
    training_set_digest: str
    metrics: dict[str, Any]
    params: dict[str, Any]
    provenance: dict[str, Any]
    """Git commit and dirty state, library versions, the id under which it is tracked, seed."""
    created_at: int


@dataclass(frozen=True, slots=True)
class VerdictRecord:
    """What the gates said of one model version, with their evidence."""

    KEY: ClassVar[tuple[str, ...]] = ("model", "version", "judged_at")
    model: str
    version: int
    judged_at: int
    is_passed: bool
    gates: dict[str, Any]
    """gate -> {passed, found, expected, evidence}."""


@dataclass(frozen=True, slots=True)
class AliasRecord:
    """Which version of a model an alias (champion, challenger) names. Swapped by compare-and-set on ``version``."""

    KEY: ClassVar[tuple[str, ...]] = ("model", "alias")
    model: str
    alias: str
    version: int
    set_at: int


@dataclass(frozen=True, slots=True)
class MaterializationRecord:
    """Online rows of one view at one boundary from one snapshot. ``status``: begun | committed."""

    KEY: ClassVar[tuple[str, ...]] = ("view", "fingerprint", "boundary", "version")
    view: str
    fingerprint: str
    boundary: int
    version: int
    status: str
    rows: int
    started_at: int
    finished_at: int | None = None


@dataclass(frozen=True, slots=True)
class ViewVersionRecord:
    """A view as it was when its online rows were first written: by this they are computed and read, whatever is
    declared by then. Forgotten with the rows.
    """

    KEY: ClassVar[tuple[str, ...]] = ("view", "fingerprint")
    view: str
    fingerprint: str
    is_fresh: bool
    """Whether it is kept in tiles."""
    definition: dict[str, Any]
    """See `inseam.ir.view_record`."""
    made_at: int


@dataclass(frozen=True, slots=True)
class ViewStateRecord:
    """Which versions of its tables the online rows of a view that reads several name by one number."""

    KEY: ClassVar[tuple[str, ...]] = ("view", "fingerprint", "number")
    view: str
    fingerprint: str
    number: int
    versions: dict[str, Any]
    """table -> version."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """The last audit of a view, or of an on-demand feature: how many of the reads that were drawn and computed again
    agree in every value. It names no entity and holds no value; earlier audits are among the runs.
    """

    KEY: ClassVar[tuple[str, ...]] = ("subject", "endpoint", "fingerprint")
    subject: str
    """``feature_view:NAME`` or ``on_demand:NAME``."""
    endpoint: str
    """Whose predictions were drawn; empty: entities, read from the online store."""
    fingerprint: str
    """Of the view with everything upstream, or of the function."""
    audited_at: int
    rows: int
    equal: int
    facts: dict[str, Any]
    """The 95 % interval of the share that agrees, how many there were to draw from, stale and missing reads, causes."""


@dataclass(frozen=True, slots=True)
class ErasureRecord:
    """An entity that was forgotten. ``status``: begun | committed. Its key is nowhere: see `inseam.ir.forgotten`."""

    KEY: ClassVar[tuple[str, ...]] = ("entity", "digest")
    entity: str
    digest: str
    salt: str
    columns: dict[str, Any]
    """The key's columns, in order, each with the type by which its text was read."""
    status: str
    begun_at: int
    finished_at: int | None = None
    report: dict[str, Any] = field(default_factory=dict)
    """``erased``: place -> rows; ``left``: place -> why it may hold something still."""


RECORDS = (
    DefinitionRecord,
    RunRecord,
    LoadRecord,
    LoadedFileRecord,
    SourceSchemaRecord,
    TrainingSetRecord,
    ModelVersionRecord,
    VerdictRecord,
    AliasRecord,
    MaterializationRecord,
    ViewVersionRecord,
    ViewStateRecord,
    AuditRecord,
    ErasureRecord,
)
"""Every kind of record: the ledger's tables are made from these and from nothing else."""
