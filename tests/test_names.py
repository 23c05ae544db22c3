"""The names that users import: each leads somewhere, and type checkers are told of all of them."""

from __future__ import annotations

import inseam


def test_every_name_resolves() -> None:
    for name in inseam.__all__:
        assert getattr(inseam, name).__name__ == name


def test_the_written_list_names_what_can_be_had() -> None:
    assert set(inseam.__all__) == set(inseam._HOME_OF)
