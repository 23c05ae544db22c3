"""``python -m inseam`` is ``inseam``."""

import sys


def main() -> None:
    """Ctrl-C is no traceback either while the verbs are imported."""
    try:
        from inseam.surface.cli.main import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
