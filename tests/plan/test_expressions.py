"""What can be said of a SQL expression before it runs."""

import pytest

from inseam.kernel.types import Schema
from inseam.plan.expressions import clashes, columns_of, unstable_part

SCHEMA = Schema.of(
    [("a", "int64"), ("b", "string"), ("c", "bool"), ("t", "timestamp"), ("d", "date"), ("f", "float64")]
)


@pytest.mark.parametrize(
    ("expression", "columns"),
    [
        ("a > 0", ("a",)),
        ("a > 0 AND lower(b) = 'x' AND a < f", ("a", "b", "f")),
        ('"a" BETWEEN 1 AND 2', ("a",)),
        ("CASE WHEN c THEN a ELSE f END > 1", ("c", "a", "f")),
        ("true", ()),
    ],
)
def test_the_columns_that_it_reads(expression: str, columns: tuple[str, ...]):
    assert set(columns_of(expression)) == set(columns)


@pytest.mark.parametrize(
    "expression",
    [
        "", "a >", "sum(a) > 1", "count(*) > 1", "a > (SELECT 1)", "row_number() OVER () = 1", "DROP TABLE x", "a; b",
        "a > 0 AS x", "*", "EXISTS (SELECT 1)", "SET x = 1", "a := 1",
    ],
)  # fmt: skip
def test_what_is_no_expression_over_a_row(expression: str):
    with pytest.raises(ValueError, match=r"."):
        columns_of(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "a > 0", "a = '5'", "c", "NOT c", "b LIKE 'x%'", "t > '2024-01-01'", "d < t", "length(b) > 3", "a IN (1, 2)",
        "b IN ('x')", "a IS NOT NULL", "coalesce(a, 0) > f", "isnan(f)", "unheard_of(b)", "other > 'x'",
        "regexp_matches(b, 'x')", "extract(year FROM t) > 2020", "a::varchar = b",
    ],
)  # fmt: skip
def test_types_that_go_together(expression: str):
    assert list(clashes(expression, SCHEMA)) == []


@pytest.mark.parametrize(
    "expression",
    ["b > 0", "a + 1", "b", "upper(b)", "a > 0 AND b = 3", "lower(b) < a", "b IN (1, 2)", "(b) = (3)", "t"],
)
def test_types_that_do_not(expression: str):
    assert list(clashes(expression, SCHEMA)) != []


@pytest.mark.parametrize("expression", ["t > now()", "random() < 0.5", "d = current_date", "d = today()"])
def test_what_differs_from_run_to_run(expression: str):
    assert unstable_part(expression) is not None


def test_a_stable_expression():
    assert unstable_part("a > 0 AND t > '2024-01-01'") is None
