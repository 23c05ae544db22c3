"""The package's own source, read as syntax: docstrings of fields and constants, calls that state a problem."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "src" / "inseam"


def modules(folder: str) -> Iterator[tuple[Path, ast.Module]]:
    """The modules of a folder in sorted order, with their paths relative to the package."""
    for path in sorted((PACKAGE / folder).rglob("*.py")):
        yield path.relative_to(PACKAGE), ast.parse(path.read_text(encoding="utf-8"))


def field_texts(path: str, name: str) -> dict[str, str]:
    """The docstrings that stand below the fields of a class."""
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
    (found,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    return dict(_documented(found.body))


def constant_texts(path: Path, tree: ast.Module) -> Iterator[tuple[str, object, str]]:
    """Module constants with a docstring: name, value, text."""
    texts = dict(_documented(tree.body))
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            for target in node.targets:
                if isinstance(target, ast.Name) and target.id in texts:
                    yield target.id, node.value.value, texts[target.id]


def _documented(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for node, following in pairwise(body):
        target = node.target if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [None])[0]
        text = following.value if isinstance(following, ast.Expr) else None
        if isinstance(target, ast.Name) and isinstance(text, ast.Constant) and isinstance(text.value, str):
            yield target.id, text.value
