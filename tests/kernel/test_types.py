"""Column types to Arrow and back."""

import pyarrow as pa
import pytest

from inseam.kernel.types import DataType, Schema, data_type


def test_schemas_survive_arrow():
    schema = Schema.of((type_.value, type_) for type_ in DataType)
    assert Schema.from_arrow(schema.to_arrow()) == schema


@pytest.mark.parametrize(
    ("arrow", "expected"),
    [
        (pa.int8(), "int64"),
        (pa.uint32(), "int64"),
        (pa.float32(), "float64"),
        (pa.decimal128(10, 2), "float64"),
        (pa.large_string(), "string"),
        (pa.dictionary(pa.int8(), pa.string()), "string"),
        (pa.timestamp("ns"), "timestamp"),
        (pa.date64(), "date"),
        (pa.null(), "string"),
    ],
)
def test_the_narrowest_type_that_holds_it(arrow: pa.DataType, expected: str):
    assert data_type(arrow).value == expected


def test_nested_types_are_refused():
    with pytest.raises(ValueError, match="not supported"):
        data_type(pa.list_(pa.int64()))
