"""Loading a project: all its modules, all its mistakes, at the user's lines."""

import dataclasses
import inspect
import json
import sys
from pathlib import Path

import pytest

from inseam.define.aggregate import count
from inseam.define.entity import Entity
from inseam.define.feature_view import FeatureView
from inseam.define.on_demand import on_demand
from inseam.define.project import Project, load
from inseam.define.source import Source
from inseam.kernel.errors import NotFoundError, Problem

SOURCE = 'from inseam import *\norders = Source("orders", "o.csv", timestamp="at")\n'
VIEW = (
    'customer = Entity("customer", key="id")\n'
    'FeatureView("spend", orders, customer, every="1d", features={"n": count()})\n'
)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write a package's modules and load it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = tmp_path / "shop"
    folder.mkdir()

    def write(**modules: str) -> Project:
        (folder / "__init__.py").write_text(modules.pop("init", ""))
        for name, text in modules.items():
            (folder / f"{name}.py").write_text(text)
        return load("shop", "shop", tmp_path)

    yield write
    for name in [n for n in sys.modules if n.partition(".")[0] == "shop"]:
        monkeypatch.delitem(sys.modules, name)


def failure(package, **modules: str) -> Problem:
    return package(**modules).mistakes[0]


def test_all_modules_are_loaded_and_declarations_come_upstream_first(package):
    project = package(b_views="from .sources import orders\nfrom inseam import *\n" + VIEW, sources=SOURCE)
    assert [str(item.ref) for item in project.declarations] == [
        "source:orders",
        "entity:customer",
        "feature_view:spend",
    ]
    view = project.get(FeatureView, "spend")
    assert view.place is not None
    assert view.place.file.endswith("shop/b_views.py")
    assert view.place.line == 4
    assert view.features["n"].place == view.place


def test_an_edit_within_the_second_is_seen(package):
    text = SOURCE + VIEW
    assert package(views=text).get(FeatureView, "spend").every == "1d"
    assert package(views=text.replace('"1d"', '"2d"')).get(FeatureView, "spend").every == "2d"


def test_two_projects_with_packages_of_one_name_do_not_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "shop_twice.py").write_text(SOURCE.replace('"orders"', f'"orders_{number}"'))
    for number in (1, 2, 1):
        project = load("shop", "shop_twice", tmp_path / str(number))
        assert [source.name for source in project.all(Source)] == [f"orders_{number}"]


def test_no_bytecode_is_left_and_the_setting_is_put_back(package, tmp_path: Path):
    before = sys.dont_write_bytecode
    package(views=SOURCE)
    assert sys.dont_write_bytecode is before
    assert not list(tmp_path.rglob("*.pyc"))


