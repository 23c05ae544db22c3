"""``python -m inseam`` is ``inseam``."""

from inseam.surface.cli.main import main

if __name__ == "__main__":
    main()
