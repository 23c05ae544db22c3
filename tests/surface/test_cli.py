"""The command line as people and programs meet it: in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

SCHEMA = 'schema={"customer_id": "int64", "ordered_at": "timestamp", "amount": "float64"}'
GOOD = f"""
from inseam import Entity, FeatureView, Source, count, sum
customer = Entity("customer", key="customer_id")
orders = Source("orders", "orders.csv", timestamp="ordered_at", {SCHEMA})
spend = FeatureView("spend", orders, customer, every="1d", features={{"spend_30d": sum("amount", over="30d")}})
"""


def inseam(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["inseam", *words], cwd=root, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(autouse=True)
def path(commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "inseam.toml").write_text('[project]\nname = "shop"\n')
    (tmp_path / "shop.py").write_text(GOOD)
    (tmp_path / "orders.csv").write_text("customer_id,ordered_at,amount\n1,2024-01-01T00:00:00Z,5.0\n")
    return tmp_path


def test_help_names_every_verb_and_gives_examples(root: Path) -> None:
    assert "replay" in inseam(root, "--help").stdout
    assert "Example: inseam plan" in inseam(root, "plan", "--help").stdout


def test_all_mistakes_are_told_at_once_with_their_lines(root: Path) -> None:
    (root / "shop.py").write_text(
        GOOD.replace('over="30d"', 'over="1h"')
        + 'returns = FeatureView("returns", orders, customer, every="1d", features={"n": sum("amout", over="7d")})\n'
    )
    told = inseam(root, "check")

    assert told.returncode == 2
    assert "window-not-multiple" in told.stderr
    assert "did you mean 'amount'?" in told.stderr
    assert f"{root / 'shop.py'}:5" in told.stderr
    assert "Traceback" not in told.stderr + told.stdout


def test_problems_as_json(root: Path) -> None:
    (root / "shop.py").write_text(GOOD.replace('"amount", over', '"amout", over'))
    told = inseam(root, "check", "--json")

    (problem,) = json.loads(told.stdout)["problems"]
    assert problem["code"] == "column-unknown"
    assert problem["subject"] == "feature_view:spend"
    assert problem["place"]["line"] == 5


def test_a_wrong_call_is_json_too(root: Path) -> None:
    told = inseam(root, "fetch", "spend", "--json")

    assert told.returncode == 2
    (problem,) = json.loads(told.stdout)["problems"]
    assert problem["code"] == "usage"
    assert problem["mend"].endswith("fetch --help")
    assert "--key" in problem["found"]


def test_an_exception_in_the_definitions_names_its_line(root: Path) -> None:
    (root / "shop.py").write_text(GOOD + "print(1 / 0)\n")
    told = inseam(root, "plan")

    assert told.returncode == 2
    assert "ZeroDivisionError" in told.stderr
    assert "shop.py:6" in told.stderr


def test_plan_has_an_exit_code_for_ci(root: Path) -> None:
    assert inseam(root, "plan").returncode == 0
    assert inseam(root, "plan", "--exit-code").returncode == 10
    plan = json.loads(inseam(root, "plan", "--json").stdout)
    assert {change["change"] for change in plan["changes"]} == {"created"}


def test_outside_a_project_the_mend_is_told(tmp_path: Path) -> None:
    told = inseam(tmp_path, "status")

    assert told.returncode == 4
    assert "inseam init" in told.stderr


def test_ingest_apply_and_fetch(root: Path) -> None:
    assert inseam(root, "ingest", "--history").returncode == 0
    applied = inseam(root, "apply", "--json")
    assert applied.returncode == 0, applied.stderr
    assert [work["verb"] for work in json.loads(applied.stdout)["done"]] == ["materialize"]
    assert inseam(root, "plan", "--exit-code").returncode == 0

    read = json.loads(inseam(root, "fetch", "spend", "--key", "customer_id=1", "--json").stdout)
    assert read["views"]["spend"]["is_missing"] is False
    unknown = json.loads(inseam(root, "fetch", "spend", "--key", "customer_id=2", "--json").stdout)
    assert unknown["views"]["spend"]["is_missing"] is True


def test_forget_shows_asks_and_erases(root: Path) -> None:
    assert inseam(root, "ingest", "--history").returncode == 0
    refused = inseam(root, "forget", "customer", "1")
    assert (refused.returncode, "--yes" in refused.stderr) == (6, True)
    assert "sources/orders" in inseam(root, "forget", "customer", "1", "--dry-run").stdout
    told = json.loads(inseam(root, "forget", "customer", "--key", "customer_id=1", "--yes", "--json").stdout)
    assert told["erased"] == {"sources/orders": 1}
    assert list(told["left"]) == [str(root / "orders.csv")]


def test_a_source_that_fails_keeps_no_other_from_being_loaded(root: Path) -> None:
    first, last = (f'{name} = Source("{name}", "{name}.csv", timestamp="at")\n' for name in ("absent", "broken"))
    (root / "shop.py").write_text(GOOD.replace("orders = ", f"{first}orders = ") + last)
    (root / "broken.csv").write_text("when,n\n2024-01-01,1\n")

    told = inseam(root, "ingest", "orders", "absent", "--history", "--json")

    assert told.returncode == 4
    found = json.loads(told.stdout)
    assert (found["loads"]["orders"]["rows_accepted"], found["problems"][0]["subject"]) == (1, "source:absent")

    told = inseam(root, "ingest", "--history")

    assert told.returncode == 4
    assert "source:absent: there is no file" in told.stderr
    assert "source:broken: there is no column 'at'" in told.stderr
    assert "orders" in told.stdout
    sources = json.loads(inseam(root, "status", "--json").stdout)["sources"]
    assert {source["name"]: source["rows"] for source in sources} == {"absent": 0, "orders": 1, "broken": 0}

    told = inseam(root, "ingest", "orders", "order")
    assert (told.returncode, told.stdout) == (4, "")
    assert "did you mean 'orders'?" in told.stderr


def test_a_read_of_what_was_never_written_is_refused(root: Path) -> None:
    inseam(root, "ingest", "--history")

    told = inseam(root, "fetch", "spend", "--key", "customer_id=1")
    assert (told.returncode, told.stdout) == (4, "")
    assert "inseam materialize spend" in told.stderr

    (root / "shop.py").write_text(GOOD.replace('every="1d"', 'every="0s"'))
    for verb in (("fetch", "spend", "--key", "customer_id=1"), ("materialize", "spend")):
        told = inseam(root, *verb)
        assert told.returncode == 6
        assert "steps continuously" in told.stderr


def test_status_tells_the_rows_that_are_online_now(root: Path) -> None:
    inseam(root, "ingest", "--history")
    inseam(root, "materialize", "--as-of", "2024-03-01")
    inseam(root, "materialize", "--as-of", "2024-02-01")

    (view,) = json.loads(inseam(root, "status", "--json").stdout)["views"]
    read = json.loads(inseam(root, "fetch", "spend", "--key", "customer_id=1", "--json").stdout)

    assert view["boundary"] == 1_706_745_600_000_000
    assert read["views"]["spend"]["boundary"] == "2024-02-01T00:00:00Z"
    assert "2024-02-01T00:00:00Z" in inseam(root, "lineage", "spend").stdout


def test_a_home_that_cannot_be_made_is_told(root: Path) -> None:
    (root / "taken").write_text("a file")
    (root / "inseam.toml").write_text('[project]\nname = "shop"\n[environments.default]\nhome = "taken/below"\n')

    told = inseam(root, "plan")

    assert told.returncode == 7
    assert "INSEAM_HOME" in told.stderr
    assert "Traceback" not in told.stderr


def test_what_fails_in_a_step_is_told_with_the_place_of_its_declaration(root: Path) -> None:
    (root / "shop.py").write_text(GOOD.replace(SCHEMA, 'checks=["abss(amount) > 0"]'))
    failed = inseam(root, "ingest", "--json")
    (problem,) = json.loads(failed.stdout)["problems"]
    assert failed.returncode == 2
    assert problem["subject"] == "source:orders"
    assert "abss(amount) > 0" in problem["found"]
    assert problem["place"] == {"file": str(root / "shop.py"), "line": 4}


def test_mistakes_of_every_kind_are_told_together_and_without_a_traceback(root: Path) -> None:
    text = GOOD.replace("every=", "evry=").replace('"amount", over', '"amont", over')
    (root / "shop.py").write_text(f"{text}\n1 / 0\nEntity(5, key='a')\n")
    found = inseam(root, "check")
    assert found.returncode == 2
    assert "Traceback" not in found.stderr
    codes = ("parameter-unknown", "column-unknown", "type-wrong", "ZeroDivisionError")
    assert [code for code in codes if code not in found.stderr] == []
    for verb in (["plan"], ["apply"], ["ingest"], ["lineage", "orders"]):
        refused = inseam(root, *verb)
        assert (refused.returncode, refused.stderr) == (2, found.stderr)
