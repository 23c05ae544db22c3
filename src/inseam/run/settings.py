"""Settings: ``inseam.toml`` names environments; environment variables override; secrets come from nowhere else."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from inseam.kernel.errors import NotFoundError, SettingError
from inseam.kernel.names import did_you_mean, is_name

FILE = "inseam.toml"


@dataclass(frozen=True)
class Settings:
    """Where everything lives. Each setting can be overridden by ``INSEAM_<NAME>`` in the environment."""

    root: Path
    """The project's directory, which holds inseam.toml."""
    project: str
    """The project's name (``name`` in the file): lower-case letters, digits and _."""
    definitions: str
    """The package or module that declares things, importable from the project's directory."""
    environment: str = "default"
    home: str = ".inseam"
    """Everything that has no address of its own goes under this directory (relative to the project's)."""
    engine: str = "duckdb"
    """The adapter that computes."""
    tables: str = "delta"
    """The adapter that keeps tables."""
    ledger: str = ""
    """A database URL; empty: SQLite under ``home``."""
    online: str = "lmdb"
    """The adapter that keeps online rows."""
    tracking: str = ""
    """An MLflow URI; empty: SQLite under ``home``."""
    memory: str = "2GB"
    """The most memory that the engine may take for data."""
    threads: int = 0
    """Worker threads of the engine; 0: one a core."""

    @property
    def directory(self) -> Path:
        return (self.root / self.home).resolve()

    @property
    def ledger_url(self) -> str:
        return self.ledger or f"sqlite:///{self.directory / 'ledger.db'}"

    @property
    def tracking_uri(self) -> str:
        return self.tracking or f"sqlite:///{self.directory / 'mlflow.db'}"


_CHOICES = tuple(f.name for f in fields(Settings) if f.name not in ("root", "project", "definitions", "environment"))


def find_root(start: Path) -> Path:
    """The nearest directory at or above ``start`` with an inseam.toml."""
    for directory in (start.resolve(), *start.resolve().parents):
        if (directory / FILE).is_file():
            return directory
    raise NotFoundError(
        str(start),
        f"there is no {FILE} here or above",
        mend="run `inseam init NAME`, or give --project DIR",
    )


def read_settings(root: Path, environment: str | None = None, variables: Mapping[str, str] | None = None) -> Settings:
    """Settings of one environment of the project in ``root``; ``variables`` default to the process's own."""
    variables = os.environ if variables is None else variables
    path = root / FILE
    try:
        document = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise SettingError(str(path), f"it is not valid TOML: {error}") from None
    project = document.get("project", {})
    name = project.get("name", root.name)
    if not isinstance(name, str) or not is_name(name):
        raise SettingError(str(path), f"project.name is {name!r}", expected="lower-case letters, digits and _")
    environments = document.get("environments", {})
    chosen = environment or variables.get("INSEAM_ENVIRONMENT") or "default"
    if chosen != "default" and chosen not in environments:
        raise SettingError(
            f"environment {chosen}", f"{path} does not name it", mend=did_you_mean(chosen, {*environments, "default"})
        )
    values = dict(environments.get(chosen, {}))
    for key in _CHOICES:
        override = variables.get(f"INSEAM_{key.upper()}")
        if override is not None:
            values[key] = override
    base = Settings(root=root, project=name, definitions=project.get("definitions", name), environment=chosen)
    return replace(base, **_typed(values, f"{path} [environments.{chosen}]"))


def _typed(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    typed: dict[str, Any] = {}
    for key, value in values.items():
        if key not in _CHOICES:
            raise SettingError(where, f"there is no setting {key!r}", mend=did_you_mean(key, _CHOICES))
        if key == "threads":
            try:
                typed[key] = int(value)
            except (TypeError, ValueError):
                raise SettingError(where, f"threads is {value!r}", expected="a whole number") from None
        elif isinstance(value, str):
            typed[key] = value
        else:
            raise SettingError(where, f"{key} is {value!r}", expected="text in quotes")
    return typed
