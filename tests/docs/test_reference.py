"""The committed reference is what the code says now, and nothing public is missing from it or without an example."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import inseam
from inseam.kernel import errors
from inseam.kernel.errors import InseamError
from inseam.ports.discover import GROUPS, available
from inseam.run.settings import Settings
from inseam.stages.serve.settings import ServeSettings
from inseam.surface.cli.main import app

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "inseam"
REFERENCE = ROOT / "docs" / "reference"
EXAMPLES = ("inseam.kernel", "inseam.ir", "inseam.define", "inseam.run")
VERBS = sorted(str(command.name) for command in app.registered_commands)


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def documented_modules() -> list[str]:
    """Modules with examples in docstrings."""
    found = []
    for package in EXAMPLES:
        path = importlib.import_module(package).__path__
        for info in pkgutil.iter_modules(path, f"{package}."):
            if ">>> " in Path(PACKAGE.parent, *info.name.split(".")).with_suffix(".py").read_text(encoding="utf-8"):
                found.append(info.name)
    return found


def run_examples(docstring: str, names: dict[str, object], title: str) -> None:
    told: list[str] = []
    test = doctest.DocTestParser().get_doctest(docstring, dict(names), title, None, 0)
    result = doctest.DocTestRunner(verbose=False).run(test, out=told.append)
    assert result.attempted > 0, f"{title} has no example"
    assert result.failed == 0, "".join(told)


def test_the_committed_reference_is_what_the_code_says(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "reference", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

    committed = {path.name: path.read_text(encoding="utf-8") for path in REFERENCE.iterdir()}
    made = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    stale = sorted(name for name in committed.keys() | made.keys() if committed.get(name) != made.get(name))
    assert stale == [], "run `python tools/reference`"


@pytest.mark.parametrize("name", inseam.__all__)
def test_a_public_name_is_listed_and_its_example_runs(name: str) -> None:
    thing = getattr(inseam, name)
    docstring = thing.__doc__ or ""

    assert f"### {name}\n" in page("python.md")
    assert inspect.cleandoc(docstring).splitlines()[0].strip(), "it says what it is"
    run_examples(docstring, {each: getattr(inseam, each) for each in inseam.__all__}, name)


@pytest.mark.parametrize("module", documented_modules())
def test_examples_in_docstrings_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module), raise_on_error=False)

    assert result.attempted > 0
    assert result.failed == 0


def test_every_verb_of_the_workspace_says_what_it_does() -> None:
    verbs = {key: thing for key, thing in vars(inseam.Workspace).items() if not key.startswith("_")}

    assert len(verbs) > 15
    assert [key for key, verb in verbs.items() if not verb.__doc__] == []


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_listed_with_an_example_of_itself(verb: str) -> None:
    (section,) = re.findall(rf"^## inseam {verb}\n(.*?)(?=^## |\Z)", page("cli.md"), flags=re.DOTALL | re.MULTILINE)

    assert re.search(rf"^Example: `inseam {verb}\b", section, flags=re.MULTILINE)


def test_every_setting_is_listed_with_its_variable() -> None:
    text = page("settings.md")
    apart = {"root", "project", "definitions", "environment", "serve"}
    names = {field.name for field in dataclasses.fields(Settings)} - apart
    never_in_a_file = {"tokens", "is_open_allowed"}
    names |= {f"serve_{field.name}" for field in dataclasses.fields(ServeSettings) if field.name not in never_in_a_file}

    rows = {f"| `{name.removeprefix('serve_')}` | `INSEAM_{name.upper()}` |": name for name in names}
    assert [name for row, name in rows.items() if row not in text] == []
    variables = {name for path in PACKAGE.rglob("*.py") for name in re.findall(r'"(INSEAM_[A-Z_]+)"', path.read_text())}
    assert {"INSEAM_ENVIRONMENT", "INSEAM_SERVE_TOKENS"} <= variables
    assert [name for name in variables if name not in text] == []
    assert [
        line for line in text.splitlines() if line.startswith("| `") and "INSEAM_" in line and line[-4:] == "|  |"
    ] == []


def test_every_kind_of_error_and_every_problem_code_is_listed() -> None:
    text = page("errors.md")
    kinds = [thing for thing in vars(errors).values() if isinstance(thing, type) and issubclass(thing, InseamError)]

    assert len(kinds) > 5
    assert [kind for kind in kinds if f"| `{kind.code}` | {kind.exit_code} | `{kind.__name__}` | " not in text] == []
    assert len({kind.exit_code for kind in kinds}) == len({kind.code for kind in kinds}) == len(kinds)
    codes = {code for folder in ("define", "plan", "stages/serve") for code in problem_codes(PACKAGE / folder)}
    assert len(codes) > 60
    assert sorted(code for code in codes if f"| `{code}` |" not in text) == []


def problem_codes(folder: Path) -> set[str]:
    """Texts that are given first to a call named ``Problem`` or ``problem``."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("Problem", ".problem")) and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found.add(first.value)
    return found


def test_every_port_its_methods_and_its_adapters_are_listed() -> None:
    text = page("ports.md")
    for kind in GROUPS:
        assert f"`inseam.{kind}`" in text
        assert [point.value for point in available(kind).values() if f"`{point.value}`" not in text] == []
        tree = ast.parse((PACKAGE / "ports" / f"{kind}.py").read_text(encoding="utf-8"))
        protocols = [node for node in tree.body if isinstance(node, ast.ClassDef) and "Protocol" in ast.unparse(node)]
        methods = [item for one in protocols for item in one.body if isinstance(item, ast.FunctionDef)]
        assert methods
        assert [method.name for method in methods if not re.search(rf"^{method.name}[(:]", text, re.MULTILINE)] == []


def test_every_route_that_the_server_answers_is_listed() -> None:
    text = page("http.md")
    source = "".join((PACKAGE / "stages" / "serve" / f"{name}.py").read_text() for name in ("app", "openapi"))
    routes = {*re.findall(r'@app\.get\("([^"]+)"', source), *re.findall(r'paths\["([^"]+)"\] = ', source)}

    assert {"/health", "/outcomes"} <= routes
    assert [route for route in routes if f" {route}`" not in text] == []
    assert "POST /endpoints/lapse/predict" in text


def test_messages_name_verbs_that_exist() -> None:
    named = {
        (verb, path.name)
        for path in PACKAGE.rglob("*.py")
        for verb in re.findall(r"`inseam ([a-z_]+)\b", path.read_text(encoding="utf-8"))
    }

    assert named
    assert sorted((verb, name) for verb, name in named if verb not in VERBS) == []
