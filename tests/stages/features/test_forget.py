"""What is taken out of an online table is what is there now."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from inseam.adapters.lmdb.store import LmdbStore
from inseam.kernel.errors import ConflictError
from inseam.stages.features.forget import forget_rows
from inseam.stages.features.mark import BEGUN, COMMITTED, Mark


class Watched(LmdbStore):
    """It says in which order it was asked."""

    asked: tuple[str, ...] = ()

    def read(self, tables: Sequence[str], keys: Sequence[Sequence[bytes]]) -> list[list[bytes | None]]:
        self.asked += ("rows",)
        return super().read(tables, keys)

    def mark(self, table: str) -> bytes | None:
        self.asked += ("mark",)
        return super().mark(table)


def test_the_mark_is_read_before_the_rows_so_that_none_is_a_remembered_one(tmp_path: Path):
    store = Watched(tmp_path / "online")
    store.write("a@1", [(b"k", b"row")])
    assert forget_rows(store, "a@1", [b"k", b"nobody"], is_dry_run=True) == 1
    assert store.asked[0] == "mark"
    store.close()


def test_a_writer_that_slept_through_an_erasure_brings_nothing_back(tmp_path: Path):
    store = LmdbStore(tmp_path / "online")
    for status, rows in ((BEGUN, 0), (COMMITTED, 7)):
        store.write("a@1", [(b"k", b"row")], Mark(0, 1, 7, status, ()).encode())
        over = store.mark("a@1")
        assert forget_rows(store, "a@1", [b"k", b"nobody"], is_dry_run=False) == 1
        with pytest.raises(ConflictError, match="meanwhile"):
            store.write("a@1", [(b"k", b"row")], b"mark", over=[over])
        assert store.read(["a@1"], [[b"k"]]) == [[None]]
        mark = Mark.decode(store.mark("a@1"))
        assert mark is not None
        assert (mark.rows, mark.status, mark.erasures) == (rows, status, 1)
    store.close()
