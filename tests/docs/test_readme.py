"""The README's example is declared, checked against the columns that it needs, and found without a mistake."""

from __future__ import annotations

import re
from pathlib import Path

from inseam.define.declaration import collecting
from inseam.define.project import Project
from inseam.kernel.types import Schema
from inseam.plan.check import check
from inseam.plan.schemas import find_schemas

ROOT = Path(__file__).parents[2]
ORDERS = Schema.of([("customer_id", "int64"), ("ordered_at", "timestamp"), ("amount", "float64")])


def python_blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def test_the_example_has_no_mistakes(tmp_path: Path) -> None:
    (block,) = python_blocks((ROOT / "README.md").read_text())
    module = tmp_path / "example.py"
    module.write_text(block)
    with collecting() as declarations:
        # The block is written to a file because a function's meaning is read from its source.
        exec(compile(block, str(module), "exec"), {"__name__": "example"})
    project = Project.of("readme", declarations)

    assert check(project, find_schemas(project, {"orders": ORDERS}, None)) == []
    assert [str(item.ref) for item in project.declarations][-1] == "endpoint:lapse"


def test_the_commands_of_the_readme_exist() -> None:
    from inseam.surface.cli.main import app

    named = {command.name for command in app.registered_commands}
    told = set(re.findall(r"^\$ inseam (\w+)", (ROOT / "README.md").read_text(), flags=re.MULTILINE))

    assert told
    assert told <= named


def test_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / "README.md").read_text())

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
