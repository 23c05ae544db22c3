"""The project that `inseam init` writes is right, whole and small."""

import ast
import sys
from pathlib import Path

import pyarrow.csv as csv
import pytest

from inseam.define.endpoint import Endpoint
from inseam.define.project import Project, load
from inseam.kernel import clock
from inseam.kernel.errors import DefinitionError, RefusedError
from inseam.kernel.types import Schema
from inseam.plan import lower
from inseam.plan.check import check
from inseam.plan.schemas import find_schemas
from inseam.run.settings import find_root, read_settings
from inseam.surface.init.project import create

TODAY = clock.parse_instant("2026-03-01")
HELD = {
    "orders": Schema.of(
        [
            ("order_id", "int64"),
            ("customer_id", "int64"),
            ("ordered_at", "timestamp"),
            ("discount", "float64"),
            ("amount", "float64"),
            ("payment", "string"),
        ]
    ),
    "visits": Schema.of(
        [("customer_id", "int64"), ("started_at", "timestamp"), ("pages", "int64"), ("device", "string")]
    ),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made") / "corner_shop"
    with clock.frozen_at(TODAY):
        create(directory, "corner_shop")
    return directory


@pytest.fixture(scope="module")
def project(made: Path) -> Project:
    path = list(sys.path)
    settings = read_settings(find_root(made / "corner_shop"), variables={})
    loaded = load(settings.project, settings.definitions, settings.root)
    sys.path[:] = path
    return loaded


def test_its_definitions_have_no_mistake_before_and_after_the_first_load(project: Project):
    assert check(project, find_schemas(project, {}, None)) == []
    assert check(project, find_schemas(project, HELD, None)) == []


def test_every_kind_is_shown_and_an_endpoint_asks_for_the_key_alone(project: Project, made: Path):
    kinds = [item.KIND for item in project.declarations]
    assert set(kinds) == {"entity", "source", "feature_view", "on_demand", "training_set", "model", "endpoint"}
    assert kinds.count("source") == 2
    schemas = find_schemas(project, HELD, None)
    endpoint = project.get(Endpoint, "lapse")
    training_set = lower.training_set_spec(endpoint.model.training_set, schemas, made, lambda path: pytest.fail())
    spec = lower.endpoint_spec(endpoint, training_set, schemas)
    assert [key.name for key in spec.keys] == ["customer_id"]
    assert spec.inputs == ()


def test_it_is_short(made: Path):
    text = (made / "corner_shop" / "definitions.py").read_text()
    ast.parse(text)
    assert len(text.splitlines()) < 60
    assert max(map(len, text.splitlines())) <= 120


def test_its_data_has_the_columns_and_ends_yesterday(made: Path):
    visits = csv.read_csv(made / "data" / "visits.csv")
    assert set(HELD["visits"].names) <= set(visits.column_names)
    instants = visits["started_at"].to_pylist()
    assert clock.to_datetime(TODAY - 3 * clock.DAY) < max(instants) < clock.to_datetime(TODAY)
    header = (made / "data" / "orders.csv").read_text().partition("\n")[0].split(",")
    assert set(HELD["orders"].names) <= set(header)
    assert (made / "data" / "orders.csv").read_text().count("order_id") == 1
    assert sum(path.stat().st_size for path in (made / "data").iterdir()) < 2_000_000


def test_the_readme_names_the_project_and_a_customer_that_exists(made: Path):
    readme = (made / "README.md").read_text()
    assert "corner_shop/definitions.py" in readme
    assert "$ inseam ingest" in readme
    customer = readme.partition('"customer_id": ')[2].partition("}")[0]
    assert f",{customer}," in (made / "data" / "orders.csv").read_text()
    assert ".inseam/" in (made / ".gitignore").read_text()


def test_a_directory_that_holds_anything_is_left_alone(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RefusedError, match="not empty"):
        create(tmp_path, "corner_shop")
    with pytest.raises(RefusedError, match="not empty"):
        create(tmp_path / "notes.txt", "corner_shop")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("My-Shop", "inseam init my_shop"),
        ("1shop", ""),
        ("", ""),
        ("class", "inseam init my_class"),
        ("json", "inseam init my_json"),
        ("numpy", "inseam init my_numpy"),
        ("inseam", "inseam init my_inseam"),
    ],
)
def test_names_that_no_package_can_have_are_refused(tmp_path: Path, name: str, mend: str):
    with pytest.raises(DefinitionError) as caught:
        create(tmp_path / "new", name)
    assert caught.value.problems[0].mend == mend
    assert not (tmp_path / "new").exists()
