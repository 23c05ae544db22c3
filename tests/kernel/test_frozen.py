"""Canonical forms: equal meanings are equal, whatever their order or spelling; metadata does not count."""

from dataclasses import dataclass, field
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inseam.kernel.frozen import METADATA, canonical, fingerprint


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Thing:
    size: float
    note: str = field(default="", metadata=METADATA)
    word: str = field(default="", metadata={"form": str.lower})


@dataclass(frozen=True)
class Other:
    size: float


def test_metadata_does_not_count_and_forms_do():
    assert fingerprint(Thing(1.0, "a", "Word")) == fingerprint(Thing(1.0, "b", "word"))
    assert fingerprint(Thing(1.0)) != fingerprint(Thing(2.0))
    assert fingerprint(Thing(1.0, word="x")) != fingerprint(Thing(1.0, word="y"))


def test_kinds_of_values_differ():
    values = [1, 1.0, True, "1", None, [1], {"1": 1}, Thing(1.0), Other(1.0)]
    assert len({fingerprint(value) for value in values}) == len(values)
    assert fingerprint(0.0) != fingerprint(-0.0)
    assert canonical(Colour.RED) == "red"


@given(st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False) | st.text()))
def test_the_order_of_a_mapping_does_not_count(mapping: dict):
    assert fingerprint(mapping) == fingerprint(dict(reversed(mapping.items())))


@given(st.sets(st.text()))
def test_sets_have_one_form(items: set):
    assert fingerprint(items) == fingerprint(frozenset(sorted(items)))


def test_what_has_no_form_is_refused():
    with pytest.raises(TypeError, match="object has no canonical form"):
        fingerprint({"a": object()})
