"""What is taken out of an online table is what is there now."""

from collections.abc import Sequence
from pathlib import Path

from inseam.adapters.lmdb.store import LmdbStore
from inseam.stages.features.forget import forget_rows


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
