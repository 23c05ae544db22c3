"""An entity leaves what was made of its rows: online rows, tiles, training sets."""

from __future__ import annotations

import fcntl
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from inseam.ir.entity_key import EntityKey
from inseam.ir.online_key import KeyCodec
from inseam.ir.records import TrainingSetRecord
from inseam.ir.tile_fold import Heads
from inseam.ir.tile_key import chunk_key, head_key
from inseam.ir.tiles import BASE
from inseam.ir.windows import WindowedAggregate
from inseam.kernel import clock
from inseam.kernel.types import Schema
from inseam.ports.artifacts import Artifacts
from inseam.ports.engine import Engine
from inseam.ports.ledger import Ledger
from inseam.ports.online import OnlineStore
from inseam.ports.training_rows import count_rows
from inseam.stages.features.mark import COMMITTED, Mark
from inseam.stages.features.tile_table import TileMark, drop_tiles


def online_keys(view: WindowedAggregate, key: EntityKey, engine: Engine) -> list[bytes]:
    """The online keys of an entity in a view: its own, or where the view's key says more, those that its rows have."""
    schema = Schema(tuple(field for name in view.keys for field in view.relation.schema if field.name == name))
    cells = key.within(schema)
    if cells is None:
        return []
    codec = KeyCodec(schema)
    if len(cells) == len(view.keys):
        return [codec.one([cells[name][0] for name in view.keys])]
    where = key.condition(schema)
    rows = engine.scan(view.relation.as_stored(), columns=view.keys, where=where).reader().read_all()
    (distinct,) = rows.group_by(list(view.keys)).aggregate([]).drop_null().combine_chunks().to_batches() or [None]
    return [] if distinct is None else codec.batch(distinct)


def forget_rows(store: OnlineStore, table: str, keys: Sequence[bytes], *, is_dry_run: bool) -> int:
    """Take rows out of a view's online table; how many were there. Nobody materializes the view meanwhile.

    The mark is read first: rows that are read after it are none from before (`OnlineStore`).
    """
    over = store.mark(table)
    mark = Mark.decode(over)
    held = [key for key, row in zip(keys, store.read([table], [keys])[0], strict=True) if row is not None]
    if is_dry_run or mark is None:
        return len(held)
    if held or mark.status != COMMITTED:
        store.write(table, [(key, None) for key in held], mark.erased().encode(), over=[over])
    return len(held)


def forget_tiles(store: OnlineStore, table: str, keys: Sequence[bytes], *, is_dry_run: bool) -> int:
    """Take heads and chunks out of a view's tiles; how many entities were there. Nobody freshens the view meanwhile.

    Tiles in the midst of a step, which counts entities along their order, are dropped: the next step builds them anew.
    """
    over = store.mark(table)
    mark = TileMark.decode(over)
    found = store.read([table], [[head_key(key) for key in keys]])[0]
    held = [(key, head) for key, head in zip(keys, found, strict=True) if head is not None]
    if is_dry_run or mark is None:
        return len(held)
    if mark.target is not None:
        drop_tiles(store, table, over)
    elif held:
        heads = Heads(mark.shape.layout, [head for _, head in held])
        chunked = (heads.level == 1) & (heads.tiles.starts != BASE)
        places = zip(heads.entity[chunked].tolist(), heads.tiles.starts[chunked].tolist(), strict=True)
        chunks = [chunk_key(held[entity][0], start) for entity, start in places]
        gone = [(name, None) for name in (*(head_key(key) for key, _ in held), *chunks)]
        store.write(table, gone, mark.erased().encode(), over=[over])
    return len(held)


def forget_training_sets(artifacts: Artifacts, key: EntityKey, ledger: Ledger, *, is_dry_run: bool) -> dict[str, int]:
    """Remove the training sets that hold an entity, which are then to be built again; its rows by file.

    A set without some of its rows is another set, that no model was trained on: nothing is gained by rewriting it.
    """
    found: dict[str, int] = {}
    records = {record.fingerprint: record for record in ledger.select(TrainingSetRecord)}
    for name in (name for name in artifacts.names() if name.endswith(".parquet")):
        rows = count_rows(artifacts.address(name), key)
        if not rows:
            continue
        found[f"training_sets/{name}"] = rows
        if not is_dry_run:
            record = records.get(PurePosixPath(name).stem)
            if record is not None:
                ledger.put(replace(record, erased_at=clock.now()))
            artifacts.remove(name)
    if not is_dry_run:
        _clear_partial(artifacts.directory)
        for draft in artifacts.directory.rglob("*.parquet"):  # of builders that were killed on the way to a store
            artifacts.leave(draft.relative_to(artifacts.directory).as_posix())
    return found


def _clear_partial(directory: Path) -> None:
    """Remove what builders that were killed left of a file: those that live hold its lock."""
    for partial in directory.rglob(".*.partial"):
        with partial.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            partial.unlink()
