"""Loads are found by their state: a stream has one a second."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_index("ix_ledger_load", "ledger_load", ["source", "status", "is_history"])
