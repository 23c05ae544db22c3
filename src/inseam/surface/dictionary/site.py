"""Writes the data dictionary: a page for each declared thing, which needs no network and no server."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from inseam.define.project import Project
from inseam.kernel import clock
from inseam.kernel.errors import RefusedError
from inseam.plan.catalogue import FEATURE
from inseam.run.context import Context
from inseam.run.describe import Describer, Description
from inseam.surface.dictionary.bars import figure, sparkline
from inseam.surface.dictionary.graph import GraphNode, lineage_svg

MARK = "dictionary.js"
"""The search index; a directory that has it was written by this module, and is written again."""
KINDS = {
    "source": "Sources",
    "transform": "Transforms",
    "entity": "Entities",
    "feature_view": "Feature views",
    "feature": "Features",
    "on_demand": "On-demand features",
    "training_set": "Training sets",
    "model": "Models",
    "endpoint": "Endpoints",
}


def write_site(context: Context, out: Path) -> Path:
    """Write all pages below ``out`` and give the first one; pages of what is declared no more go.

    `RefusedError` for a directory that holds anything else.
    """
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise RefusedError(str(out), "the directory holds something else", mend="give an empty directory: --out DIR")
    describer = Describer(context)
    described = [describer.describe(entry.ref) for entry in describer.entries]
    pages = _pages(context.project, described, context.settings.environment)
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.html"):
        old.unlink()
    for name, text in pages.items():
        (out / name).write_text(text, encoding="utf-8")
    return out / "index.html"


def page_of(ref: str) -> str:
    """The file of a thing's page."""
    return f"{ref.replace(':', '-', 1)}.html"


def _pages(project: Project, described: list[Description], environment: str) -> dict[str, str]:
    templates = _templates()
    nodes = [GraphNode(str(i.ref), tuple(str(p.ref) for p in i.upstream())) for i in project.declarations]
    shared = {
        "project": project.name,
        "environment": environment,
        "kinds": KINDS,
        "made_at": clock.format_instant(clock.now())[:16].replace("T", " "),
    }
    by_ref = {one.entry.ref: one for one in described}
    pages = {
        "index.html": templates.get_template("index.html.j2").render(
            **shared,
            groups={kind: [one for one in described if one.entry.kind == kind] for kind in KINDS},
            lineage=lineage_svg(nodes, page_of),
        )
    }
    for one in described:
        pages[page_of(one.entry.ref)] = templates.get_template("thing.html.j2").render(
            **shared,
            one=one,
            entry=one.entry,
            features=[by_ref[ref] for ref in one.features],
            lineage=_around(one, nodes),
        )
    index = [
        {
            "page": page_of(one.entry.ref),
            "kind": KINDS.get(one.entry.kind, one.entry.kind),
            "name": one.entry.ref.partition(":")[2],
            "what": one.entry.description or one.entry.definition,
            "more": " ".join((one.entry.owner, *one.entry.tags, *one.entry.columns, one.entry.definition)),
        }
        for one in described
    ]
    # Of a string in HTML's script nothing can end the script.
    text = json.dumps(index, ensure_ascii=False).replace("<", "\\u003c")
    return pages | {MARK: f"const ENTRIES = {text};\n"} | {name: _asset(name) for name in ("style.css", "search.js")}


def _around(one: Description, nodes: list[GraphNode]) -> str:
    """The lineage of one thing: what it is made from and what is made from it. A feature stands behind its view."""
    ref = one.entry.ref
    chosen = {ref, *one.uses, *one.used_by}
    if one.entry.kind != FEATURE:
        return lineage_svg([node for node in nodes if node.ref in chosen], page_of, ref)
    view = one.uses[0]
    found = []
    for node in nodes:
        if node.ref in chosen:
            parents = tuple(ref if p == view and node.ref in one.used_by else p for p in node.parents)
            found.append(GraphNode(node.ref, parents))
    return lineage_svg([*found, GraphNode(ref, (view,))], page_of, ref)


def _asset(name: str) -> str:
    return files(__package__).joinpath("templates", name).read_text(encoding="utf-8")


def _templates() -> Any:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    made = Environment(
        loader=FunctionLoader(_asset), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {"page": page_of, "shown": _shown, "age": _age}
    made.globals |= {"sparkline": sparkline, "figure": figure}
    return made


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _age(seconds: float) -> str:
    """How long ago, in the greatest unit of which there is at least two."""
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:,.0f} seconds"
