"""Writes a new project: its settings, its definitions, and simulated data to run them on."""

from __future__ import annotations

import keyword
import sys
from collections.abc import Mapping
from datetime import timedelta
from importlib.metadata import packages_distributions
from importlib.resources import files
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory

from inseam.kernel import clock
from inseam.kernel.errors import DefinitionError, RefusedError
from inseam.kernel.names import is_name

DAYS = 540
SCALE = 0.02
"""About 400 customers and 8,000 order lines: a minute is enough to run everything."""


def create(directory: Path, name: str) -> list[Path]:
    """Write a project called ``name`` into ``directory``, made where missing; returns the files, in order.

    The data ends yesterday, so that what is served today has something to say. `DefinitionError` for a name that no
    package can have, `RefusedError` when the directory holds anything already.
    """
    _check_name(name)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise RefusedError(str(directory), "it exists and is not empty", mend="name another directory, or empty it")
    data = directory / "data"
    data.mkdir(parents=True, exist_ok=True)
    made = _write_data(data)
    values = {"name": name, "title": name.replace("_", " ").capitalize(), "customer": _some_customer(made[0])}
    return [*(_write(directory / path, template, values) for path, template in _layout(name).items()), *made]


def _check_name(name: str) -> None:
    expected = "lower-case letters, digits and _, a letter first, at most 63 characters"
    if not is_name(name):
        near = "".join(c if c.isalnum() and c.isascii() else "_" for c in name.lower()).strip("_")
        mend = f"inseam init {near}" if is_name(near) else ""
        raise DefinitionError(f"project {name!r}", "it cannot be a package's name", expected=expected, mend=mend)
    if keyword.iskeyword(name) or name in {"inseam", *sys.stdlib_module_names, *packages_distributions()}:
        raise DefinitionError(
            f"project {name!r}",
            "Python has a word or an installed package of this name",
            expected="a name of its own: the definitions are imported under it",
            mend=f"inseam init my_{name}",
        )


def _layout(name: str) -> dict[str, str]:
    return {
        "inseam.toml": "inseam.toml",
        f"{name}/__init__.py": "package.py",
        f"{name}/definitions.py": "definitions.py",
        "README.md": "README.md",
        ".gitignore": "gitignore",
    }


def _write(path: Path, template: str, values: Mapping[str, str]) -> Path:
    text = files("inseam.surface.init").joinpath("template", f"{template}.tmpl").read_text(encoding="utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(Template(text).substitute(values), encoding="utf-8")
    return path


def _write_data(data: Path) -> list[Path]:
    """A year and a half of orders and visits of a simulated shop, each in one file."""
    import pyarrow.csv as csv
    import pyarrow.dataset as dataset

    from inseam.testing.retail import simulate

    start = (clock.to_datetime(clock.now()) - timedelta(days=DAYS)).date()
    with TemporaryDirectory() as scratch:
        shop = simulate(Path(scratch), scale=SCALE, start=start, days=DAYS, shift_at=DAYS)
        orders = _join_lines(sorted(shop.orders.iterdir()), data / "orders.csv")
        visits = data / "visits.csv"
        months = [str(path) for path in sorted(shop.web_sessions.iterdir())]
        csv.write_csv(dataset.dataset(months).to_table(), visits)
    return [orders, visits]


def _join_lines(parts: list[Path], whole: Path) -> Path:
    """CSV files one after another under one header, byte for byte: broken lines stay broken."""
    with whole.open("wb") as out:
        for number, part in enumerate(parts):
            header, _, rest = part.read_bytes().partition(b"\n")
            out.write((b"" if number else header + b"\n") + rest)
    return whole


def _some_customer(orders: Path) -> str:
    """The customer of the last order line: one that is still there."""
    header, *_, last = orders.read_text(encoding="utf-8").splitlines()
    return last.split(",")[header.split(",").index("customer_id")] or "100001"
