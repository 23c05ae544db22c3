"""The example on real data: 305 daily files to a served, replayed prediction, and a metric beside a naive one."""

from __future__ import annotations

import os
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "online_retail"


def data() -> Path | None:
    """The folder that holds ``online_retail/by_day``, where it is to be had."""
    places = [os.environ.get("INSEAM_DATA"), str(ROOT.parent / "shared" / "data")]
    return next((Path(p) for p in places if p and (Path(p) / "online_retail" / "by_day").is_dir()), None)


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found = data()
    if found is None:
        pytest.skip("the Online Retail data is not here: set INSEAM_DATA to the folder with online_retail/by_day")
    home = tmp_path_factory.mktemp("example") / "online_retail"
    shutil.copytree(EXAMPLE, home, ignore=shutil.ignore_patterns(".inseam", "data", "__pycache__"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("INSEAM_DATA", str(found))
        made: dict[str, Any] = runpy.run_path(str(home / "run.py"))["main"](home)
    return made


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_row_of_the_305_files_is_accounted_for(facts: dict[str, Any]) -> None:
    assert facts["rows"] == {"accepted": 541_909, "quarantined": 0}
    # 135,080 lines of nobody, and the full duplicates among the others.
    assert facts["warnings"] == {"not_null": 135_080, "unique": 5_225}


@pytest.mark.slow
def test_the_model_beats_knowing_only_recency(facts: dict[str, Any]) -> None:
    assert facts["training_set"]["purged"] > 0
    assert all(facts["gates"].values())
    assert facts["model"]["low"] > facts["recency"]["high"]
    assert facts["model"]["value"] > 0.72


@pytest.mark.slow
def test_the_served_prediction_replays_bit_for_bit(facts: dict[str, Any]) -> None:
    (prediction,) = facts["prediction"]["predictions"]

    assert 0 < prediction["probability"] < 1
    assert prediction["boundaries"]["buying"] == "2011-12-09T00:00:00Z"
    assert facts["replay"]["is_equal"]
    assert facts["replay"]["compared"] > 10
