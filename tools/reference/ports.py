"""Every port with its methods, and the adapters that are registered for it."""

from __future__ import annotations

import ast
import importlib
import inspect
import tomllib
from pathlib import Path
from typing import Any, Protocol

from markdown import code, prose, signature, table
from source import PACKAGE

from inseam.ports.discover import GROUPS
from inseam.ports.rows import Rows
from inseam.ports.wiping import Wiping

PORTS = {
    "engine": "Engine",
    "tables": "Tables",
    "ledger": "Ledger",
    "online": "OnlineStore",
    "tracker": "Tracker",
    "model_format": "ModelFormat",
    "stream_log": "StreamLog",
    "consumer": "Consumer",
}

BESIDE = {"engine": Rows, "online": Wiping, "stream_log": Wiping}
"""Protocols of a port that have a module of their own."""


def page() -> str:
    assert tuple(PORTS) == GROUPS, "a kind of adapter has no port in the reference"
    parts = [
        "What the outside must provide. An adapter is any class behind an entry point of the group `inseam.<kind>`; "
        "Inseam's own are registered in the same way. How to write one: "
        "[how-to/add-a-model-format.md](../how-to/add-a-model-format.md).\n"
    ]
    return "\n".join([*parts, *(_port(kind, name) for kind, name in PORTS.items())])


def _port(kind: str, name: str) -> str:
    module = importlib.import_module(f"inseam.ports.{kind}")
    own = [getattr(module, name)]
    own += [item for item in vars(module).values() if _is_protocol(item, module) and item not in own]
    own += [BESIDE[kind]] if kind in BESIDE else []
    suite = Path(inspect.getfile(module)).parents[1] / "testing" / "contracts" / f"{kind}.py"
    contract = code(f"inseam.testing.contracts.{kind}") if suite.exists() else "none yet"
    rows = [(code(key), code(value)) for key, value in _entry_points(f"inseam.{kind}").items()]
    return "\n".join(
        [
            f"## {kind.replace('_', ' ').capitalize()}\n",
            f"{prose(module.__doc__ or '')}\n",
            f"Entry point group {code(f'inseam.{kind}')}. Contract suite: {contract}. Made as {code(_made(kind))}.\n",
            table(("name", "adapter"), rows),
            *(_protocol(item) for item in own),
        ]
    )


def _made(kind: str) -> str:
    """How the package itself calls the adapter's factory."""
    for path in ("run/context.py", "ports/bundle.py"):
        for node in ast.walk(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Call) and node.func.args:
                named = node.func.args[0]
                if isinstance(named, ast.Constant) and named.value == kind:
                    return f"Adapter({ast.unparse(node).partition(ast.unparse(node.func) + '(')[2]}"
    raise LookupError(f"nothing makes an adapter of the kind {kind}")


def _is_protocol(item: Any, module: Any) -> bool:
    return inspect.isclass(item) and Protocol in item.__mro__ and item.__module__ == module.__name__


def _protocol(item: Any) -> str:
    parts = [f"### {item.__name__}\n"]
    if inspect.getdoc(item) and item.__doc__:
        parts.append(f"{prose(item.__doc__)}\n")
    fields = [(code(name), code(str(kind))) for name, kind in item.__annotations__.items()]
    if fields:
        parts.append(table(("attribute", "type"), fields))
    for name, method in vars(item).items():
        if inspect.isfunction(method) and (not name.startswith("_") or name == "__call__"):
            text = prose(method.__doc__ or "")
            parts.append(f"```python\n{signature(name, method)}\n```\n\n{text}\n")
        elif isinstance(method, property):
            kind = inspect.signature(method.fget).return_annotation
            parts.append(f"```python\n{name}: {kind}\n```\n\n{prose(method.__doc__ or '')}\n")
    return "\n".join(parts)


def _entry_points(group: str) -> dict[str, str]:
    document = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    points: dict[str, str] = document["project"]["entry-points"][group]
    return points
