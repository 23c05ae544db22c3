"""Loads count the rows that they ignored: none of those before did."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("ledger_load", sa.Column("rows_ignored", sa.BigInteger(), nullable=False, server_default="0"))
