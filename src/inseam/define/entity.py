"""Entities: what features are about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from inseam.define.declaration import Declaration, tuple_of
from inseam.kernel.errors import Problem


@dataclass(frozen=True, eq=False)
class Entity(Declaration):
    """Something that features describe, named by its key columns.

    >>> Entity("customer", key="customer_id").key
    ('customer_id',)
    >>> Entity("shelf", key=("store_id", "product_id")).key
    ('store_id', 'product_id')
    """

    KIND: ClassVar[str] = "entity"
    name: str
    key: tuple[str, ...] | str

    def __post_init__(self) -> None:
        self._set("key", tuple_of(self.key))
        super().__post_init__()

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple_of(self.key)

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if not self.keys or not all(self.keys):
            yield self.problem("key-invalid", f"the key is {self.key!r}", expected="one column name or several")
        if len(set(self.keys)) != len(self.keys):
            yield self.problem("key-repeated", f"the key {self.keys} names a column twice", mend="name each once")


def keys_of(entities: Iterable[Entity]) -> tuple[str, ...]:
    """The key columns of several entities, each once."""
    return tuple(dict.fromkeys(key for entity in entities for key in entity.keys))
