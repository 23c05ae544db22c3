"""Durations, instants, and boundaries across changes of the clocks."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inseam.kernel import clock
from inseam.kernel.clock import DAY, HOUR, Step, format_duration, format_instant, parse_duration, parse_instant

ZONES = ("Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata", "UTC", "America/St_Johns", "Pacific/Apia")
INSTANTS = st.integers(parse_instant("1960-01-01"), parse_instant("2060-01-01"))
PLAIN = st.builds(Step, st.sampled_from([0, 1, 7, 60_000_000, HOUR, 5 * HOUR, DAY, 7 * DAY, 30 * DAY]))
ZONED = st.builds(Step, st.sampled_from([DAY, 2 * DAY, 7 * DAY, 30 * DAY]), st.sampled_from(ZONES))
STEPS = PLAIN | ZONED


def at(text: str, zone: str) -> int:
    return clock.from_datetime(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)))


@given(STEPS, INSTANTS)
def test_an_instant_lies_between_its_boundary_and_the_next(step: Step, instant: int):
    assert step.floor(instant) <= instant < step.next_after(instant)


@given(STEPS, INSTANTS)
def test_a_boundary_is_its_own_floor_and_has_the_same_next(step: Step, instant: int):
    floor = step.floor(instant)
    assert step.floor(floor) == floor
    following = step.next_after(floor)
    assert following == (step.next_after(instant) if step.microseconds else floor + 1)
    assert step.floor(following) == following
    assert step.floor(following - 1) == floor


@given(STEPS, INSTANTS, INSTANTS)
def test_boundaries_never_go_back(step: Step, one: int, other: int):
    assert step.floor(min(one, other)) <= step.floor(max(one, other))


@given(PLAIN, INSTANTS)
def test_steps_without_a_zone_are_whole_multiples_from_the_epoch(step: Step, instant: int):
    assert step.microseconds == 0 or step.floor(instant) % step.microseconds == 0


@given(STEPS, INSTANTS, st.integers(0, 40 * DAY))
def test_lag_moves_the_instant_and_not_the_boundaries(step: Step, instant: int, lag: int):
    assert step.boundary(instant, lag) == step.floor(instant - lag)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2024-03-31", 23),
        ("Europe/Berlin", "2024-10-27", 25),
        ("Europe/Berlin", "2024-06-01", 24),
        ("America/Sao_Paulo", "2017-10-15", 23),
        ("America/Sao_Paulo", "2018-02-17", 25),
        ("Asia/Kolkata", "2024-03-31", 24),
    ],
)
def test_a_local_day_has_the_hours_that_the_clocks_give_it(zone: str, day: str, hours: int):
    noon = at(f"{day}T12:00", zone)
    step = Step(DAY, zone)
    assert step.next_after(noon) - step.floor(noon) == hours * HOUR


def test_a_midnight_that_the_clocks_skip_is_the_end_of_the_gap():
    # Brazil's summer time began at midnight: 2017-10-15 00:00 did not happen.
    assert Step(DAY, "America/Sao_Paulo").floor(at("2017-10-15T08:00", "America/Sao_Paulo")) == at(
        "2017-10-15T01:00", "America/Sao_Paulo"
    )


def test_a_day_that_a_zone_skipped_has_no_boundary_of_its_own():
    # Samoa went from 29 to 31 December 2011.
    step = Step(DAY, "Pacific/Apia")
    assert step.next_after(at("2011-12-29T12:00", "Pacific/Apia")) == at("2011-12-31T00:00", "Pacific/Apia")


@given(st.integers(0, 400 * 366 * DAY))
def test_durations_are_read_back_as_written(microseconds: int):
    assert parse_duration(format_duration(microseconds)) == microseconds


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("30d", 30 * DAY),
        ("720h", 30 * DAY),
        ("1w", 7 * DAY),
        ("1h30m", 90 * 60_000_000),
        ("250ms", 250_000),
        ("3us", 3),
        ("0s", 0),
    ],
)
def test_durations(text: str, microseconds: int):
    assert parse_duration(text) == microseconds


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5h", "30 d", "1D", "1d\n", "١d", "30d ", "1y", "99999999d"])
def test_what_is_no_duration_is_refused(text: str):
    with pytest.raises(ValueError, match=r"duration|calendar"):
        parse_duration(text)


@given(st.datetimes(timezones=st.just(UTC)))
def test_instants_are_read_back_as_written(moment: datetime):
    instant = clock.from_datetime(moment)
    assert parse_instant(format_instant(instant)) == instant
    assert clock.to_datetime(instant) == moment


def test_times_without_a_zone_are_utc_and_offsets_count():
    assert parse_instant("2024-06-01") == parse_instant("2024-06-01T00:00:00Z")
    assert parse_instant("2024-06-01T02:00:00+02:00") == parse_instant("2024-06-01")
    with pytest.raises(ValueError, match="time zone"):
        clock.from_datetime(datetime(2024, 6, 1))  # noqa: DTZ001


def test_the_clock_can_be_held_still():
    with clock.frozen_at(17):
        assert clock.now() == 17
        with clock.frozen_at(18):
            assert clock.now() == 18
        assert clock.now() == 17
    assert clock.now() > parse_instant("2024-01-01")
