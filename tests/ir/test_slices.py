import numpy as np

from inseam.ir.slices import MOST, slices


def test_the_most_frequent_values_come_first_and_null_is_one_of_them():
    values = np.array(["b", "a", None, "b", None, "b"], dtype=object)
    found = list(slices(values))
    assert [(one.label, one.rows) for one in found] == [("b", 3), ("NULL", 2), ("a", 1)]
    np.testing.assert_array_equal(found[1].inside, [False, False, True, False, True, False])


def test_whole_numbers_are_told_without_a_point():
    assert {one.label for one in slices(np.array([1.0, 2.5, np.nan]))} == {"1", "2.5", "NULL"}


def test_no_more_than_the_most_frequent_are_told_apart():
    assert len(list(slices(np.arange(100.0)))) == MOST
