"""What is checked of endpoints over views that are kept in tiles."""

from __future__ import annotations

from collections.abc import Callable

from inseam.define.project import Project
from inseam.plan.check import check
from inseam.plan.schemas import find_schemas

STREAM = ('"data/visits.csv", timestamp', '"data/visits.csv", stream=True, timestamp')


def codes(project: Project) -> list[str]:
    return [problem.code for problem in check(project, find_schemas(project, {}, lambda relation, before: before))]


def test_a_continuous_view_over_a_stream_can_be_served(shop: Callable[..., Project]) -> None:
    continuous = ('every="1h", lag="10m"', 'every="0s", lag="10m"')
    assert codes(shop(continuous)) == ["view-continuous"]
    assert codes(shop(continuous, STREAM)) == []


def test_an_endpoint_over_tiles_does_not_answer_from_what_it_read_lately(shop: Callable[..., Project]) -> None:
    stale = ('unknown="default"', 'unknown="default", unavailable="stale"')
    assert codes(shop(stale)) == []
    assert codes(shop(stale, STREAM)) == ["choice-unclear"]
