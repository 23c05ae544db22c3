"""An entity leaves the tables of the prediction log: what was predicted for it, and what became true of that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from inseam.ir.entity_key import EntityKey, rows_of, value_of
from inseam.kernel.types import Schema
from inseam.ports.tables import Tables
from inseam.stages.serve.compact import OUTCOMES, PREDICTIONS

_KEY = "key:"


def forget_predictions(tables: Tables, key: EntityKey, *, is_dry_run: bool) -> dict[str, int]:
    """Erase the predictions for an entity, and before them their outcomes, which only their ids tell; rows by table.

    Nobody compacts the log meanwhile.
    """
    found: dict[str, int] = {}
    listed = tables.list()
    for table in (table for table in listed if table.startswith(f"{PREDICTIONS}/")):
        outcomes = table.replace(PREDICTIONS, OUTCOMES, 1)
        for cells in _cells(key, tables.snapshot(table).schema):
            ids = _ids(tables, table, cells)
            if ids and outcomes in listed:
                found[outcomes] = found.get(outcomes, 0) + tables.erase(outcomes, {"id": ids}, is_dry_run=is_dry_run)
            found[table] = found.get(table, 0) + tables.erase(table, cells, is_dry_run=is_dry_run)
    return found


def _cells(key: EntityKey, schema: Schema) -> Iterator[dict[str, list[Any]]]:
    """The columns that hold the key: a name whose type has changed since has several, each with its type behind it."""
    names = [[field for field in schema if _is_of(field.name, f"{_KEY}{name}")] for name in key.columns]
    for chosen in product(*names):
        try:
            texts = key.cells.values()
            yield {field.name: [value_of(text, field.type)] for field, text in zip(chosen, texts, strict=True)}
        except ValueError:
            continue


def _is_of(column: str, name: str) -> bool:
    return column == name or (column.startswith(f"{name}:") and ":" not in column[len(name) + 1 :])


def _ids(tables: Tables, table: str, cells: Mapping[str, list[Any]]) -> list[str]:
    import pyarrow.dataset as ds

    snapshot = tables.snapshot(table)
    schema = snapshot.schema.to_arrow()
    files = ds.dataset(list(snapshot.files), schema=schema, format="parquet", filesystem=tables.files)
    ids: list[str] = files.to_table(columns=["id"], filter=rows_of(cells))["id"].to_pylist()
    return ids
