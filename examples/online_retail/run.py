"""From the daily files to a served and replayed prediction, and the model beside a naive one: `python run.py`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import inseam
from inseam.kernel.clock import parse_instant
from inseam.surface.demo.server import Server

HERE = Path(__file__).parent
MODEL = "buys_again"
END = parse_instant("2011-12-09T13:00:00Z")
"""The data ends here; the clock of the machine says another year."""


def main(project: Path = HERE) -> dict[str, Any]:
    """Run the loop; what came of it. ``rows`` is None when the files were loaded before."""
    with inseam.open(project) as workspace:
        (load,) = workspace.ingest(is_history=True).values()
        trained = workspace.train(MODEL)
        workspace.materialize(as_of=END)
        scored = workspace.score(MODEL, out=workspace.settings.directory / "scores.parquet", as_of=END)
        predicted, replayed = serve(workspace, customer=17850)
    return {
        "rows": load and {"accepted": load.rows_accepted, "quarantined": load.rows_quarantined},
        "warnings": load and {found["kind"]: found["broken"] for found in load.findings.values()},
        "training_set": {"rows": trained.training_set.rows, **trained.training_set.counts},
        "gates": {name: gate["passed"] for name, gate in trained.verdict.gates.items()},
        "model": trained.version.metrics["test"]["roc_auc"],
        "recency": recency(Path(trained.training_set.path), trained.version),
        "scored": scored.rows,
        "prediction": predicted,
        "replay": {"is_equal": replayed.is_equal, "compared": replayed.compared},
    }


def serve(workspace: inseam.Workspace, customer: int) -> tuple[Any, Any]:
    """One prediction over HTTP, and its replay."""
    server = Server(workspace.settings.root, workspace.settings.directory / "server.log")
    try:
        server.wait_ready()
        reply = server.post(f"/endpoints/{MODEL}/predict", {"customer_id": customer})
    finally:
        server.stop()
    return reply, workspace.replay(reply["predictions"][0]["id"])


def recency(path: Path, version: Any) -> dict[str, float | None]:
    """ROC AUC, with its interval, of knowing nothing of the test rows but the days since the last purchase."""
    import numpy as np
    import pyarrow.parquet as parquet

    from inseam.ir.metrics import METRICS, Task
    from inseam.ir.resampling import estimates, group_codes

    rows = parquet.read_table(path, filters=[("part", "=", "test")])
    truth = rows["label"].to_numpy().astype(np.int64)
    metric = METRICS[Task.BINARY, "roc_auc"]
    measures = {"roc_auc": metric.on(truth, -rows["days_since"].to_numpy())}
    customers = group_codes(rows["customer_id"].to_numpy())
    return estimates(measures, len(truth), groups=customers)["roc_auc"].as_dict()


if __name__ == "__main__":
    json.dump(main(), sys.stdout, indent=2)
