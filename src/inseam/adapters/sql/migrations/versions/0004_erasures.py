"""Entities that were forgotten: there were none, and so no rows of them, and no training set that held one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "ledger_erasure",
        sa.Column(
            "_order", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=True), nullable=False
        ),
        sa.Column("entity", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("salt", sa.String(), nullable=False),
        sa.Column("columns", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("begun_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("report", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("_order", name=op.f("pk_ledger_erasure")),
        sa.UniqueConstraint("entity", "digest", name=op.f("uq_ledger_erasure")),
        sqlite_autoincrement=True,
    )
    op.add_column("ledger_load", sa.Column("rows_forgotten", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("ledger_training_set", sa.Column("erased_at", sa.BigInteger(), nullable=True))
