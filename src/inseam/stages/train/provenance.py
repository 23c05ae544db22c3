"""Where a model came from: code, libraries, machine."""

from __future__ import annotations

import math
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = (
    *("inseam", "numpy", "pandas", "scipy", "scikit-learn", "skops", "xgboost-cpu", "xgboost", "lightgbm", "torch"),
    *("safetensors", "optuna", "duckdb", "pyarrow", "deltalake"),
)


def library_versions() -> dict[str, str]:
    """The installed versions of what takes part in training."""
    found: dict[str, str] = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_state(repository: Path | None) -> dict[str, Any]:
    """``{commit, is_dirty}`` of the project's checkout; None for both when it is no checkout or git is not there."""
    nothing = {"commit": None, "is_dirty": None}
    if repository is None:
        return nothing
    commit = _git(repository, "rev-parse", "HEAD")
    if commit is None:
        return nothing
    changed = _git(repository, "status", "--porcelain")
    return {"commit": commit, "is_dirty": bool(changed) if changed is not None else None}


def _git(repository: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(repository), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def as_data(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as a ledger can keep them, read back equal: what JSON has no form for is kept as text."""
    return {str(name): _as_data(value) for name, value in params.items()}


def _as_data(value: Any) -> Any:
    if isinstance(value, Mapping):
        return as_data(value)
    if isinstance(value, list | tuple):
        return [_as_data(item) for item in value]
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return _as_data(value.tolist())
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    # A function's own text holds its address, which means nothing to anybody else.
    return getattr(value, "__qualname__", None) or str(value)
