"""What joins find: keys of the right types in the rows, and names for what comes to them."""

from __future__ import annotations

from collections.abc import Iterator

from inseam.define.join import Join
from inseam.kernel.errors import Problem
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import Schema
from inseam.plan.schemas import Schemas


def join_problems(join: Join, schemas: Schemas) -> Iterator[Problem]:
    """Of columns that are missing, of another type, or there already."""
    rows, joined = schemas.of(join.rows), schemas.of(join.view.rows)
    if rows is None:
        return
    for key, column in join.keys.items():
        yield from _key_problems(join, key, column, rows, joined)
    for column in join.columns:
        if column in rows:
            yield join.problem(
                "name-duplicate",
                f"it gives the rows of {join.rows.ref} a column {column!r}, which they have",
                expected="another name",
                mend=f'add prefix="{join.view.entity.name}_"',
            )


def _key_problems(join: Join, key: str, column: str, rows: Schema, joined: Schema | None) -> Iterator[Problem]:
    type_, expected = rows.type_of(column), None if joined is None else joined.type_of(key)
    if type_ is None:
        yield join.problem(
            "column-unknown",
            f"the key {key!r} of {join.view.entity.ref} is looked up by column {column!r}",
            expected=f"a column of {join.rows.ref}",
            mend=did_you_mean(column, rows.names) or f'say which it is: on={{"{key}": "..."}}',
        )
    elif expected is not None and type_ is not expected:
        yield join.problem(
            "type-clash",
            f"column {column!r} is a {type_.value}, the key {key!r} of {join.view.entity.ref} a {expected.value}",
            expected=expected.value,
        )
