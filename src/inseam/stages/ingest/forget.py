"""An entity leaves what loading keeps: the table of a source, its quarantine, and what the loads found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds

from inseam.ir.entity_key import EntityKey
from inseam.ir.forgotten import Forgotten
from inseam.ir.records import LoadedFileRecord, LoadRecord
from inseam.ir.relation import SEQUENCE, Relation
from inseam.ports.engine import Engine
from inseam.ports.ledger import Ledger
from inseam.ports.tables import Snapshot, Tables
from inseam.stages.ingest import book
from inseam.stages.ingest.load import SEQUENCE_SHIFT


def rows_in(relation: Relation, key: EntityKey, engine: Engine) -> np.ndarray:
    """The `SEQUENCE` of an entity's rows in a source's table, or behind a transform of it."""
    where = key.condition(relation.schema)
    found: np.ndarray = (
        engine.scan(relation.as_stored(), columns=[SEQUENCE], where=where).reader().read_all()[SEQUENCE].to_numpy()
    )
    return found


def files_of(source: str, sequences: np.ndarray, ledger: Ledger) -> list[str]:
    """The files that rows were loaded from."""
    loads = set((sequences >> SEQUENCE_SHIFT).tolist())
    files = ledger.select(LoadedFileRecord, source=source)
    return [file.path for file in files if file.number in loads]


def forget_source(
    source: str, key: EntityKey, forgotten: Forgotten, sequences: np.ndarray, tables: Tables, *, is_dry_run: bool
) -> dict[str, int]:
    """Erase an entity's rows from a source's table and its quarantine; rows by table. Nobody loads it meanwhile.

    ``sequences``: of the rows that only a transform tells.
    """
    table, quarantine = book.sources_table(source), book.quarantine_table(source)
    listed, found = tables.list(), {}
    if quarantine in listed:
        raws = list(_named_in(tables, tables.snapshot(quarantine), key, forgotten))
        found[quarantine] = tables.erase(quarantine, {"raw": raws}, is_dry_run=is_dry_run) if raws else 0
    if table in listed:
        cells: dict[str, Any] | None = key.within(tables.snapshot(table).schema)
        cells = {SEQUENCE: sequences.tolist()} if cells is None and len(sequences) else cells
        found[table] = tables.erase(table, cells, is_dry_run=is_dry_run) if cells is not None else 0
    return found


def forget_findings(source: str, forgotten: Forgotten, ledger: Ledger) -> int:
    """Take the examples that name a forgotten entity out of what a source's loads found; how many."""
    gone = 0
    for load in ledger.select(LoadRecord, source=source, status="committed"):
        findings: dict[str, Any] = {}
        for name, finding in load.findings.items():
            examples = [example for example in finding["examples"] if not forgotten.is_told(example)]
            gone += len(finding["examples"]) - len(examples)
            findings[name] = finding | {"examples": examples}
        if findings != load.findings:
            ledger.put(replace(load, findings=findings))
    return gone


def _named_in(tables: Tables, snapshot: Snapshot, key: EntityKey, forgotten: Forgotten) -> Iterator[str]:
    """The texts of quarantined rows that name an entity."""
    schema = snapshot.schema.to_arrow()
    files = ds.dataset(list(snapshot.files), schema=schema, format="parquet", filesystem=tables.files)
    # Most rows are told apart at once: the key's texts are not in them.
    plain = [cell for cell in key.cells.values() if json.dumps(cell) == f'"{cell}"']
    condition = pc.scalar(True)
    for cell in plain:
        condition &= pc.match_substring(pc.field("raw"), cell)
    for batch in files.to_batches(columns=["raw"], filter=condition):
        yield from dict.fromkeys(text for text in batch.column("raw").to_pylist() if forgotten.is_named(text))
