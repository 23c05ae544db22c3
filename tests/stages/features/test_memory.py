"""A training set that is many times larger than the memory limit is built within it, beside what the process needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WORLD = Path(__file__).parent / "memory_world.py"
LIMIT_MB = 100


def peak_mb(directory: Path, customers: int) -> int:
    """Of a process that builds a set over 20 orders of each customer."""
    words = [sys.executable, str(WORLD), str(directory), str(customers), f"{LIMIT_MB}MB"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows, peak = done.stdout.split()
    assert int(rows) > 20 * customers
    return int(peak)


@pytest.mark.slow
def test_peak_of_a_large_build_is_the_limit_above_that_of_a_small_one(tmp_path: Path) -> None:
    small = peak_mb(tmp_path / "small", 20)
    # 2M rows of 12 features: 200 MB as bare columns, and 800 MB as the sweep would hold them.
    large = peak_mb(tmp_path / "large", 80_000)

    assert large < small + LIMIT_MB + 100
