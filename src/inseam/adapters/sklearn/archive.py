"""Makes the bytes of a skops archive depend on nothing but the model.

skops names objects and files by their memory address and stamps files with the time. Here addresses become their order
of first appearance, names follow it, and the time is a constant.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import PurePosixPath
from typing import Any

_SCHEMA = "schema.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def canonical_archive(content: bytes) -> bytes:
    """The same archive, with its addresses, file names and times replaced."""
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        schema = json.loads(source.read(_SCHEMA))
        ids: dict[int, int] = {}
        files: dict[str, str] = {}
        _renumber(schema, ids, files)
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as target:
            for old, new in files.items():
                target.writestr(zipfile.ZipInfo(new, _EPOCH), source.read(old))
            text = json.dumps(schema, separators=(",", ":"))
            target.writestr(zipfile.ZipInfo(_SCHEMA, _EPOCH), text)
    return out.getvalue()


def _renumber(node: Any, ids: dict[int, int], files: dict[str, str]) -> None:
    if isinstance(node, list):
        for item in node:
            _renumber(item, ids, files)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("__id__"), int):
        node["__id__"] = ids.setdefault(node["__id__"], len(ids) + 1)
    file = node.get("file")
    if isinstance(file, str):
        node["file"] = files.setdefault(file, f"{len(files) + 1}{PurePosixPath(file).suffix}")
    for key, item in node.items():
        if key not in ("__id__", "file"):
            _renumber(item, ids, files)
