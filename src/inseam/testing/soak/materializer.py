"""Loads files and materializes their view, again and again: ``python -m inseam.testing.soak.materializer``."""

from __future__ import annotations

import time

from inseam.kernel.errors import ConflictError, UnavailableError
from inseam.run.workspace import open as open_workspace


def main() -> None:
    with open_workspace() as workspace:
        while True:
            try:
                workspace.ingest("visits")
                workspace.materialize("visited")
            except (ConflictError, UnavailableError):
                pass  # the one before has just died, or Redis has
            time.sleep(0.5)


if __name__ == "__main__":
    main()
