"""The sweep against TIME.md written out row by row in plain Python."""

import math
import statistics
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inseam.adapters.duckdb import sweep as sweeps
from inseam.adapters.duckdb.sweep import Ask, Column, sweep

# Ranked ones and approximations are held to the oracle by the contract of engines.
KINDS = tuple(kind for kind in sweeps.KINDS if kind not in ("last_n", "top_k", "approx_distinct", "approx_quantile"))
NULL = int(np.iinfo(np.int64).min)
Row = dict[str, Any]


def oracle(rows: list[Row], key: int, boundary: int, lag: int, every: int, ask: Ask) -> Any:
    """One aggregate of one spine row; None for NULL."""
    seen = []
    for number, row in enumerate(rows):
        in_window = row["ts"] < boundary and (ask.over_us is None or boundary - ask.over_us <= row["ts"])
        is_known = row["known"] is None or row["known"] <= boundary + lag
        if row["key"] == key and in_window and is_known and (ask.mask is None or row[ask.mask] is True):
            known = -math.inf if row["known"] is None else row["known"]
            seen.append(((row["ts"], known, row["seq"], number), row))
    seen.sort(key=lambda pair: pair[0])
    if ask.column is None:
        return len(seen)
    if ask.kind in ("first", "last"):
        return seen[0 if ask.kind == "first" else -1][1][ask.column] if seen else None
    cells = [row[ask.column] for _, row in seen if row[ask.column] is not None]
    if ask.kind in ("count", "distinct"):
        same = {"nan" if cell != cell else cell for cell in cells}
        return len(cells) if ask.kind == "count" else len(same)
    if ask.kind == "quantile":
        return quantile(sorted(cells, key=lambda cell: (cell != cell, cell)), ask.share) if cells else None
    return aggregate(ask.kind, cells)


def quantile(cells: list[Any], share: float) -> float:
    """Between the cells at both sides of the place, in the arithmetic of floats."""
    place = share * (len(cells) - 1)
    low, rest = math.floor(place), place - math.floor(place)
    return float(cells[low]) * (1.0 - rest) + float(cells[low + 1]) * rest if rest else float(cells[low])


def aggregate(kind: str, cells: list[Any]) -> Any:
    """sum, mean, std, min, max of the cells; NaN counts as the greatest number."""
    if len(cells) < (2 if kind == "std" else 1):
        return None
    if kind in ("min", "max"):
        return (min if kind == "min" else max)(cells, key=lambda cell: (cell != cell, cell))
    if not all(math.isfinite(cell) for cell in cells):
        return math.nan if kind == "std" else sum(cell for cell in cells if not math.isfinite(cell))
    # Means and deviations are of floats, whatever the column.
    exact = [Fraction(cell if kind == "sum" else float(cell)) for cell in cells]
    if kind == "std":
        scale = max(abs(cell) for cell in exact) or Fraction(1)
        return statistics.stdev([cell / scale for cell in exact]) * float(scale)
    total = sum(exact, Fraction(0))
    return total if kind == "sum" else total / len(cells)


def check(
    rows: list[Row], spine: list[tuple[int, int]], lag: int, every: int, asks: list[Ask], threads: int = 1
) -> None:
    """Sweep and oracle agree on every ask and spine row."""

    def array(name: str, dtype: Any, null: Any) -> np.ndarray[Any, Any]:
        return np.array([null if row[name] is None else row[name] for row in rows], dtype)

    def column(name: str, dtype: Any) -> Column:
        valid = np.array([row[name] is not None for row in rows], bool)
        return Column(array(name, dtype, 7 if name != "flag" else True), None if valid.all() else valid)

    def answers() -> list[Any]:
        return sweep(
            array("key", np.int64, -1),
            array("ts", np.int64, 0),
            array("known", np.int64, NULL),
            array("seq", np.int64, 0),
            {"x": column("x", np.float64), "n": column("n", np.int64), "flag": column("flag", np.bool_)},
            np.array([key for key, _ in spine], np.int64),
            np.array([boundary for _, boundary in spine], np.int64),
            lag,
            every,
            asks,
            4,
            threads,
        )

    expected = [[oracle(rows, key, boundary, lag, every, ask) for key, boundary in spine] for ask in asks]
    if any(fits_not(ask, value) for ask, values in zip(asks, expected, strict=True) for value in values):
        with pytest.raises(OverflowError):
            answers()
        return
    for ask, (values, valid), wanted in zip(asks, answers(), expected, strict=True):
        for i, (key, boundary) in enumerate(spine):
            found = values[i].item() if valid is None or valid[i] else None
            assert is_same(ask.kind, found, wanted[i]), (ask, key, boundary, found, wanted[i])


