"""Runs in the ledger: what goes on, what ended, and what was killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from inseam.adapters.sql.ledger import SqlLedger
from inseam.ir.records import RunRecord
from inseam.run.runs import close_killed, run

KILLED = """
import os, signal, sys
from inseam.adapters.sql.ledger import SqlLedger
from inseam.run.runs import run
with run(SqlLedger(sys.argv[1]), "train", "killed"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_whose_process_was_killed_is_found_to_have_failed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = SqlLedger(url)
    subprocess.run([sys.executable, "-c", KILLED, url], check=False, timeout=120)

    def status() -> dict[str, str]:
        return {record.subject: record.status for record in ledger.select(RunRecord)}

    with run(ledger, "train", "alive"):
        assert status() == {"killed": "running", "alive": "running"}
        close_killed(ledger)
        assert status() == {"killed": "failed", "alive": "running"}
    assert status()["alive"] == "succeeded"
    (killed,) = ledger.select(RunRecord, subject="killed")
    assert killed.finished_at is None
    assert "killed" in (killed.error or "")
