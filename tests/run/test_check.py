"""Checking a project with what its environment knows: the engine's functions, the files that are there."""

from pathlib import Path

import pytest

from inseam.kernel.errors import DefinitionError, Problem
from inseam.run.settings import Settings
from inseam.run.workspace import Workspace

SHOP = """
from inseam import *
customer = Entity("customer", key="id")
orders = Source("orders", "orders.csv", timestamp="at", checks=["amount > 0"],
                schema={"id": "int64", "at": "timestamp", "amount": "float64", "store": "string"})
paid = Transform("paid", orders, sql="SELECT * FROM orders WHERE amount > 0")
spend = FeatureView("spend", orders, customer, every="1d", features={
    "n": count(over="30d", where="store = 'a'"),
})
asked = TrainingSet("asked", spine=table("asked.csv", customer, timestamp="asked_at"), features=[spend],
                    label=Label(count(paid, where="amount > 1") == 0, ahead="30d"))
"""


def problems_of(root: Path, *changes: tuple[str, str]) -> list[Problem]:
    text = SHOP
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    (root / "shop.py").write_text(text)
    (root / "asked.csv").write_text("id,asked_at\n1,2024-01-01T00:00:00Z\n")
    with Workspace(Settings(root, "shop", "shop")) as workspace:
        return workspace.check()


@pytest.mark.parametrize(
    ("before", "after", "code", "subject", "found", "mend"),
    [
        ("store = 'a'", "lowr(store) = 'a'", "expression-invalid", "feature_view:spend", "lowr", "lower"),
        ("store = 'a'", "year(store) = 5", "expression-invalid", "feature_view:spend", "year(VARCHAR)", ""),
        ("store = 'a'", "regexp_extract(store, 'a')", "type-clash", "feature_view:spend", "is a string", ""),
        ('["amount > 0"]', '["abss(amount) > 1"]', "expression-invalid", "source:orders", "abss", "abs"),
        ("amount > 1", "abss(1) = 1", "expression-invalid", "training_set:asked", "abss", "abs"),
        ("SELECT *", "SELECT *, abss(1) AS x", "definition", "transform:paid", "abss", "abs"),
        ("asked.csv", "asket.csv", "not-found", "training_set:asked", "asket.csv", "put the file there"),
        ('"asked_at")', '"askd_at")', "column-unknown", "training_set:asked", "askd_at", "asked_at"),
    ],
)
def test_what_only_the_engine_and_the_files_know_is_told_at_its_place(
    tmp_path: Path, before: str, after: str, code: str, subject: str, found: str, mend: str
):
    assert problems_of(tmp_path) == []
    (problem,) = problems_of(tmp_path, (before, after))
    assert (problem.code, problem.subject) == (code, subject)
    assert found in problem.found
    assert mend in problem.mend
    assert problem.expected
    assert problem.place is not None
    line = (tmp_path / "shop.py").read_text().splitlines()[problem.place.line - 1]
    assert after in line or subject.partition(":")[2] in line


def test_a_source_of_which_nothing_can_be_known_is_told_and_blocks_nothing_else(tmp_path: Path):
    lost = 'visits = Source("visits", "data/visits/*.csv", timestamp="at")\nasked ='
    (problem,) = problems_of(tmp_path, ("asked =", lost))
    assert (problem.code, problem.subject) == ("not-found", "source:visits")
    assert "data/visits/*.csv" in problem.found
    assert problem.place is not None
    with Workspace(Settings(tmp_path, "shop", "shop")) as workspace:
        assert workspace.plan().has_changes
    (tmp_path / "data" / "visits").mkdir(parents=True)
    (tmp_path / "data" / "visits" / "1.csv").write_text("at\n")
    assert problems_of(tmp_path, ("asked =", lost)) == []


def test_what_cannot_be_made_is_told_with_everything_else(tmp_path: Path):
    changes = (("every=", "evry="), ("store = 'a'", "stor = 'a'"), ("customer = ", "1 / 0\ncustomer = "))
    found = {problem.code for problem in problems_of(tmp_path, *changes)}
    assert found == {"definition", "parameter-unknown", "column-unknown"}
    with Workspace(Settings(tmp_path, "shop", "shop")) as workspace, pytest.raises(DefinitionError) as caught:
        workspace.lineage("orders")
    assert {problem.code for problem in caught.value.problems} == found
