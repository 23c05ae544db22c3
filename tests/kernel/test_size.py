"""Sizes as people write them."""

import pytest

from inseam.kernel.size import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("17", 17), ("32MB", 32_000_000), ("2gb", 2 * 10**9), ("512MiB", 512 << 20), (" 1.5 k ", 1500)],
)
def test_a_size_is_so_many_bytes(text: str, size: int):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-1", "1 parsec", "1IB", "1e3", "1.MB"])
def test_what_is_no_size_is_refused(text: str):
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)
