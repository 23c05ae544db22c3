"""Fingerprints of declarations: of what each says itself, and of that with everything upstream."""

from __future__ import annotations

from inseam.define.declaration import Declaration
from inseam.kernel.frozen import fingerprint


def own(item: Declaration) -> str:
    """Changes when this declaration's own meaning does."""
    return fingerprint(item.meaning())


def lineage(item: Declaration) -> str:
    """Changes when this declaration's meaning, or that of anything upstream, does."""
    return fingerprint([own(item), sorted(lineage(parent) for parent in item.upstream())])
