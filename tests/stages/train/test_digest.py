"""Fixed seeds give the same bundle in another process; where threads do not matter, with another number of them."""

import json
import os
import subprocess
import sys

import pytest

_SCRIPT = """
import json, sys, tempfile
from pathlib import Path
from inseam.ir.training import Task
from inseam.ports.bundle import digest
from inseam.stages.train.data import read_train_part
from inseam.stages.train.fit import fit
from inseam.stages.train.saving import save_and_load
from inseam.testing import learners
from inseam.testing.training_sets import KEYS, model_spec, write_training_set

found = {}
with tempfile.TemporaryDirectory() as home:
    for task in Task:
        record = write_training_set(Path(home) / "sets", task, rows=3_000)
        data = read_train_part(model_spec(learners.linear, task), record.path, KEYS)
        for name in sys.argv[1:]:
            place = Path(home) / f"{name}-{task}"
            place.mkdir()
            model = fit("model:m", getattr(learners, name), data.lent(), {})
            save_and_load("model:m", model, place, task, data.X.to_numpy())
            found[f"{name} {task}"] = digest(place)
print(json.dumps(found))
"""


def digests(*learners, threads):
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *learners], capture_output=True, text=True, env=os.environ | limits, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_each_framework_and_task_gives_one_digest_in_two_processes():
    names = ("boosted", "light", "linear", "histogram", "network")
    first = digests(*names, threads=2)
    assert len(first) == len(set(first.values())) == 15
    assert digests(*names, threads=2) == first


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_trees_of_xgboost_and_lightgbm_do_not_depend_on_the_number_of_threads():
    assert digests("boosted", "light", threads=1) == digests("boosted", "light", threads=2)
