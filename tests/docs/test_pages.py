"""What pages say of the tree is so: links, paths, tests that keep decisions, make targets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md"))])
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8"))

    for link in links:
        target, _, heading = link.partition("#")
        path = page.parent / target if target else page
        assert path.exists(), link
        if heading:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert heading in [re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings], link


@pytest.mark.parametrize("page", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_names_the_tests_that_keep_it(page: Path) -> None:
    _, found, keepers = page.read_text(encoding="utf-8").partition("\nKept by: ")
    paths = [path for path in re.findall(r"`([^`]+)`", keepers) if "/" in path]

    assert found and (paths or "`make" in keepers), "Kept by: `tests/...`"
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(path.stem[:3]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_modules_that_the_architecture_names_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:kernel|ir|define|ports|plan|stages|run|surface|adapters)/[\w/.]+)`", text)

    assert len(named) > 30
    assert [path for path in named if not (ROOT / "src" / "inseam" / path).exists()] == []


def test_the_architecture_names_every_room_and_adapter() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    package = ROOT / "src" / "inseam"
    rooms = [path.name for home in ("stages", "adapters") for path in (package / home).iterdir() if path.is_dir()]
    storeys = [path.name for path in package.iterdir() if path.is_dir()]

    assert [
        name for name in (*rooms, *storeys) if not name.startswith("__") and not re.search(rf"\b{name}\b", text)
    ] == []


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    told = re.findall(r"`make ([a-z-]+)`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))

    assert told
    assert [name for name in told if name not in targets] == []