def fits_not(ask: Ask, value: Any) -> bool:
    """Whether a whole number is none that a column can hold."""
    return ask.kind == "sum" and ask.column == "n" and value is not None and not -(2**63) <= value < 2**63


def is_same(kind: str, found: Any, expected: Any) -> bool:
    """Equal; sums within a relative 1e-9, because the order of addition differs."""
    if found is None or expected is None:
        return found is expected
    if found != found or expected != expected:
        return bool(found != found and expected != expected)
    if kind in ("sum", "mean", "std") and math.isfinite(expected):
        return abs(Fraction(found) - Fraction(expected)) <= abs(Fraction(expected)) / 10**9 + Fraction(1, 10**310)
    return bool(found == expected)


floats = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 0.1, -0.1, 0.3, 1e9 + 0.25, 1e9, 1e17, -1e17, 1e300, -1e300, 1e-300, 5e-324]),
    st.sampled_from([math.nan, math.inf, -math.inf]),
    st.floats(-1e6, 1e6),
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e305, max_value=1e305),
)
ends_of_int64 = st.sampled_from([2**63 - 1, 2**63 - 2, 2**62, 1, 0, -1, -(2**62), 1 - 2**63, -(2**63)])


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Row], list[tuple[int, int]], int, int]:
    """Events with ties, NULLs, late rows and odd cells; spine rows on boundaries; a lag and a step."""
    every = draw(st.sampled_from([0, 1, 3, 10]))
    lag = draw(st.sampled_from([0, 1, 7]))
    cells = draw(st.sampled_from([floats, st.sampled_from([0.0, 1.5, -2.25]), st.floats(-10, 10)]))
    loads = draw(st.lists(st.integers(-20, 60), min_size=1, max_size=4))
    knowns = draw(
        st.sampled_from([st.none(), st.integers(-30, 70), st.sampled_from(loads), st.none() | st.sampled_from(loads)])
    )
    wholes = draw(st.sampled_from([st.integers(-3, 3), st.integers(-(2**53), 2**53), ends_of_int64])) | st.none()
    row = st.fixed_dictionaries(
        {
            "key": st.integers(0, 2),
            "ts": st.integers(-25, 45),
            "known": knowns,
            "seq": st.integers(0, 3),
            "x": st.none() | cells,
            "n": wholes,
            "flag": st.none() | st.booleans(),
        }
    )
    rows: list[Row] = [dict(drawn) for drawn in draw(st.lists(row, max_size=40))]
    if draw(st.booleans()):
        rows.sort(key=lambda item: item["ts"])
    instant = st.integers(-40, 60).map(lambda i: i * every if every else i)
    spine = draw(st.lists(st.tuples(st.integers(-1, 3), instant), max_size=25))
    return rows, spine, lag, every


OVERS = (None, 0, 1, 6, 20, 2**62)
ALL = [Ask(kind, column, mask, over) for kind in KINDS for column in "xn" for mask in (None, "flag") for over in OVERS]
ALL += [Ask("quantile", c, m, o, share) for c in "xn" for m in (None, "flag") for o in OVERS for share in (0.5, 0.3, 1)]
ALL += [Ask("count", None, mask, over) for mask in (None, "flag") for over in OVERS]
ALL += [Ask(kind, "flag", None, over) for kind in ("min", "last", "distinct", "count") for over in OVERS]


@settings(max_examples=400, deadline=None)
@given(cases())
def test_agrees_with_the_definition(case: tuple[list[Row], list[tuple[int, int]], int, int]) -> None:
    rows, spine, lag, every = case
    check(rows, spine, lag, every, ALL)


