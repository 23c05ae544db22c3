"""What a second row of the same key is: an error, nothing, or a correction."""

from typing import Any

import pytest

from inseam.kernel.errors import DataError

COLUMNS = "at:timestamp n:int64 amount:float64 gone:bool"
HEAD = "at,n,amount,gone\n"
FIRST = HEAD + "2024-01-01,1,1.5,false\n2024-01-02,2,2.5,false\n2024-01-03,1,9.5,false\n"
SECOND = HEAD + "2024-01-04,2,7.5,true\n2024-01-05,3,3.5,false\n2024-01-06,4,4.5,false\n"


def test_ignored_rows_are_counted_and_nowhere_else(place: Any) -> None:
    place.write("1.csv", FIRST)
    load = place.load(columns=COLUMNS, key=("n",), on_duplicate="ignore")
    assert (load.rows_in, load.rows_accepted, load.rows_ignored, load.findings) == (3, 2, 1, {})
    assert place.column("amount") == [1.5, 2.5]
    place.write("2.csv", SECOND)
    load = place.load(columns=COLUMNS, key=("n",), on_duplicate="ignore")
    assert (load.rows_accepted, load.rows_quarantined, load.rows_ignored) == (2, 0, 1)
    assert place.column("amount") == [1.5, 2.5, 3.5, 4.5]


def test_a_broken_row_is_quarantined_before_it_is_ignored(place: Any) -> None:
    place.write("1.csv", FIRST)
    place.load(columns=COLUMNS, key=("n",), on_duplicate="ignore")
    place.write("2.csv", HEAD + "2024-01-04,1,x,false\n")
    load = place.load(columns=COLUMNS, key=("n",), on_duplicate="ignore")
    assert (load.rows_quarantined, load.rows_ignored) == (1, 0)


def test_corrections_and_deletions_are_all_kept(place: Any) -> None:
    for number, content in enumerate((FIRST, SECOND)):
        place.write(f"{number}.csv", content)
        load = place.load(columns=COLUMNS, key=("n",), on_duplicate="replace", deleted="gone")
        assert load.rows_in == load.rows_accepted == 3
    assert place.column("amount") == [1.5, 2.5, 9.5, 7.5, 3.5, 4.5]


def test_a_key_must_be_among_the_columns_whatever_it_is_for(place: Any) -> None:
    place.write("1.csv", FIRST)
    with pytest.raises(DataError, match="no column 'm'"):
        place.ingest(place.spec(columns=COLUMNS, key=("m",), on_duplicate="replace"))
