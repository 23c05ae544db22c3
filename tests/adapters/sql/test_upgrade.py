"""The migrated schema is what the records say, and opening upgrades."""

from __future__ import annotations

import shutil

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from inseam.adapters.sql import upgrade
from inseam.adapters.sql.ledger import SqlLedger
from inseam.adapters.sql.revise import draft
from inseam.adapters.sql.tables import VERSION_TABLE, metadata
from inseam.kernel.errors import SettingError
from inseam.testing.postgres import postgres_server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/ledger.db"
        return
    with postgres_server() as server:
        yield server


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


def test_a_changed_record_s_revision_can_be_drafted(tmp_path, monkeypatch):
    scripts = tmp_path / "migrations"
    shutil.copytree(upgrade.SCRIPTS, scripts)
    column = sa.Column("mood", sa.BigInteger(), nullable=True)
    changed = sa.MetaData(naming_convention=metadata.naming_convention)
    for table in metadata.sorted_tables:
        table.to_metadata(changed)
    changed.tables["ledger_alias"].append_column(column)
    monkeypatch.setattr("inseam.adapters.sql.tables.metadata", changed)
    text = draft("aliases have moods", scripts).read_text()
    assert "batch_op.add_column(sa.Column('mood', sa.BigInteger(), nullable=True))" in text
    assert text.count("batch_op.") == 1
    assert f"down_revision = '{upgrade.HEAD}'" in text
    compile(text, "draft", "exec")
