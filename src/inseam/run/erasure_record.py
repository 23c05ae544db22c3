"""Which entity is to be forgotten: its key as it was given, and the record of its erasure."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inseam.define.entity import Entity
from inseam.define.project import Project
from inseam.define.rows import Rows
from inseam.define.source import Source
from inseam.define.transform import Transform
from inseam.ir.entity_key import EntityKey, value_of
from inseam.ir.forgotten import digest_of
from inseam.ir.records import ErasureRecord
from inseam.kernel import clock
from inseam.kernel.errors import DataError, RefusedError
from inseam.kernel.types import DataType, Field, Schema
from inseam.plan.schemas import Schemas
from inseam.ports.ledger import Ledger

AskedKey = str | int | Mapping[str, Any]
"""The value of a key of one column, or values by column; texts stand for values of any type."""
_TYPES = (DataType.INT64, DataType.STRING, DataType.BOOL, DataType.DATE)


def key_of(item: Entity, given: AskedKey, project: Project, schemas: Schemas) -> EntityKey:
    """The key with its texts as columns of its types would have them. No message repeats what was given."""
    cells = dict(given) if isinstance(given, Mapping) else dict.fromkeys(item.keys, given)
    if set(cells) != set(item.keys) or (len(cells) > 1 and not isinstance(given, Mapping)):
        raise DataError(
            str(item.ref),
            f"its key was given as {', '.join(given) if isinstance(given, Mapping) else 'one value'}",
            expected=", ".join(item.keys),
            mend=" ".join(("inseam forget", item.name, *(f"--key {name}=..." for name in item.keys))),
        )
    fields = tuple(Field(name, _type_of(name, item, project, schemas)) for name in item.keys)
    return EntityKey(item.name, {field.name: _text(field, str(cells[field.name])) for field in fields}, Schema(fields))


def record_of(key: EntityKey, ledger: Ledger) -> ErasureRecord:
    """The record of an erasure that begins, or goes on after a kill. All of one kind of entity share a salt."""
    known = ledger.select(ErasureRecord, entity=key.entity)
    salt = known[0].salt if known else secrets.token_hex(32)
    digest = digest_of(salt, list(key.cells.values()))
    found = next((record for record in known if record.digest == digest), None)
    if found is None:
        columns = {field.name: field.type.value for field in key.schema}
        return ErasureRecord(key.entity, digest, salt, columns, "begun", clock.now())
    is_again = found.status == "committed"
    return replace(found, status="begun", begun_at=clock.now(), finished_at=None) if is_again else found


def rows_of(project: Project) -> list[Rows]:
    """Everything that has rows of its own columns."""
    return [*project.all(Source), *project.all(Transform)]


def _type_of(name: str, item: Entity, project: Project, schemas: Schemas) -> DataType:
    """Of a key column, where all of the key's columns stand together; a string while nothing is known."""
    known = (schemas.of(rows) for rows in rows_of(project))
    types = (schema.type_of(name) for schema in known if schema is not None and set(item.keys) <= set(schema.names))
    type_ = next((type_ for type_ in types if type_ is not None), DataType.STRING)
    if type_ not in _TYPES:
        raise RefusedError(f"key {name}", f"its type is {type_}", expected=" or ".join(_TYPES))
    return type_


def _text(field: Field, text: str) -> str:
    try:
        value = value_of(text, field.type)
    except ValueError:
        raise DataError(
            f"key {field.name}", "what was given is no value of its type", expected=field.type.value
        ) from None
    return str(value).lower() if field.type is DataType.BOOL else str(value)
