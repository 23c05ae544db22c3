"""Settings: ``inseam.toml`` names environments; environment variables override; secrets come from nowhere else."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from inseam.kernel.errors import NotFoundError, Problem, SettingError
from inseam.kernel.names import did_you_mean, is_name
from inseam.run.consume_urls import consume_urls
from inseam.run.secret_url import ONLINE, refuse_password, with_password
from inseam.stages.serve.settings import ServeSettings, changed, from_variables

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
    engine_url: str = ""
    """Where it computes, for one that can work elsewhere: `spark://host:7077`, `sc://host:15002`; empty: here."""
    staging: str = ""
    """For such an engine, a directory or URL that it and this machine both see; empty: under ``home``."""
    tables: str = "delta"
    """The adapter that keeps tables."""
    tables_url: str = ""
    """Where tables lie in an object store: `s3://bucket/prefix`, `gs://...` or `az://...`; empty: under ``home``.
    Credentials and endpoint come from the environment, in each cloud's own variables."""
    artifacts_url: str = ""
    """Where models and training sets lie in an object store, as for ``tables_url``; empty: under ``home``."""
    ledger: str = ""
    """A database URL; empty: SQLite under ``home``."""
    online: str = "lmdb"
    """The adapter that keeps online rows."""
    online_url: str = field(default="", repr=False)
    """Where it is, for one that is a server. A password belongs into INSEAM_ONLINE_URL, or into the file that
    INSEAM_ONLINE_PASSWORD_FILE names."""
    tracking: str = ""
    """An MLflow URI; empty: SQLite under ``home``."""
    memory: str = "2GB"
    """The most memory that the engine may take for data."""
    threads: int = 0
    """Worker threads of the engine; 0: one a core."""
    compact_files: int = 64
    """So many small files of a table, side by side, are made one when a load has added to them; 0: only when
    `inseam compact` names the table."""
    consume: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By stream source, the URL at which its rows are published: the environment's tables ``consume.SOURCE``, each
    overridden by ``INSEAM_CONSUME_<SOURCE>_URL``, its password by ``INSEAM_CONSUME_<SOURCE>_PASSWORD_FILE``."""
    serve: ServeSettings = field(default_factory=ServeSettings)
    """The environment's table ``serve``: each can be overridden by ``INSEAM_SERVE_<NAME>``."""

    @property
    def directory(self) -> Path:
        return (self.root / self.home).resolve()

    @property
    def ledger_url(self) -> str:
        return self.ledger or f"sqlite:///{self.directory / 'ledger.db'}"

    @property
    def tracking_uri(self) -> str:
        return self.tracking or f"sqlite:///{self.directory / 'mlflow.db'}"


_ELSEWHERE = ("root", "project", "definitions", "environment", "consume", "serve")
_NUMBERS = {
    "threads": "a whole number, 0 for one a core",
    "compact_files": "a whole number, 0 for never by itself",
}
_CHOICES = tuple(one.name for one in fields(Settings) if one.name not in _ELSEWHERE)


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
    document = _document(path)
    project = _section(document, "project", path)
    _only_known(project, ("name", "definitions"), f"{path} [project]")
    name, definitions = project.get("name", root.name), project.get("definitions")
    if not isinstance(name, str) or not is_name(name):
        raise SettingError(str(path), f"project.name is {name!r}", expected="lower-case letters, digits and _")
    if definitions is not None and not isinstance(definitions, str):
        raise SettingError(str(path), f"project.definitions is {definitions!r}", expected="a package's name in quotes")
    environments = _section(document, "environments", path)
    chosen = environment or variables.get("INSEAM_ENVIRONMENT") or "default"
    if chosen != "default" and chosen not in environments:
        raise SettingError(
            f"environment {chosen}", f"{path} does not name it", mend=did_you_mean(chosen, {*environments, "default"})
        )
    values = dict(_section(environments, chosen, path))
    where = f"{path} [environments.{chosen}"
    served = _section(values, "serve", path)
    values.pop("serve", None)
    consumed = consume_urls(values.pop("consume", {}), variables, f"{where}.consume")
    refuse_password(values.get("online_url", ""), f"{where}]", ONLINE)
    for key in _CHOICES:
        override = variables.get(f"INSEAM_{key.upper()}")
        if override is not None:
            values[key] = override
    base = Settings(root=root, project=name, definitions=definitions or name, environment=chosen)
    serve = changed(changed(base.serve, served, f"{where}.serve]"), from_variables(variables), "INSEAM_SERVE_*")
    found = replace(base, consume=consumed, serve=serve, **_typed(values, f"{where}]"))
    _check_addresses(found, f"{where}]")
    return replace(found, online_url=with_password(found.online_url, variables, ONLINE))


def _check_addresses(found: Settings, where: str) -> None:
    """What has an address must be something that is reached by one."""
    if found.online_url and found.online == Settings.online:
        raise SettingError(
            where, f"online_url is set, and online is {found.online}: a directory", mend='online = "redis"'
        )
    if (found.engine_url or found.staging) and found.engine == Settings.engine:
        raise SettingError(
            where,
            f"engine_url or staging is set, and engine is {found.engine}, which computes here",
            mend='engine = "spark"',
        )


def _document(path: Path) -> Mapping[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(str(path), f"it is not valid TOML: {error}") from None
    except OSError as error:
        raise SettingError(str(path), f"it cannot be read: {error.strerror}") from None
    _only_known(document, ("project", "environments"), str(path))
    return document


def _section(values: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    """A table of the file, empty when it is not there."""
    found = values.get(name, {})
    if not isinstance(found, dict):
        raise SettingError(str(path), f"{name} is {found!r}", expected=f"a table: [{name}] and settings below it")
    return found


def _only_known(values: Mapping[str, Any], known: Collection[str], where: str) -> None:
    expected = f"one of {', '.join(known)}"
    unknown = [
        Problem(SettingError.code, where, f"there is no setting {name!r}", expected, did_you_mean(name, known))
        for name in values
        if name not in known
    ]
    if unknown:
        raise SettingError.of(unknown)


def _typed(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    _only_known(values, (*_CHOICES, "consume", "serve"), where)
    typed: dict[str, Any] = {}
    for key, value in values.items():
        if key in _NUMBERS:
            if not str(value).isdecimal():
                raise SettingError(where, f"{key} is {value!r}", expected=_NUMBERS[key])
            typed[key] = int(value)
        elif isinstance(value, str):
            typed[key] = value
        else:
            raise SettingError(where, f"{key} is {value!r}", expected="text in quotes")
    return typed