@settings(max_examples=100, deadline=None)
@given(cases(), st.lists(st.sampled_from(ALL), min_size=1, max_size=4))
def test_any_choice_of_asks(case: tuple[list[Row], list[tuple[int, int]], int, int], asks: list[Ask]) -> None:
    check(*case, asks, threads=2)


def event(ts: int, x: float | None, known: int | None = None, seq: int = 0) -> Row:
    return {"key": 0, "ts": ts, "known": known, "seq": seq, "x": x, "n": 1, "flag": True}


def ask_one(
    rows: list[Row], boundaries: list[int], ask: Ask, lag: int = 0, every: int = 10
) -> list[float | int | None]:
    values, valid = sweep(
        np.zeros(len(rows), np.int64),
        np.array([row["ts"] for row in rows]),
        np.array([NULL if row["known"] is None else row["known"] for row in rows]),
        np.array([row["seq"] for row in rows]),
        {"x": Column(np.array([row["x"] or 0.0 for row in rows]), np.array([row["x"] is not None for row in rows]))},
        np.zeros(len(boundaries), np.int64),
        np.array(boundaries, np.int64),
        lag,
        every,
        [ask],
        1,
    )[0]
    return [v if valid is None or valid[i] else None for i, v in enumerate(values.tolist())]


def test_window_is_half_open() -> None:
    rows = [event(10, 1.0), event(20, 2.0)]
    assert ask_one(rows, [10, 20, 30, 40], Ask("sum", "x", None, 10)) == [None, 1.0, 2.0, None]


def test_late_row_counts_from_the_first_boundary_at_which_it_is_known() -> None:
    rows = [event(5, 1.0, known=5), event(6, 2.0, known=31)]
    asked = Ask("sum", "x", None, 100)
    assert ask_one(rows, [10, 30, 40, 100, 110], asked) == [1.0, 1.0, 3.0, 3.0, None]
    assert ask_one(rows, [10, 30, 40], asked, lag=1) == [1.0, 3.0, 3.0]


def test_late_row_that_has_left_the_window_before_it_is_known_never_counts() -> None:
    rows = [event(5, 1.0, known=95), event(91, 4.0)]
    assert ask_one(rows, [90, 100, 110], Ask("max", "x", None, 20)) == [None, 4.0, 4.0]
    assert ask_one(rows, [90, 100, 110], Ask("count", "x", None, 20)) == [0, 1, 1]


def test_last_breaks_ties_by_ingestion_then_by_order_within_the_load() -> None:
    loaded_last = [event(5, 3.0, known=7), event(5, 1.0), event(5, 2.0, known=6)]
    assert ask_one(loaded_last, [10], Ask("last", "x")) == [3.0]
    assert ask_one(loaded_last, [10], Ask("first", "x")) == [1.0]
    same_load = [event(5, 1.0, known=7, seq=2), event(5, 2.0, known=7, seq=9), event(5, 3.0, known=7, seq=4)]
    assert ask_one(same_load, [10], Ask("last", "x")) == [2.0]


def test_last_does_not_look_past_a_null_cell() -> None:
    assert ask_one([event(5, 1.0), event(6, None)], [10], Ask("last", "x")) == [None]


def test_sum_does_not_depend_on_what_came_before_the_window() -> None:
    rows = [event(1, 1e17), event(2, 0.1), event(3, -1e-9), event(11, 0.1), event(12, 0.2), event(13, -0.3)]
    assert ask_one(rows, [20], Ask("sum", "x", None, 10)) == [math.fsum([0.1, 0.2, -0.3])]


def test_given_lateness_overrides_the_step() -> None:
    answers = sweep(
        np.zeros(2, np.int64),
        np.array([1, 2]),
        np.array([50, 50]),
        None,
        {},
        np.zeros(2, np.int64),
        np.array([40, 60]),
        0,
        10,
        [Ask("count")],
        1,
        event_late=np.array([True, False]),
    )
    assert answers[0][0].tolist() == [1, 2]


