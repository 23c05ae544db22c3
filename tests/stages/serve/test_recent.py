"""The bounded copy of rows read lately."""

from hypothesis import given
from hypothesis import strategies as st

from inseam.stages.serve.recent import RecentRows


def test_it_answers_with_what_the_last_read_found_and_only_in_whole():
    recent = RecentRows()
    recent.keep(["a", "b"], [[b"1", b"2"], [b"1"]], [[b"x", None], [b"y"]])
    assert recent.find(["b", "a"], [[b"1"], [b"2", b"1"]]) == [[b"y"], [None, b"x"]]
    assert recent.find(["a"], [[b"1", b"3"]]) is None
    assert recent.find(["c"], [[b"1"]]) is None
    recent.keep(["a"], [[b"1", b"2"]], [[None, b"z"]])
    assert recent.find(["a"], [[b"1", b"2"]]) == [[None, b"z"]]


def test_a_row_that_is_too_old_is_no_answer():
    recent = RecentRows(age_seconds=0.0)
    recent.keep(["a"], [[b"1"]], [[b"x"]])
    assert recent.find(["a"], [[b"1"]]) is None


@given(st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=8), max_size=60))
def test_it_holds_the_rows_asked_for_latest_within_its_bound(reads: list[list[int]]):
    """Any read that is kept is found; as many different keys as half the bound are remembered at least."""
    bound = 20
    recent = RecentRows(rows=bound)
    latest: dict[bytes, bytes] = {}
    for turn, numbers in enumerate(reads):
        keys = [b"%d" % number for number in numbers]
        recent.keep(["a"], [keys], [[b"%d@%d" % (number, turn) for number in numbers]])
        for key, number in zip(keys, numbers, strict=True):
            latest.pop(key, None)
            latest[key] = b"%d@%d" % (number, turn)
        for key in list(latest)[-1:]:
            assert recent.find(["a"], [[key]]) == [[latest[key]]]
    for key in list(latest)[-bound // 2 + 8 :]:
        assert recent.find(["a"], [[key]]) == [[latest[key]]]
    held = [number for number in range(61) if recent.find(["a"], [[b"%d" % number]]) is not None]
    assert len(held) <= bound + 16
