"""`import inseam` costs nothing: no heavy library is loaded before something asks for it."""

import json
import pkgutil
import subprocess
import sys

import pytest

import inseam.define
import inseam.ir
import inseam.kernel
import inseam.plan

HEAVY = [
    "alembic",
    "deltalake",
    "duckdb",
    "fastapi",
    "ibis",
    "lightgbm",
    "lmdb",
    "matplotlib",
    "mlflow",
    "numba",
    "numpy",
    "optuna",
    "pandas",
    "pyarrow",
    "pydantic",
    "rich",
    "scipy",
    "sklearn",
    "sqlalchemy",
    "sqlglot",
    "starlette",
    "torch",
    "typer",
    "uvicorn",
    "xgboost",
]


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after running ``code``."""
    script = f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def modules_of(package) -> list[str]:
    return [f"{package.__name__}.{info.name}" for info in pkgutil.iter_modules(package.__path__)]


@pytest.mark.parametrize(
    "code",
    [
        "import inseam",
        "import inseam\nfor name in inseam.__all__:\n    'Workspace open'.split().count(name) or getattr(inseam, name)",
        "\n".join(f"import {name}" for name in modules_of(inseam.define)),
        "\n".join(f"import {name}" for name in modules_of(inseam.kernel)),
        "\n".join(f"import {name}" for name in modules_of(inseam.plan)),
        "import inseam.ports.discover, inseam.ports.engine, inseam.ports.tables, inseam.ports.ledger",
        "import inseam.run.settings",
        "import inseam.surface.init.project",
    ],
    ids=["inseam", "its names", "define", "kernel", "plan", "ports", "settings", "init"],
)
def test_nothing_heavy_is_loaded(code: str):
    assert sorted(loaded_by(code) & set(HEAVY)) == []


def test_the_command_line_loads_nothing_but_its_own_library():
    loaded = loaded_by("import inseam.surface.cli.main")
    assert sorted(loaded & {*HEAVY, "msgspec"}) == ["typer"]


def test_the_measure_sees_what_is_loaded():
    assert "numpy" in loaded_by("import numpy")


def test_every_name_that_users_write_exists_and_is_said_to_type_checkers():
    for name in inseam.__all__:
        assert getattr(inseam, name) is not None
    assert set(inseam.__all__) <= set(dir(inseam))
    with pytest.raises(AttributeError, match="no attribute 'FetureView'"):
        inseam.FetureView  # noqa: B018
