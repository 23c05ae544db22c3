"""`python -m inseam.testing.retail DIRECTORY`: write a simulated retailer to a folder."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from inseam.testing.retail.simulation import Retail, simulate

EXAMPLE = """\
example:
  python -m inseam.testing.retail shop --scale 0.1
  writes customers, products, stores, promotions, orders/, returns/ and web_sessions/ under shop/
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments; the defaults are those of `simulate`."""
    parse = argparse.ArgumentParser(
        prog="python -m inseam.testing.retail",
        description="Write the files of a simulated clothing retailer. The same arguments write the same bytes.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parse.add_argument("directory", type=Path, help="folder to write to; made where missing")
    parse.add_argument("--scale", type=float, default=1.0, help="1 is about 20,000 customers (default 1)")
    parse.add_argument("--seed", type=int, default=7, help="what chance starts from (default 7)")
    parse.add_argument("--start", default="2023-01-01", help="first day, UTC (default 2023-01-01)")
    parse.add_argument("--days", type=int, default=730, help="days to simulate (default 730)")
    parse.add_argument("--shift-at", type=int, default=640, help="day on which behaviour shifts (default 640)")
    parse.add_argument("--format", choices=("csv", "parquet"), default="csv", help="of orders (default csv)")
    parse.add_argument("--quiet", action="store_true", help="show no progress")
    return parse


def show_month(month: str, done: int, total: int) -> None:
    """Progress on one line of standard error."""
    sys.stderr.write(f"\r{month}  {done}/{total}" + ("\n" if done == total else ""))
    sys.stderr.flush()


def show_summary(retail: Retail) -> None:
    """What was written, on standard output."""
    lines = [f"{table:<14}{count:>12,}" for table, count in retail.rows.items()]
    lines += [f"  dirty: {fault:<22}{count:>6,}" for fault, count in retail.dirty.items()]
    lines.append(f"shift at {retail.shift_at:%Y-%m-%d}, under {retail.directory}")
    sys.stdout.write("\n".join(lines) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 2 and one line for arguments that cannot be simulated."""
    given = parser().parse_args(arguments)
    try:
        retail = simulate(
            given.directory,
            scale=given.scale,
            seed=given.seed,
            start=given.start,
            days=given.days,
            shift_at=given.shift_at,
            format=given.format,
            progress=None if given.quiet else show_month,
        )
    except (ValueError, FileExistsError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    show_summary(retail)
    return 0


if __name__ == "__main__":
    sys.exit(main())
