"""Labels: what is to be predicted, and where the rows to test on begin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from inseam.define.aggregate import Aggregate, Comparison
from inseam.define.declaration import DURATION, INSTANT, Declaration, duration
from inseam.define.expect import expect_types
from inseam.define.feature_view import aggregate_problems
from inseam.ir.aggregates import DERIVED
from inseam.kernel.errors import Problem


@dataclass(frozen=True, eq=False)
class Label:
    """What is to be predicted: an aggregate over ``[t, t + ahead)``, or a ``column`` that the spine carries.

    >>> from inseam import Source, count
    >>> orders = Source("orders", "orders.csv", timestamp="ordered_at")
    >>> Label(count(orders) == 0, ahead="60d").comparison.compare
    '=='
    """

    value: Aggregate | Comparison | None = None
    ahead: str | None = field(default=None, kw_only=True, metadata=DURATION)
    column: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        expect_types(self, "Label")

    @property
    def aggregate(self) -> Aggregate | None:
        return self.value.aggregate if isinstance(self.value, Comparison) else self.value

    @property
    def comparison(self) -> Comparison | None:
        return self.value if isinstance(self.value, Comparison) else None

    def problems(self, user: Declaration) -> Iterator[Problem]:
        """Mistakes of the label; ``user`` is the training set that it belongs to."""
        aggregate = self.aggregate
        if (aggregate is None) == (self.column is None):
            yield user.problem(
                "label-unclear", "the label is neither an aggregate nor a column, or both", expected="one of them"
            )
        elif aggregate is not None:
            yield from self._aggregate_problems(user, aggregate)
            yield from self._ahead_problems(user)
        elif self.ahead is not None:
            yield user.problem(
                "ahead-unused",
                f"the label is the column {self.column!r} and looks ahead {self.ahead}",
                expected="one of them: a column is known at the spine's instant",
            )

    def _aggregate_problems(self, user: Declaration, aggregate: Aggregate) -> Iterator[Problem]:
        if aggregate.kind in DERIVED or aggregate.n is not None:
            yield user.problem(
                "label-derived",
                f"the label is {aggregate}",
                expected="an aggregate of rows, such as count(orders)",
                place=aggregate.place,
            )
            return
        if aggregate.over is not None or aggregate.ttl is not None:
            yield user.problem(
                "label-looks-backwards",
                f"the label is {aggregate}",
                expected="an aggregate over the time ahead",
                mend='leave over and ttl out and write Label(..., ahead="60d")',
                place=aggregate.place,
            )
        if aggregate.rows is None:
            column = f"{aggregate.column!r}, " if aggregate.column else ""
            yield user.problem(
                "rows-missing",
                f"the label {aggregate} names no rows",
                mend=f"write {aggregate.kind.value}({column}orders)",
                place=aggregate.place,
            )
        yield from aggregate_problems(user, "the label", aggregate)
        if self.comparison is not None and not isinstance(self.comparison.threshold, bool | int | float | str):
            yield user.problem(
                "threshold-invalid",
                f"the label compares {aggregate} with {self.comparison.threshold!r}",
                expected="a number, a text, or True or False",
                place=aggregate.place,
            )

    def _ahead_problems(self, user: Declaration) -> Iterator[Problem]:
        if self.ahead is None:
            yield user.problem("ahead-missing", "the label does not say how far ahead it looks", mend='add ahead="60d"')
        elif isinstance(self.ahead, str) and duration(self.ahead.removeprefix("-")) and self.ahead.startswith("-"):
            yield user.problem(
                "label-looks-backwards",
                f"the label looks ahead {self.ahead}",
                expected="a time ahead",
                mend=f'write ahead="{self.ahead[1:]}"',
            )
        else:
            yield from user.duration_problem("the label's ahead", self.ahead)
            if duration(self.ahead) == 0:
                yield user.problem("window-empty", "the label looks ahead over no time", expected="a longer window")


@dataclass(frozen=True, eq=False)
class Split:
    """Where the test rows begin: at an ISO instant, a duration before the end, or a share of the span of instants.

    >>> Split(test="90d").at is None
    True
    >>> Split(at="2024-10-01").at
    '2024-10-01'
    """

    at: str | None = field(default=None, metadata=INSTANT)
    test: str | None = field(default=None, metadata=DURATION)
    fraction: float = 0.2

    def __post_init__(self) -> None:
        expect_types(self, "Split")

    def problems(self, user: Declaration) -> Iterator[Problem]:
        """Mistakes of the split; ``user`` is the training set that it belongs to."""
        if not 0 < self.fraction < 1:
            yield user.problem("split-invalid", f"the test fraction is {self.fraction!r}", expected="between 0 and 1")
        yield from user.duration_problem("the split's test", self.test)
        yield from user.instant_problem("the split's at", self.at)
        if duration(self.test) == 0:
            yield user.problem("window-empty", "the split tests on no time", expected="such as 90d")
        if self.at is not None and self.test is not None:
            yield user.problem("split-invalid", "the split has both at and test", expected="one of them")
