"""The ledger's contract, held by SQLite and by a real PostgreSQL."""

from __future__ import annotations

import uuid

import pytest
import sqlalchemy as sa

from inseam.testing.contracts.ledger import LedgerContract, Opener
from inseam.testing.postgres import postgres_server

FACTORY = "inseam.adapters.sql.ledger:SqlLedger"


@pytest.fixture(scope="module")
def server():
    with postgres_server() as url:
        yield url


@pytest.fixture
def postgres_url(server):
    name = f"ledger_{uuid.uuid4().hex}"
    engine = sa.create_engine(sa.make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    engine.dispose()


class TestSqlite(LedgerContract):
    @pytest.fixture
    def opener(self, tmp_path):
        return Opener(FACTORY, f"sqlite:///{tmp_path}/deep/ledger.db")


class TestPostgres(LedgerContract):
    @pytest.fixture
    def opener(self, postgres_url):
        return Opener(FACTORY, postgres_url)
