"""States of views over several tables: no view read more than one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "ledger_view_state",
        sa.Column(
            "_order", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=True), nullable=False
        ),
        sa.Column("view", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("versions", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("_order", name=op.f("pk_ledger_view_state")),
        sa.UniqueConstraint("view", "fingerprint", "number", name=op.f("uq_ledger_view_state")),
        sqlite_autoincrement=True,
    )
