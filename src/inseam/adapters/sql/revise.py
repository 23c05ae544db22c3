"""Drafts the next revision of the ledger's schema after a record changed: ``python -m inseam.adapters.sql.revise WHY``.

Read the draft before it is committed, and say its number in `upgrade.HEAD`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

from inseam.adapters.sql.database import Database
from inseam.adapters.sql.upgrade import HEAD, SCRIPTS


def draft(why: str, scripts: Path = SCRIPTS) -> Path:
    """Compare the records with a database at the newest revision, and write the difference as a revision."""
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    with tempfile.TemporaryDirectory() as directory:
        database = Database(f"sqlite:///{directory}/ledger.db")
        with database.engine.connect().execution_options(writes=True) as connection, connection.begin():
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            made = command.revision(config, why, autogenerate=True, rev_id=f"{int(HEAD) + 1:04d}")
        database.close()
    if made is None or isinstance(made, list):
        raise RuntimeError("Alembic wrote no revision")
    return Path(made.path)


if __name__ == "__main__":
    sys.stdout.write(f"{draft(' '.join(sys.argv[1:]))}\n")
