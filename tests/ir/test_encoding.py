"""One matrix for training and serving: columns and single rows are coded alike."""

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from inseam.ir.encoding import EncodedColumn, Encoding, encode_value, to_numpy
from inseam.kernel.types import DataType, arrow_type

EARLY, LATE = datetime(1900, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001
ENCODING = Encoding(
    (
        EncodedColumn("flag", DataType.BOOL),
        EncodedColumn("number", DataType.INT64),
        EncodedColumn("amount", DataType.FLOAT64),
        EncodedColumn("store", DataType.STRING, ("b", "a", "é")),
        EncodedColumn("moment", DataType.TIMESTAMP),
        EncodedColumn("day", DataType.DATE),
    )
)
VALUES = st.tuples(
    st.none() | st.booleans(),
    st.none() | st.integers(-(2**53), 2**53),
    st.none() | st.floats(allow_nan=False),
    st.none() | st.sampled_from(["a", "b", "é", "unseen", ""]),
    st.none() | st.datetimes(EARLY, LATE, timezones=st.just(UTC)),
    st.none() | st.dates(),
)


def as_columns(rows: list[tuple]) -> dict[str, np.ndarray]:
    return {
        column.name: to_numpy(pa.array([row[place] for row in rows], arrow_type(column.type)), column.type)
        for place, column in enumerate(ENCODING.columns)
    }


@given(st.lists(VALUES, min_size=1, max_size=20))
def test_rows_and_columns_are_coded_to_the_same_bits(rows: list[tuple]):
    matrix = ENCODING.matrix(as_columns(rows))
    assert matrix.dtype == np.float64
    assert matrix.shape == (len(rows), 6)
    singly = np.array([ENCODING.row(row) for row in rows])
    assert np.array_equal(np.isnan(matrix), np.isnan(singly))
    known = ~np.isnan(matrix)
    assert matrix[known].tobytes() == singly[known].tobytes()


@given(VALUES)
def test_null_and_unseen_categories_are_missing(row: tuple):
    coded = ENCODING.row(row)
    missing = [value is None or value in ("unseen", "") for value in row]
    assert [np.isnan(value) for value in coded] == missing


def test_the_values_of_each_type():
    row = (True, 3, 1.5, "a", datetime(1970, 1, 2, 0, 0, 0, 250_000, tzinfo=UTC), date(1970, 1, 3))
    assert ENCODING.row(row) == [1.0, 3.0, 1.5, 1.0, 86_400.25, 2.0]
    assert ENCODING.names == ("flag", "number", "amount", "store", "moment", "day")


def test_a_time_without_a_zone_is_utc_wherever_this_runs():
    column = EncodedColumn("moment", DataType.TIMESTAMP)
    noon = datetime(2024, 7, 1, 12)  # noqa: DTZ001
    assert encode_value(column, noon) == encode_value(column, noon.replace(tzinfo=UTC))
    ahead = noon.replace(tzinfo=timezone(timedelta(hours=2)))
    assert encode_value(column, ahead) == encode_value(column, noon) - 7_200


def test_arrow_columns_of_every_shape_have_one_form():
    texts = pa.chunked_array([pa.array(["x", None]).dictionary_encode(), pa.array(["y"]).dictionary_encode()])
    assert to_numpy(texts, DataType.STRING).tolist() == ["x", None, "y"]
    assert to_numpy(pa.array([], pa.large_string()), DataType.STRING).dtype == object
    numbers = to_numpy(pa.array([1, None], pa.int32()), DataType.INT64)
    assert numbers.dtype == np.float64
    assert np.isnan(numbers[1])
    naive = to_numpy(pa.array([datetime(2024, 1, 1), None], pa.timestamp("ms")), DataType.TIMESTAMP)  # noqa: DTZ001
    assert naive.dtype == "datetime64[us]"
    assert np.isnat(naive[1])
    assert to_numpy(pa.array([date(2024, 1, 1)]), DataType.DATE).dtype == "datetime64[D]"
    assert np.isnan(to_numpy(pa.nulls(2), DataType.FLOAT64)).all()