@pytest.mark.parametrize(
    ("text", "line", "found", "mend"),
    [
        (SOURCE + "FeatureView('v', ordrs, 1, every='1d', features={})", 3, "'ordrs' is not defined", "'orders'"),
        (SOURCE + "import inseam\ninseam.FetureView", 4, "FetureView", "'FeatureView'"),
        ("from inseam import FetureView", 1, "FetureView", "'FeatureView'"),
        (SOURCE + "x = (", 3, "SyntaxError", "mend the module"),
        ("import module_that_is_not_there", 1, "module_that_is_not_there", "install or correct"),
        ("\n1 / 0", 2, "ZeroDivisionError", "mend the module"),
        ("import sys\nsys.exit(3)", 2, "SystemExit", "mend the module"),
        ("from .views import later\n", 1, "partially initialized module", ""),
        (SOURCE + VIEW.replace("orders, customer", '"orders", customer'), 4, "rows is 'orders'", ""),
        (SOURCE + VIEW.replace("orders, customer", "customer, orders"), 4, "rows is entity:customer", ""),
        (SOURCE + VIEW.replace("count()", "count(customer)"), 4, "count: rows is entity:customer", ""),
        (SOURCE + "@on_demand\ndef f(a: int) -> int:\n    return a", 3, "views is the function f", ""),
        (SOURCE + "snapshots('customer', every='1d')", 3, "entity is 'customer'", ""),
        (SOURCE + "rows(orders, 'customer')", 3, "entities[0] is 'customer'", ""),
        (SOURCE + "Label(3 == 3, ahead='60d')", 3, "value is True", ""),
        (SOURCE + "@model('m', orders, metric='rmse')\ndef f(d, p): ...", 3, "training_set is source:orders", ""),
        (SOURCE + "\nEndpoint('e', orders)", 4, "model is source:orders", ""),
        (SOURCE + "check('a > 0', severity='fatal')", 3, "severity is 'fatal'", ""),
        (SOURCE + "fresh('soon')", 3, "no duration", ""),
        (SOURCE + "unique()", 3, "no column", ""),
        (SOURCE + "Source('a', 'b.csv', timestamp='at', checks=[5])", 3, "checks[0] is 5", ""),
        (SOURCE + "sum(orders)", 3, "column is source:orders", ""),
        (SOURCE + "if count(orders) == 0:\n    pass", 3, "true or false", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_loaded_says_where_and_how_to_mend_it(package, text: str, line: int, found: str, mend: str):
    problem = failure(package, views=text)
    assert found in problem.found
    assert mend in problem.mend
    assert problem.place is not None
    assert problem.place.file.endswith("shop/views.py")
    assert problem.place.line == line


def test_a_module_that_fails_does_not_hide_the_others_mistakes(package):
    project = package(
        a="1 / 0\n",
        b="from .a import nothing\n",
        c="import inseam\ninseam.Entity('Bad Name', key='id')\n",
        d="nowhere\n",
    )
    found = [problem.found for problem in project.mistakes]
    assert len([text for text in found if "ZeroDivisionError" in text]) == 1
    assert any("nothing" in text for text in found)
    assert any("nowhere" in text for text in found)
    assert [item.name for item in project.declarations] == ["Bad Name"]


def test_a_statement_that_fails_hides_no_other_and_what_follows_from_it_is_not_told(package):
    view = "spend = FeatureView('spend', ordrs, customer, every='1d', features={})\n"
    project = package(
        sources="orders = Source(, timestamp='at')\n",
        views=SOURCE + "customer = Entity('customer', key='id')\n" + view + "spend['n']\n1 / 0\n" + VIEW,
        others="from inseam import Entity, Sorce, Source\nfrom .sources import orders as bought\n"
        "from .views import spend, customer\nfrom . import views\nviews.spent\nspend['n']\n"
        "other = Source('other', 'x.csv', timestamp=bought)\nEntity('store', key='id')\n",
    )
    assert sorted((p.place.file.rpartition("/")[2], p.place.line) for p in project.mistakes if p.place) == [
        ("others.py", 1),
        ("others.py", 5),
        ("sources.py", 1),
        ("views.py", 4),
        ("views.py", 6),
    ]
    assert {item.name for item in project.declarations} == {"orders", "customer", "store", "spend"}


@pytest.mark.parametrize(
    ("text", "subject", "found", "mend"),
    [
        (VIEW.replace("every", "evry"), "feature_view:spend", "FeatureView has no parameter 'evry'", "'every'"),
        (VIEW.replace("count()", "count(ovr='1d')"), "feature_view:spend", "count has no parameter 'ovr'", "'over'"),
        ("Source('a', 'b.csv', timstamp='at')", "source:a", "'timstamp'", "'timestamp'"),
        ("Entity(nme='store', key='id')", "entity:", "'nme'", "'name'"),
        ("snapshots(customer, evry='1d')", "snapshots", "'evry'", "'every'"),
        ("@on_demand(nam='x')\ndef f(a: int) -> int: ...", "on_demand:f", "'nam'", "'name'"),
        ("import inseam as i\ni.unique('id', severty='warn')", "unique", "'severty'", "'severity'"),
        ("Tune({}, trils=3)", "Tune", "'trils'", "'trials'"),
        ("Label(count(orders) == 0, ahed='1d')", "Label", "'ahed'", "'ahead'"),
        (VIEW.replace('every="1d", ', ""), "feature_view:spend", "'every'", ""),
        ("Entity()", "entity:", "'name'", ""),
        ("Entity('a', 'b', 'c', 'd')", "entity:a", "too many", ""),
        (VIEW.replace("orders, customer", "orders, rows=orders, entity=customer"), "feature_view:spend", "rows", ""),
    ],
)
def test_a_misspelt_or_missing_parameter_is_told_of_its_declaration(package, text, subject, found, mend):
    text = text if "customer = " in text else "customer = Entity('customer', key='id')\n" + text
    (problem,) = package(views=SOURCE + text).mistakes
    assert problem.subject.startswith(subject)
    assert found in problem.found
    assert mend in problem.mend
    assert problem.expected
    assert problem.place is not None
    assert problem.place.file.endswith("views.py")
    assert problem.place.line > 2


def test_a_declaration_is_made_as_if_its_misspelt_parameter_were_right(package):
    text = VIEW.replace("every", "evry").replace("count()", "count(over='36h', wher='a > 0', nonsense=5)")
    project = package(views=SOURCE + text)
    assert len(project.mistakes) == 3
    view = project.get(FeatureView, "spend")
    assert view.every == "1d"
    assert view.features["n"].where == "a > 0"
    assert [problem.code for problem in view.problems()] == ["window-not-multiple"]


def test_futures_and_docstrings_hold_as_in_any_module(package):
    package(views='"""What it is."""\nfrom __future__ import annotations\nx: nowhere = 1\ndef f(a: nowhere): ...\n')
    module = sys.modules["shop.views"]
    assert module.__doc__ == "What it is."
    assert module.__annotations__ == {"x": "nowhere"}
    assert inspect.getsource(module.f) == "def f(a: nowhere): ...\n"


def test_a_package_that_is_not_there_points_to_the_settings(tmp_path: Path):
    (problem,) = load("shop", "shop_that_is_not_there", tmp_path).mistakes
    assert "inseam.toml" in problem.mend


def test_references_cannot_make_a_cycle(package):
    """A reference is an object, which exists before what refers to it, and no declaration can be changed afterwards."""
    later = "from inseam import *\n@on_demand(second)\ndef first_(a: float) -> float: ...\nsecond = first_\n"
    assert "'second' is not defined" in failure(package, views=later).found
    circle = failure(package, views="from .other import b\na = 1\n", other="from .views import a\nb = 1\n")
    assert "partially initialized" in circle.found
    assert "third" in circle.mend
    assert circle.place is not None
    orders = Source("orders", "o.csv", timestamp="at")
    features = {"n": count()}
    view = FeatureView("spend", orders, Entity("customer", key="id"), every="1d", features=features)
    with pytest.raises(dataclasses.FrozenInstanceError):
        view.rows = orders
    with pytest.raises(TypeError):
        view.features["m"] = count()
    features["m"] = count()
    assert view.names == ("n",)


def test_on_demand_features_stand_on_each_other_in_order():
    @on_demand()
    def one(a: float) -> float:
        return a

    @on_demand(one)
    def two(one: float) -> float:
        return one

    assert Project.of("shop", [two]).declarations == (one, two)


def test_a_declaration_that_is_not_there_suggests_the_nearest(package):
    project = package(views=SOURCE)
    with pytest.raises(NotFoundError, match="'orders'"):
        project.get(Source, "order")


def test_meanings_are_plain_data(package):
    project = package(views=SOURCE + VIEW)
    for item in project.declarations:
        assert json.loads(json.dumps(item.meaning())) == item.meaning()
