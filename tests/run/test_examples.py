"""Examples: what they compute is what training would, and what fails says where."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from inseam.kernel.errors import NotFoundError
from inseam.run.examples import ExampleResult
from inseam.run.workspace import open as open_workspace
from inseam.surface.cli.main import app

DEFINITIONS = """
from inseam import *

customer = Entity("customer", key="customer_id")
orders = Source("orders", "data/orders/*.csv", timestamp="ordered_at")
paid = Transform("paid", orders, sql="SELECT *, amount * pieces AS total FROM orders WHERE is_paid")
spend = FeatureView("spend", paid, customer, every="1d", lag="1h", features={
    "orders_30d": count(over="30d"), "spend_30d": sum("total", over="30d"), "newest": last("ordered_at"),
})

@on_demand(spend)
def ratio(spend_30d: float, basket: float) -> float:
    return basket / (spend_30d + 1)

will_lapse = TrainingSet("will_lapse", spine=snapshots(customer, every="7d", rows=orders), features=[spend],
                         label=Label(count(orders) == 0, ahead="30d"))
will_pay = TrainingSet("will_pay", spine=rows(orders, customer, columns=["basket", "is_paid"]),
                       features=["basket", ratio], label=Label(column="is_paid"))

GIVEN = [
    {"customer_id": 7, "ordered_at": "2024-04-20", "amount": 2.5, "pieces": 2, "is_paid": True},
    {"customer_id": 7, "ordered_at": "2024-04-21", "amount": 9, "pieces": 1, "is_paid": False},
    {"customer_id": 7, "ordered_at": "2024-05-10", "amount": 1, "pieces": 1, "is_paid": True, "basket": 3.0},
]
"""


def run(root: Path, cases: str, *names: str) -> tuple[ExampleResult, ...]:
    (root / "inseam.toml").write_text('[project]\nname = "shop"\n')
    (root / "shop.py").write_text(DEFINITIONS + cases)
    with open_workspace(root) as workspace:
        return workspace.test(*names)


def found(result: ExampleResult) -> dict[str, tuple[object, object]]:
    return {d.column: (d.expected, d.found) for d in result.differences}


def test_values_are_those_of_the_definition(tmp_path: Path) -> None:
    results = run(
        tmp_path,
        """
Example(spend, given=GIVEN, at="2024-05-01T01:00:00Z",
        expect={"orders_30d": 1, "spend_30d": 5.0, "newest": "2024-04-20"})
Example(spend, given=GIVEN, at="2024-05-11", expect={"orders_30d": 1, "spend_30d": 5.0})
Example(spend, given=GIVEN, at="2024-05-11T01:00:00Z", expect={"orders_30d": 2, "spend_30d": 6.0})
Example(spend, at="2024-05-01", entity=8, expect={"orders_30d": 0, "spend_30d": None, "newest": None})
Example(paid, given=GIVEN, expect=[{"total": 5.0}, {"total": 1.0, "customer_id": 7}])
Example(ratio, given={"spend_30d": 1.0, "basket": 4}, expect=2.0)
Example(ratio, given={"spend_30d": None, "basket": 4}, expect=None)
Example(will_lapse, given=GIVEN, at="2024-05-12", expect={"label": True, "orders_30d": 2})
Example(will_lapse, given={"orders": GIVEN}, at="2024-05-10", entity={"customer_id": 7}, expect={"label": False})
Example(will_pay, given=GIVEN, at="2024-05-12", carried={"basket": 14.0, "is_paid": True},
        expect={"ratio": 2.0, "label": True})
""",
    )
    assert [r.title for r in results if not r.is_passed] == []
    assert len(results) == 10


def test_a_late_row_counts_when_it_is_known(tmp_path: Path) -> None:
    results = run(
        tmp_path,
        """
LATE = [{**GIVEN[0], "_ingested_at": "2024-04-25T00:30:00Z"}]
Example(spend, given=LATE, at="2024-04-24T12:00:00Z", expect={"orders_30d": 0})
Example(spend, given=LATE, at="2024-04-25T12:00:00Z", expect={"orders_30d": 1})
""",
    )
    assert [r.is_passed for r in results] == [True, True]


def test_a_failure_says_what_was_expected_found_and_where(tmp_path: Path) -> None:
    wrong, fewer = run(
        tmp_path,
        """
Example(spend, given=GIVEN, at="2024-05-01T01:00:00Z",
        expect={"orders_30d": 2, "spend_30d": None, "newest": "2024-04-20"})
