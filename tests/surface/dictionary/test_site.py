"""The data dictionary: whole, without a dead link, without the network, and safe from what users write."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from inseam.ir.histogram import Bar
from inseam.surface.cli.main import app
from inseam.surface.dictionary.bars import figure, sparkline
from inseam.surface.dictionary.graph import GraphNode, lineage_svg

DEFINITIONS = """
from inseam import *

customer = Entity("customer", key="customer_id")
orders = Source("orders", "data/*.csv", timestamp="at", owner="<b>growth</b>",
                schema={"customer_id": "int64", "at": "timestamp", "amount": "float64"})
spend = FeatureView("spend", orders, customer, every="1d", tags=["core"],
                    description="</script><script>alert(1)</script>",
                    features={"n_30d": count(over="30d").about(deprecated="use n_90d"), "n_90d": count(over="90d")})

@on_demand(spend)
def pace(n_30d: float) -> float:
    return n_30d / 30

lapse = TrainingSet("lapse", spine=snapshots(customer, every="7d"), features=[spend, pace],
                    label=Label(count(orders) == 0, ahead="60d"))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dictionary")
    (root / "inseam.toml").write_text('[project]\nname = "dictionary_shop"\n')
    (root / "dictionary_shop.py").write_text(DEFINITIONS)
    done = CliRunner().invoke(app, ["docs", "-p", str(root), "--out", str(root / "site"), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["pages"] == 8
    return root / "site"


class Page(HTMLParser):
    """Addresses, ids and text of a page; tags must close in order."""

    VOID = ("meta", "link", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self.scripts = 0
        self.open: list[str] = []
        self.words = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.addresses += [value for name in ("href", "src") if (value := given.get(name))]
        self.ids |= {value for value in (given.get("id"),) if value}
        self.scripts += tag == "script"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value for name, value in attrs if name in ("href", "src") and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def pages(site: Path) -> dict[str, Page]:
    return {path.name: Page(path.read_text()) for path in site.glob("*.html")}


def test_no_link_is_dead_and_none_leaves_the_site(site: Path) -> None:
    read = pages(site)
    for name, page in read.items():
        for address in page.addresses:
            file, _, anchor = address.partition("#")
            assert (site / (file or name)).is_file(), address
            assert not anchor or anchor in read[file or name].ids, address


def test_there_is_a_page_for_everything_with_what_is_known(site: Path) -> None:
    read = pages(site)
    assert set(read) == {
        "index.html",
        "entity-customer.html",
        "source-orders.html",
        "feature_view-spend.html",
        "feature-spend.n_30d.html",
        "feature-spend.n_90d.html",
        "on_demand-pace.html",
        "training_set-lapse.html",
    }
    assert "Deprecated: use n_90d" in read["feature-spend.n_30d.html"].words
    assert "on_demand-pace.html" in read["feature-spend.n_30d.html"].addresses
    assert "on_demand-pace.html" not in read["feature-spend.n_90d.html"].addresses
    assert "how many rows in the last 90d, of orders" in read["feature-spend.n_90d.html"].words


def test_what_users_write_is_text(site: Path) -> None:
    assert {page.scripts for page in pages(site).values()} == {2}
    assert "<b>growth</b>" in Page((site / "source-orders.html").read_text()).words
    assert "</script>" not in (site / "dictionary.js").read_text()


def test_the_search_index_names_each_page(site: Path) -> None:
    text = (site / "dictionary.js").read_text()
    entries = json.loads(text.removeprefix("const ENTRIES = ").rstrip(";\n"))
    assert {entry["page"] for entry in entries} == {name for name in pages(site) if name != "index.html"}


def test_a_directory_with_anything_else_is_left_alone(site: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    done = CliRunner().invoke(app, ["docs", "-p", str(site.parent), "--out", str(tmp_path)])
    assert done.exit_code == 6
    again = CliRunner().invoke(app, ["docs", "-p", str(site.parent), "--out", str(site)])
    assert again.exit_code == 0


def test_a_lineage_graph_goes_from_left_to_right() -> None:
    nodes = [
        GraphNode("a:1", ()),
        GraphNode("b:2", ("a:1",)),
        GraphNode("c:3", ("a:1", "b:2", "z:9")),
        GraphNode("a:4", ()),
    ]
    svg = lineage_svg(nodes, lambda ref: f"{ref}.html", "b:2")
    root = ElementTree.fromstring(svg)
    x = {a.get("href"): float(a.find("rect").get("x")) for a in root.iter("a")}  # type: ignore[union-attr,arg-type]
    assert x["a:1.html"] == x["a:4.html"] < x["b:2.html"] < x["c:3.html"]
    assert len(list(root.iter("path"))) == 2
    assert len(re.findall("current", svg)) == 1
    assert lineage_svg([], str) == ""


def test_bars_are_as_tall_as_their_share() -> None:
    bars = (Bar("0 to <1", 0.25), Bar("1 to 2", 0.75))
    low, high = (float(rect.get("height") or 0) for rect in ElementTree.fromstring(sparkline(bars)).iter("rect"))
    assert low * 3 == pytest.approx(high, abs=0.02)
    assert "75%" in "".join(ElementTree.fromstring(figure(bars)).itertext())
    assert sparkline(()) == figure(()) == ""
