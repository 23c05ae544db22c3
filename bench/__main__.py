"""Runs every benchmark in turn: `python -m bench [--quick]`. Ours beside raw engines, medians and ratios.

The machine's noise is printed with the figures: how far the same fixed work varied while nothing else of ours ran.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
QUICK = {
    "windows.py": ["--rows", "1000000", "--rounds", "3"],
    "asof.py": ["--rounds", "3"],
    "online.py": [],
    "online_redis.py": ["--rounds", "1"],
    "materialize.py": ["--entities", "50000", "--events", "100000"],
    "fresh.py": ["--rounds", "3"],
    "ingest.py": [],
    "push.py": ["--seconds", "15"],
    "serving.py": ["--rounds", "1", "--seconds", "2"],
    "spark.py": ["--rows", "300000", "--spine", "30000", "--rounds", "1"],
}
FULL = {
    "windows.py": ["--rows", "10000000", "--rounds", "3"],
    "asof.py": ["--rounds", "5"],
    "online.py": [],
    "online_redis.py": [],
    "materialize.py": [],
    "fresh.py": [],
    "ingest.py": [],
    "push.py": [],
    "serving.py": ["--rounds", "3", "--seconds", "5"],
    "spark.py": [],
}
NEEDS = {"spark.py": "pyspark"}
STARTUP = {"import inseam": ["-c", "import inseam"], "inseam --help": ["-m", "inseam.surface.cli.main", "--help"]}


def noise() -> str:
    """The spread of the same sort, fifteen times over, and the load average."""
    import numpy as np

    values = np.random.default_rng(0).random(1_000_000)
    times = []
    for _ in range(15):
        start = time.perf_counter()
        np.sort(values)
        times.append(time.perf_counter() - start)
    median = statistics.median(times)
    return (
        f"load {os.getloadavg()[0]:.1f}; a fixed sort took {median * 1e3:.0f} ms, up to {max(times) / median:.1f} times"
    )


def startup(rounds: int = 7) -> None:
    """Wall milliseconds of starting, beside the bare interpreter."""
    medians = {name: _median_ms(words, rounds) for name, words in {"python": ["-c", ""], **STARTUP}.items()}
    for name, found in medians.items():
        print(f"{name:16} {found:6.0f} ms   {found - medians['python']:6.0f} ms above the interpreter")


def _median_ms(words: list[str], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, a few minutes in all")
    options = parser.parse_args()
    print(noise())
    print("\n== startup")
    startup()
    failed = []
    for script, words in (QUICK if options.quick else FULL).items():
        if script in NEEDS and importlib.util.find_spec(NEEDS[script]) is None:
            print(f"\n== {script}: {NEEDS[script]} is not installed, left out")
            continue
        print(f"\n== {script} {' '.join(words)}\n{noise()}", flush=True)
        if subprocess.run([sys.executable, str(HERE / script), *words], check=False).returncode:
            failed.append(script)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