@pytest.mark.parametrize("rows", [0, 3])
def test_nothing_to_aggregate(rows: int) -> None:
    empty = np.empty(0, np.int64)
    spine = np.zeros(rows, np.int64)
    asks = [Ask("count"), Ask("last", "x"), Ask("sum", "x", None, 5)]
    answers = sweep(empty, empty, None, None, {"x": Column(np.empty(0))}, spine, spine, 0, 0, asks, 1)
    assert [values.shape for values, _ in answers] == [(rows,)] * 3
    assert answers[0][0].tolist() == [0] * rows
    assert all(valid is not None and not valid.any() for _, valid in answers[1:])


def test_instants_at_the_ends_of_the_clock() -> None:
    ends = [NULL + 1, 2**63 - 2]
    rows = [{**event(ts, 1.0, known=known), "key": 0} for ts in ends for known in (None, ends[1])]
    check(rows, [(0, ends[0]), (0, 0), (0, ends[1] + 1)], 5, 10, [Ask("count", None, None, over) for over in OVERS])


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32))
@example(0)
def test_hot_key_many_rows(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = [
        {
            "key": int(random.integers(0, 2)),
            "ts": int(ts),
            "known": None if late < 0.5 else int(ts + 400 * late),
            "seq": 0,
            "x": float(random.normal()),
            "n": int(random.integers(0, 9)),
            "flag": bool(random.integers(0, 2)),
        }
        for ts, late in zip(random.integers(0, 1000, 300), random.random(300), strict=True)
    ]
    spine = [(0, int(b)) for b in random.integers(0, 140, 30) * 10]
    asks = [Ask(kind, column, mask, 300) for kind in KINDS for column in "xn" for mask in (None, "flag")]
    check(rows, spine, 3, 10, asks, threads=2)


def test_a_whole_sum_may_wrap_on_the_way_but_not_in_the_end() -> None:
    rows = [{**event(ts, 1.0), "n": n} for ts, n in enumerate([2**62, 2**62, 2**62, -5])]
    check(rows, [(0, 4)], 0, 0, [Ask("sum", "n", None, 2), Ask("mean", "n")])
    check(rows, [(0, 4)], 0, 0, [Ask("sum", "n")])


def test_deviation_of_cells_that_hardly_differ() -> None:
    """The mean of many great numbers is the enemy: their spread is in the last bits."""
    cells = [1e9 + 1e-6 * (i % 3) for i in range(3000)]
    rows = [event(i, cell) for i, cell in enumerate(cells)]
    found = ask_one(rows, [2000, 3000], Ask("std", "x", None, 30))
    assert found == [pytest.approx(statistics.stdev(cells[b - 30 : b]), rel=1e-9) for b in (2000, 3000)]


@pytest.mark.parametrize("finite", [[], [1.0]])
def test_deviation_of_a_window_that_holds_hardly_a_finite_cell(finite: list[float]) -> None:
    rows = [event(5, 0.0), event(6, 1.0)] + [event(1, cell) for cell in (math.nan, math.inf, *finite)]
    found = ask_one(rows, [2, 10], Ask("std", "x"), every=0)
    assert [repr(value) for value in found] == ["nan", "nan"]


@pytest.mark.parametrize("every", [0, 10])
def test_windows_share_one_pass_whatever_the_threads(every: int) -> None:
    """Enough rows that the work is divided: the answers are the same bytes as from one thread."""
    random = np.random.default_rng(1)
    rows, spine = 120_000, 60_000
    key, ts = random.integers(0, 500, rows), random.integers(0, 100_000, rows)
    known = np.where(random.random(rows) < 0.3, ts + random.integers(0, 5_000, rows), NULL)
    columns = {
        "x": Column(random.normal(size=rows)),
        "n": Column(random.integers(0, 9, rows), random.random(rows) < 0.9),
    }
    boundary = random.integers(0, 10_000, spine) * 10
    asks = [Ask(kind, column, None, over) for kind in KINDS for column in "xn" for over in (500, 20_000, None)]
    found = [
        sweep(key, ts, known, None, columns, key[:spine], boundary, 3, every, asks, 500, threads) for threads in (1, 4)
    ]
    for (one, one_valid), (four, four_valid) in zip(*found, strict=True):
        assert one.tobytes() == four.tobytes()
        assert (one_valid is None and four_valid is None) or np.array_equal(one_valid, four_valid)
