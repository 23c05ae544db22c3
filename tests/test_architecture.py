"""The house's rules that a machine can hold: storeys, sizes, names."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "src" / "inseam").rglob("*.py"))
MOST_LINES = 400
MOST_FUNCTION_LINES = 60
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc"}


def test_imports_go_down_the_stairs_only():
    script = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, env=os.environ | {"NO_COLOR": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_is_too_long():
    sizes = {relative(path): len(path.read_text().splitlines()) for path in FILES}
    assert {name: size for name, size in sizes.items() if size > MOST_LINES} == {}
    ordered = sorted(sizes.values())
    assert ordered[len(ordered) // 2] <= 150


def test_no_function_is_longer_than_a_screen():
    long = {}
    # A migration lists a whole database once and is never changed again.
    for path in (path for path in FILES if "migrations" not in path.parts):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.body[0].lineno + 1
                if length > MOST_FUNCTION_LINES:
                    long[f"{relative(path)}:{node.lineno} {node.name}"] = length
    assert long == {}


def test_files_are_called_by_what_they_hold():
    parts = {part for path in FILES for part in path.relative_to(ROOT / "src").with_suffix("").parts}
    assert parts & FORBIDDEN_NAMES == set()


def test_every_module_says_what_it_is():
    silent = []
    # A verb of the command line is one function, and its docstring the help.
    for path in (path for path in FILES if "cli" not in path.parts):
        tree = ast.parse(path.read_text())
        if tree.body and ast.get_docstring(tree) is None:
            silent.append(relative(path))
    assert silent == []


@pytest.mark.parametrize("storey", ["stages", "plan", "define", "ir"])
def test_no_sql_statement_stands_in(storey: str):
    """Stages and what lies below speak in expressions; statements are an engine's."""
    found = []
    for path in (ROOT / "src" / "inseam" / storey).rglob("*.py"):
        tree = ast.parse(path.read_text())
        documented = {id(node.body[0].value) for node in ast.walk(tree) if _has_docstring(node)}
        for node in ast.walk(tree):
            is_text = isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented
            if is_text and node.value.lstrip().startswith(("SELECT ", "INSERT ", "UPDATE ", "CREATE TABLE", "COPY ")):
                found.append(f"{relative(path)}:{node.lineno}")
    assert found == []


def _has_docstring(node: ast.AST) -> bool:
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return isinstance(node, kinds) and bool(node.body) and isinstance(node.body[0], ast.Expr)
