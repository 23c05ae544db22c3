"""What the rooms of learning share: a ledger, a tracker, and a training that ends in a version."""

from pathlib import Path
from uuid import uuid4

import pytest

from inseam.adapters.sql.ledger import SqlLedger
from inseam.ports.artifacts import Artifacts
from inseam.stages.train.track import track
from inseam.stages.train.training import train
from inseam.testing.tracking import ListTracker
from inseam.testing.training_sets import KEYS, VIEWS, write_training_set


@pytest.fixture
def ledger(tmp_path):
    return SqlLedger(f"sqlite:///{tmp_path}/ledger.db")


@pytest.fixture
def tracker():
    return ListTracker()


@pytest.fixture
def trained(tmp_path, ledger, tracker):
    """Train a model spec on a small set of its task, and track it."""

    def run(spec, record=None, **more):
        record = record or write_training_set(tmp_path / "sets", spec.task, rows=800)
        ledger.put(record)
        places = {
            "ledger": ledger,
            "models": Artifacts(tmp_path / "models"),
            "repository": Path.cwd(),
            "run": uuid4().hex,
        }
        version = train(spec, record, keys=KEYS, views=VIEWS, inputs=(), **places | more)
        track(models=Artifacts(tmp_path / "models"), ledger=ledger, tracker=tracker)
        return version

    return run
