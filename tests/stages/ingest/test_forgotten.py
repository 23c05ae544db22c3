"""Rows of a forgotten entity that come again are dropped and counted, and are in neither table."""

from __future__ import annotations

import secrets
from typing import Any

from inseam.ir.forgotten import digest_of
from inseam.ir.records import ErasureRecord

COLUMNS = "at:timestamp k:string amount:float64"


def forget(place: Any, *keys: str) -> None:
    salt = secrets.token_hex(32)
    place.ledger.put(
        *(ErasureRecord("who", digest_of(salt, [key]), salt, {"k": "string"}, "committed", 1) for key in keys)
    )


def test_rows_of_a_forgotten_key_are_dropped_and_counted_broken_ones_too(place: Any) -> None:
    forget(place, "gone", "7")
    place.write(
        "1.csv",
        "at,k,amount\n2024-01-01,gone,1\n2024-01-02,stays,2\n2024-01-03,gone,x\n2024-01-04,stays,x\n2024-01-05,7,1\n"
        "2024-01-06,gone,1,2\n",
    )
    load = place.load(columns=COLUMNS)
    assert (load.rows_in, load.rows_accepted, load.rows_quarantined, load.rows_forgotten) == (6, 1, 1, 4)
    assert place.column("k") == ["stays"]
    assert "gone" not in str(place.quarantine("s")) + str(load.findings)


def test_a_key_that_comes_as_a_number_is_the_key_that_was_forgotten(place: Any) -> None:
    forget(place, "7")
    place.write("1.csv", "at,k,amount\n2024-01-01,7,1\n2024-01-02,8,7\n")
    load = place.load(columns="at:timestamp k:int64 amount:float64", key=("k",))
    assert (load.rows_accepted, load.rows_forgotten) == (1, 1)
    assert place.column("k") == [8]


def test_a_source_without_the_columns_of_the_key_is_as_ever(place: Any) -> None:
    forget(place, "7")
    place.write("1.csv", "at,n\n2024-01-01,7\n")
    assert place.load(columns="at:timestamp n:int64").rows_forgotten == 0
