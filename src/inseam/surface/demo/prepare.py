"""What the tour stands on: the project's files, and two simulated years of its data."""

from __future__ import annotations

import csv
import json
import shutil
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from inseam.kernel.clock import from_datetime, parse_instant
from inseam.kernel.errors import RefusedError
from inseam.ports.progress import Progress

PROJECT = Path(__file__).parent / "project"
DATA = "data"
CUSTOMERS = 20_000
"""At scale 1."""
LEAST_SCALE = 0.05
"""Below it there are too few rows to learn from and to test on: the models' gates say no, as they should."""
_FACTS = "simulated.json"


@dataclass(frozen=True, slots=True)
class Shop:
    """The simulated data. ``end``: the instant at which it ends, in UTC microseconds."""

    data: Path
    scale: float
    rows: dict[str, int]
    dirty: dict[str, int]
    start: int
    end: int


def expect_scale(scale: float) -> None:
    """`RefusedError` for a retailer too small to learn from."""
    if not scale >= LEAST_SCALE:
        raise RefusedError(
            "demo",
            f"a retailer of scale {scale:g} has {CUSTOMERS * scale:,.0f} customers, too few for models that pass"
            " their gates",
            expected=f"{LEAST_SCALE:g} or more, which is {CUSTOMERS * LEAST_SCALE:,.0f} customers",
            mend=f"give --scale {LEAST_SCALE:g}, or leave it out",
        )


def write_project(directory: Path) -> list[Path]:
    """Write the project's files that are not there yet; `RefusedError` for a directory that holds something else."""
    if directory.exists() and any(directory.iterdir()) and not (directory / "inseam.toml").exists():
        raise RefusedError(
            str(directory), "there are files here, and no inseam.toml", mend="name a new or an empty directory"
        )
    written = []
    # inseam.toml first: it says whose directory this is, should the writing be cut short.
    for path in sorted(_files(PROJECT), key=lambda path: (path.name != "inseam.toml", path)):
        target = directory / path.relative_to(PROJECT)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            written.append(target)
    return written


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.suffix in (".py", ".toml"))


def write_data(directory: Path, scale: float, progress: Progress) -> Shop:
    """Simulate the retailer, once; whole or not at all. `RefusedError` when there is data of another scale."""
    data = directory / DATA
    if not data.exists():
        part = directory / f".{DATA}"
        shutil.rmtree(part, ignore_errors=True)
        _simulate(part, scale, progress)
        part.rename(data)
    try:
        shop = Shop(data=data, **json.loads((data / _FACTS).read_text()))
    except (OSError, ValueError, TypeError):
        raise RefusedError(str(data), "this data was not made by the demo", mend="name a new directory") from None
    if shop.scale != scale:
        raise RefusedError(
            str(data),
            f"the data was simulated at scale {shop.scale:g}, and {scale:g} is asked for",
            mend=f"give --scale {shop.scale:g}, or name a new directory",
        )
    return shop


def _simulate(folder: Path, scale: float, progress: Progress) -> None:
    from inseam.testing.retail import simulate

    made = simulate(folder, scale=scale, progress=lambda _, done, total: progress("months simulated", done, total))
    shop = Shop(folder, scale, dict(made.rows), dict(made.dirty), from_datetime(made.start), from_datetime(made.end))
    facts = {name: value for name, value in asdict(shop).items() if name != DATA}
    (folder / _FACTS).write_text(json.dumps(facts, indent=2) + "\n")


def newest_line(shop: Shop) -> dict[str, str]:
    """The last order line without a fault, as the file has it."""
    path = max((shop.data / "orders").glob("*.csv"))
    with path.open(newline="") as file:
        (line,) = deque(filter(_is_sound, csv.DictReader(file)), maxlen=1)
    return line


def _is_sound(line: dict[str, str]) -> bool:
    """Whether ingestion accepts the line: it names its customer, and amount, instant and length are right."""
    try:
        parse_instant(line["ordered_at"])
    except ValueError:
        return False
    return bool(line["customer_id"]) and float(line["amount"]) >= 0 and None not in line
