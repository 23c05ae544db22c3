"""The ledger as it began."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.String(), nullable=False) for name in names]


def _integer(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]


def _mapping(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.JSON(none_as_null=True), nullable=False) for name in names]


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False)


def _create(name: str, key: tuple[str, ...], *columns: sa.Column[Any]) -> None:
    op.create_table(
        name,
        sa.Column("_order", _INTEGER, sa.Identity(always=True), nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("_order", name=op.f(f"pk_{name}")),
        sa.UniqueConstraint(*key, name=op.f(f"uq_{name}")),
        sqlite_autoincrement=True,
    )


def _lease() -> None:
    op.create_table(
        "ledger_lease",
        *_text("name", "token", "host", "machine"),
        *_integer("pid"),
        *_text("process_started", "thread"),
        *_integer("acquired_at", "heartbeat_at"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_ledger_lease")),
    )


def upgrade() -> None:
    _lease()
    _create(
        "ledger_definition",
        ("ref",),
        *_text("ref", "fingerprint", "lineage"),
        *_mapping("meaning"),
        *_integer("applied_at"),
    )
    _create(
        "ledger_run",
        ("id",),
        *_text("id", "step", "subject", "fingerprint", "status"),
        *_integer("started_at"),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        *_mapping("inputs", "outputs"),
        sa.Column("error", sa.String(), nullable=True),
    )
    _create(
        "ledger_load",
        ("source", "number"),
        *_text("source"),
        *_integer("number"),
        *_text("status"),
        _flag("is_history"),
        *_integer("ingested_at", "rows_in", "rows_accepted", "rows_quarantined"),
        sa.Column("version", sa.BigInteger(), nullable=True),
        *_mapping("findings"),
    )
    _create(
        "ledger_loaded_file",
        ("source", "digest"),
        *_text("source", "digest", "path"),
        *_integer("number", "rows"),
    )
    _create(
        "ledger_source_schema",
        ("source",),
        *_text("source"),
        *_mapping("columns"),
        sa.Column("watermark", sa.BigInteger(), nullable=True),
    )
    _create(
        "ledger_training_set",
        ("fingerprint",),
        *_text("fingerprint", "name", "digest", "path"),
        *_integer("rows"),
        *_mapping("counts", "snapshots", "statistics"),
        *_integer("built_at"),
    )
    _create(
        "ledger_model_version",
        ("model", "version"),
        *_text("model"),
        *_integer("version"),
        *_text("digest", "path", "format", "fingerprint", "training_set", "training_set_digest"),
        *_mapping("metrics", "params", "provenance"),
        *_integer("created_at"),
    )
    _create(
        "ledger_verdict",
        ("model", "version", "judged_at"),
        *_text("model"),
        *_integer("version", "judged_at"),
        _flag("is_passed"),
        *_mapping("gates"),
    )
    _create(
        "ledger_alias",
        ("model", "alias"),
        *_text("model", "alias"),
        *_integer("version", "set_at"),
    )
    _create(
        "ledger_materialization",
        ("view", "fingerprint", "boundary", "version"),
        *_text("view", "fingerprint"),
        *_integer("boundary", "version"),
        *_text("status"),
        *_integer("rows", "started_at"),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
    )