Example(paid, given=GIVEN, expect=[{"total": 5.5}])
""",
    )
    assert found(wrong) == {"orders_30d": (2, 1), "spend_30d": (None, 5.0)}
    assert found(fewer) == {"(rows)": (1, 2), "total": (5.5, 5.0)}
    assert wrong.place is not None
    assert Path(wrong.place.file).name == "shop.py"
    assert (tmp_path / "shop.py").read_text().splitlines()[wrong.place.line - 1].startswith("Example(spend")


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ('Example(will_pay, entity=7, at="2024-05-12", expect={"ratio": 1.0})', "reads column 'basket'"),
        ('Example(spend, given=GIVEN, expect={"orders_30d": 1})', "does not say when it reads"),
        ('Example(spend, given=GIVEN, at="2024-05-01", expect={"orders_31d": 1})', "did you mean 'orders_30d'?"),
        ('Example(spend, at="2024-05-01", expect={"orders_30d": 0})', "whose values it reads"),
        ('Example(spend, given=GIVEN, at="2024-05-01", expect={"newest": 0})', "a timestamp, or None"),
        ('Example(spend, given=GIVEN, at="2024-05-01", expect={"orders_30d": "one"})', "a int64, or None"),
        ('Example(ratio, given={"basket": 4}, expect=2.0)', "'spend_30d' is not given"),
        ('Example(will_lapse, given={"order": []}, at="2024-05-01", expect={"label": True})', "did you mean 'orders'?"),
    ],
)
def test_a_wrong_example_is_told_how_to_be_mended(tmp_path: Path, case: str, said: str) -> None:
    *_, result = run(tmp_path, f"Example(paid, given=GIVEN[:2], expect=[{{}}])\n{case}\n")
    assert not result.is_passed
    assert said in "\n".join(str(problem) for problem in result.problems)


def test_examples_change_no_fingerprint_and_touch_no_table(tmp_path: Path) -> None:
    (tmp_path / "inseam.toml").write_text('[project]\nname = "shop"\n')
    (tmp_path / "shop.py").write_text(DEFINITIONS.replace('"data/orders/*.csv"', '"shop.csv"'))
    (tmp_path / "shop.csv").write_text(
        "customer_id,ordered_at,amount,pieces,is_paid,basket\n1,2024-01-01,1.5,1,true,1.5\n"
    )
    with open_workspace(tmp_path) as workspace:
        workspace.ingest(is_history=True)
        before, tables = workspace.plan().fingerprint, workspace.context.tables.list()
    with (tmp_path / "shop.py").open("a") as file:
        file.write('Example(spend, given=GIVEN, at="2024-05-01T01:00:00Z", expect={"orders_30d": 1})\n')
    with open_workspace(tmp_path) as workspace:
        assert [r.is_passed for r in workspace.test()] == [True]
        assert workspace.plan().fingerprint == before
        assert workspace.context.tables.list() == tables
        assert workspace.context.tables.snapshot("sources/orders").rows == 1


def test_names_choose_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    cases = """
Example(spend, name="one order", given=GIVEN, at="2024-05-01T01:00:00Z", expect={"orders_30d": 1})
Example(paid, given=GIVEN, expect=[{}, {}])
"""
    for name, title in (("one order", "one order"), ("paid", "paid"), ("feature_view:spend", "one order")):
        assert [r.title for r in run(tmp_path, cases, name)] == [title]
    with pytest.raises(NotFoundError, match="did you mean 'one order'"):
        run(tmp_path, cases, "one oder")


def test_the_command_line_exits_with_1_for_a_failure(tmp_path: Path) -> None:
    run(tmp_path, "\n")
    assert "no examples" in CliRunner().invoke(app, ["test", "-p", str(tmp_path)]).output
    run(tmp_path, 'Example(ratio, given={"spend_30d": 1.0, "basket": 4}, expect=3.0)\n')
    shown = CliRunner().invoke(app, ["test", "-p", str(tmp_path)])
    assert shown.exit_code == 1
    assert "0 of 1 examples passed" in shown.output
    told = CliRunner().invoke(app, ["test", "-p", str(tmp_path), "--json"])
    (example,) = json.loads(told.output)["examples"]
    assert example["differences"] == [{"column": "ratio", "expected": 3.0, "found": 2.0, "row": 0}]


def test_pytest_runs_them_as_tests(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
Example(ratio, given={"spend_30d": 1.0, "basket": 4}, expect=2.0)
Example(ratio, name="wrong", given={"spend_30d": 1.0, "basket": 4}, expect=3.0)
""",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "inseam.testing.plugin", "-p", "no:cacheprovider", "inseam.toml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "1 failed, 1 passed" in done.stdout
    assert "expected 3.0, found 2.0" in done.stdout
    assert "shop.py" in done.stdout
