"""A receipt as people read it."""

import pytest

from inseam.kernel.types import DataType
from inseam.surface.cli.replay import shown


@pytest.mark.parametrize(
    ("value", "type_", "text"),
    [
        (1.0, DataType.BOOL, "true"),
        (0.0, DataType.BOOL, "false"),
        (1_704_067_200_500_000, DataType.TIMESTAMP, "2024-01-01T00:00:00.500000Z"),
        (19_723, DataType.DATE, "2024-01-01"),
        (12_345.0, DataType.INT64, "12345"),
        (0.1 + 0.2, DataType.FLOAT64, "0.30000000000000004"),
        ("a", DataType.STRING, "a"),
        (None, DataType.BOOL, "-"),
        (0.25, None, "0.25"),
    ],
)
def test_a_logged_value_is_shown_in_its_type(value: object, type_: DataType | None, text: str) -> None:
    assert shown(value, type_) == text
