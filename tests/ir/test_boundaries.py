"""Boundaries of whole columns against those of single instants, and both against the oracle."""

import random

import numpy as np
import pytest

from inseam.ir.boundaries import boundaries, grid
from inseam.kernel.clock import DAY, HOUR, Step, parse_instant
from inseam.testing import oracle

# Midnights that a change of clocks skips, repeats, or lies close to; a day that was skipped; odd offsets.
ZONES = {
    "Europe/Berlin": "2024-03-31T01:00Z",
    "America/Sao_Paulo": "2018-11-04T03:00Z",
    "America/Havana": "2018-11-04T05:00Z",
    "America/St_Johns": "2010-11-07T02:31Z",
    "America/Toronto": "1919-03-31T04:30Z",
    "Pacific/Apia": "2011-12-30T10:00Z",
    "Asia/Kathmandu": "1986-01-01T00:00Z",
    "Australia/Lord_Howe": "2024-04-06T15:00Z",
}


def near(centre: int) -> np.ndarray:
    drawn = random.Random(4)
    close = [centre + drawn.randrange(-2 * DAY, 2 * DAY) for _ in range(150)]
    exact = [centre + minutes * 30_000_000 for minutes in range(-150, 150)]
    return np.array(close + exact + [drawn.randrange(0, 2_000_000_000_000_000) for _ in range(50)])


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("days", [1, 3])
def test_local_midnights(zone: str, days: int) -> None:
    step = Step(days * DAY, zone)
    instants = near(parse_instant(ZONES[zone]))
    found = boundaries(instants, step, HOUR).tolist()
    assert found == [step.boundary(t, HOUR) for t in instants.tolist()]
    if zone != "America/Toronto":  # offsets of its time had odd seconds, which the oracle's minutes miss
        assert found == [oracle.boundary(t, days * DAY, zone, HOUR) for t in instants.tolist()]
    for t, b in zip(instants.tolist(), found, strict=True):
        assert b <= t - HOUR < step.next_after(b)


@pytest.mark.parametrize("zone", ZONES)
def test_a_grid_is_every_boundary_within(zone: str) -> None:
    step = Step(DAY, zone)
    centre = parse_instant(ZONES[zone])
    start, end = centre - 20 * DAY - 1, centre + 20 * DAY
    expected = []
    at = step.next_after(start)
    while at < end:
        expected.append(at)
        at = step.next_after(at)
    assert grid(start, end, step).tolist() == expected


def test_steps_without_a_zone_count_from_the_epoch_both_ways() -> None:
    instants = np.array([-DAY - 1, -1, 0, 1, DAY - 1, DAY, 10 * DAY + 5])
    step = Step(7 * DAY)
    assert boundaries(instants, step).tolist() == [-7 * DAY, -7 * DAY, 0, 0, 0, 0, 7 * DAY]
    assert boundaries(instants, step).tolist() == [step.floor(t) for t in instants.tolist()]
    assert boundaries(instants, Step(0), 5).tolist() == (instants - 5).tolist()
    assert grid(-1, 14 * DAY, step).tolist() == [0, 7 * DAY]
    assert grid(0, 0, step).tolist() == []
    assert boundaries(np.empty(0, np.int64), Step(DAY, "Europe/Berlin")).size == 0
