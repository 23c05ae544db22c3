"""Runs competitors in turns, each in a process of its own, and prints medians: what the benches of features share."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

DAY_US = 86_400_000_000
START_US = 1_704_067_200_000_000
ENTITIES = 100_000


def entity_ids(random: np.random.Generator, rows: int, skew: float) -> np.ndarray:
    """int64 ids of a bounded zipf distribution (``skew`` 0: uniform); a popular entity's id is any number."""
    if skew == 0:
        return random.integers(0, ENTITIES, rows)
    shares = np.cumsum(1.0 / np.arange(1, ENTITIES + 1) ** skew)
    ranks = np.searchsorted(shares / shares[-1], random.random(rows), side="right").clip(0, ENTITIES - 1)
    return np.random.default_rng(12345).permutation(ENTITIES)[ranks]


def finish_imports() -> None:
    """What Numba and Delta import at their first use, compiled loops too: nobody's imports are on the clock."""
    import pyarrow.dataset  # noqa: F401

    from inseam.adapters.duckdb.sweep import KINDS, Ask, Column, sweep
    from inseam.adapters.duckdb.sweep_crew import frozen
    from inseam.adapters.duckdb.sweep_layout import look_up

    one = np.zeros(1, np.int64)
    look_up(frozen(one, np.int64), 0, frozen(one, np.int64), one)
    asks = [Ask(kind, "cell", over_us=1, nth=1) for kind in KINDS]
    for known in (None, one):
        sweep(one, one, known, one, {"cell": Column(np.zeros(1))}, one, one + 1, 0, 0, asks, 1)


def measured(work: Callable[[], object]) -> None:
    """Do the work and print ``RESULT`` with its wall seconds, CPU seconds and the process's greatest memory."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            peak = int(line.split()[1]) / 1024
    print("RESULT " + json.dumps({"wall": wall, "cpu": cpu, "peak_mb": peak}))


def spin() -> float:
    """Seconds of a fixed piece of work: how much they vary is the machine's noise."""
    numbers = np.random.default_rng(0).random(1_500_000)
    start = time.perf_counter()
    np.sort(numbers)
    return time.perf_counter() - start


def compete(
    commands: Mapping[str, Sequence[str]], rounds: int, environment: Mapping[str, str], per: int | None = None
) -> None:
    """Each command once a round; then a line of medians a competitor, and ratios to the first of them.

    With ``per``, a number of rows, also the CPU nanoseconds that each of them cost.
    """
    results: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    spins = []
    for number in range(rounds + 1):
        for name, command in commands.items():
            spins.append(spin())
            done = subprocess.run(
                command, capture_output=True, text=True, env={**os.environ, **environment}, check=False
            )
            lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
            if not lines:
                sys.exit(f"{name} failed:\n{done.stderr[-2000:]}")
            # The first round warms disk caches and compiled code.
            if number:
                results[name].append(json.loads(lines[-1].removeprefix("RESULT ")))
    report(results, spins, per)


def report(
    results: Mapping[str, Sequence[Mapping[str, float]]], spins: Sequence[float], per: int | None = None
) -> None:
    def median(name: str, figure: str) -> float:
        return statistics.median(result[figure] for result in results[name])

    first = next(iter(results))
    print(f"{'':24}{'CPU s':>8}{'wall s':>8}{'peak MB':>9}   CPU and wall of {first} against it")
    for name in results:
        cpu, wall, peak = (median(name, figure) for figure in ("cpu", "wall", "peak_mb"))
        against = f"{median(first, 'cpu') / cpu:8.2f}{median(first, 'wall') / wall:8.2f}"
        each = "" if per is None else f"   {cpu / per * 1e9:6.0f} ns a row"
        print(f"{name:24}{cpu:8.2f}{wall:8.2f}{peak:9.0f}   {against}{each}")
    low, middle, high = min(spins), statistics.median(spins), max(spins)
    print(f"noise: a fixed sort took {low:.3f} to {high:.3f} s, median {middle:.3f}")
