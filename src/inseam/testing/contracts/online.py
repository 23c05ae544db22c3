"""What every `inseam.ports.online.OnlineStore` must do, and `OneStateContract` for those that promise more than rows.

Subclass and give a fixture ``opener``: each call of it opens the same store, which is empty at first, anew.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import random
import threading
from collections.abc import Callable, Iterator

import pytest

from inseam.ir.tile_key import chunk_key, head_key
from inseam.kernel.errors import ConflictError, SettingError
from inseam.ports.online import OnlineStore

Opener = Callable[[], OnlineStore]
LONGEST = b"\x00" + b"k" * 510


def rows(start: int, stop: int, fill: bytes = b"") -> list[tuple[bytes, bytes]]:
    """Rows under 8-byte keys; a row names its key."""
    return [(number.to_bytes(8, "big"), fill + b"row %d" % number) for number in range(start, stop)]


def go_on(store: OnlineStore, number: int) -> None:
    """A forked child's life: 1 at its end when it does not read what it wrote."""
    key = b"%d" % number
    for turn in range(30):
        row = b"%d" % turn
        store.write("f", [(key, row)])
        if store.read(["f"], [[key]]) != [[row]]:
            os._exit(1)
    os._exit(0)


class OnlineContract:
    @pytest.fixture
    def store(self, opener: Opener) -> Iterator[OnlineStore]:
        store = opener()
        yield store
        store.close()

    def test_an_empty_store_has_nothing(self, store: OnlineStore) -> None:
        assert store.read(["a@1", "b@1"], [[b"k", b"l"], []]) == [[None, None], []]
        assert store.one(("a@1", "b@1"), [b"k", b"l"]) == [None, None]
        assert store.mark("a@1") is None
        assert store.count("a@1") == 0
        assert dict(store.tables()) == {}

    def test_a_shared_store_is_written_from_elsewhere(self, store: OnlineStore) -> None:
        if store.is_shared:
            elsewhere: OnlineStore = pickle.loads(pickle.dumps(store))  # noqa: S301 - its own bytes
            elsewhere.write("a@1", rows(0, 3))
            elsewhere.close()
            assert store.count("a@1") == 3

    def test_rows_come_back_in_the_order_asked_for(self, store: OnlineStore) -> None:
        store.write("a@1", rows(0, 500))
        numbers = [7, 499, 3, 7, 500, 0]
        asked = [number.to_bytes(8, "big") for number in numbers]
        assert store.read(["a@1"], [asked]) == [[b"row 7", b"row 499", b"row 3", b"row 7", None, b"row 0"]]

    def test_one_read_covers_many_tables_with_keys_of_their_own(self, store: OnlineStore) -> None:
        store.write("a@1", [(b"k", b"a")])
        store.write("b@1", [(b"k", b"b"), (LONGEST, b"long")])
        found = store.read(["b@1", "none@1", "a@1", "b@1"], [[b"k", LONGEST], [b"k"], [b"k"], [b"\xff"]])
        assert found == [[b"b", b"long"], [None], [b"a"], [None]]
        assert store.one(("a@1", "b@1", "b@1"), [b"k", LONGEST, b"l"]) == [b"a", b"long", None]
        assert store.one(("none@1", "a@1"), [b"k", b"k"]) == [None, b"a"]

    def test_a_row_is_replaced_whole(self, store: OnlineStore) -> None:
        store.write("a@1", [(b"k", b"a" * 3000), (b"l", b"1")])
        store.write("a@1", [(b"k", b"short")])
        store.write("a@1", [(b"l", b"2" * 3000)])
        assert store.read(["a@1"], [[b"k", b"l"]]) == [[b"short", b"2" * 3000]]
        assert store.count("a@1") == 2

    def test_a_row_is_taken_out_together_with_what_is_put(self, opener: Opener, store: OnlineStore) -> None:
        store.write("a@1", rows(0, 300), b"one")
        store.write("b@1", rows(0, 3))
        names = [key for key, _ in rows(0, 300)]
        gone: list[tuple[bytes, bytes | None]] = [(key, None) for key in names[:100]]
        store.write("a@1", [*gone, (b"never", None), (names[200], b"new")], b"two")
        assert store.read(["a@1", "b@1"], [[names[0], names[99], names[100], b"never", names[200]], [names[0]]]) == [
            [None, None, b"row 100", None, b"new"],
            [b"row 0"],
        ]
        assert (store.count("a@1"), store.count("b@1"), store.mark("a@1")) == (200, 3, b"two")
        store.write("a@1", [(names[0], b"back")])
        store.write("b@1", [(key, None) for key in names[:3]])
        store.close()
        again = opener()
        assert again.read(["a@1", "b@1"], [names[:2], names[:3]]) == [[b"back", None], [None] * 3]
        assert (again.count("a@1"), again.count("b@1"), again.mark("a@1")) == (201, 0, b"two")
        again.close()

    def test_bytes_are_kept_as_they_are(self, store: OnlineStore) -> None:
        every = bytes(range(256))
        store.write("a@1", [(every, every * 20), (b"\x00", b"\x00"), (b"\x00\x00", b"\x00\x00")])
        assert store.read(["a@1"], [[b"\x00\x00", every, b"\x00"]]) == [[b"\x00\x00", every * 20, b"\x00"]]

    def test_marks_belong_to_their_tables_and_count_as_no_row(self, store: OnlineStore) -> None:
        store.write("a@1", rows(0, 3), b"one")
        store.write("b@1", [], b"two")
        store.write("a@1", rows(3, 5))
        assert (store.mark("a@1"), store.mark("b@1")) == (b"one", b"two")
        assert (store.count("a@1"), store.count("b@1")) == (5, 0)
        store.write("a@1", [], b"three")
        assert store.mark("a@1") == b"three"

    def test_a_write_over_another_mark_than_is_there_writes_nothing(self, store: OnlineStore) -> None:
        store.write("a@1", [(b"k", b"1")], b"one", over=[None])
        with pytest.raises(ConflictError, match="feature_view:a"):
            store.write("a@1", [(b"k", b"x")], b"two", over=[None])
        store.write("a@1", [(b"k", b"x")], b"one", over=[None])  # it is there already
        store.write("a@1", [(b"k", b"2"), (b"l", b"1")], b"two", over=[b"other", b"one"])
        with pytest.raises(ConflictError):
            store.write("a@1", [(b"k", b"x"), (b"l", None)], b"three", over=[b"one"])
        with pytest.raises(ConflictError):
            store.write("a@1", [(b"k", b"x")], over=[b"one", None])
        assert (store.read(["a@1"], [[b"k", b"l"]]), store.mark("a@1")) == ([[b"2", b"1"]], b"two")
        store.write("a@1", [(b"l", None)], over=[b"two"])
        store.write("b@1", [(b"k", b"1")], over=[None])
        assert (store.read(["a@1", "b@1"], [[b"k", b"l"], [b"k"]]), store.mark("a@1")) == (
            [[b"2", None], [b"1"]],
            b"two",
        )
        store.drop("a@1")
        with pytest.raises(ConflictError):
            store.write("a@1", [(b"k", b"x")], b"three", over=[b"two"])
        assert store.read(["a@1"], [[b"k"]]) == [[None]]

    def test_what_was_written_is_there_when_opened_anew(self, opener: Opener) -> None:
        first = opener()
        first.write("a@1", rows(0, 100), b"mark")
        first.close()
        again = opener()
        assert again.read(["a@1"], [[(99).to_bytes(8, "big")]]) == [[b"row 99"]]
        assert again.mark("a@1") == b"mark"
        again.close()

    def test_two_stores_of_one_process_share_what_is_written(self, opener: Opener, store: OnlineStore) -> None:
        other = opener()
        other.write("a@1", [(b"k", b"1")], b"m")
        assert store.read(["a@1"], [[b"k"]]) == [[b"1"]]
        other.close()
        store.write("a@1", [(b"k", b"2")])
        assert store.read(["a@1"], [[b"k"]]) == [[b"2"]]

    def test_a_closed_store_says_so(self, opener: Opener) -> None:
        store = opener()
        store.write("a@1", [(b"k", b"1")])
        store.close()
        store.close()
        with pytest.raises(SettingError, match="closed"):
            store.mark("a@1")

    def test_parent_and_forked_children_go_on(self, store: OnlineStore) -> None:
        """Forked while a thread of the parent reads."""
        store.write("f", [(b"parent", b"0")])
        is_over = threading.Event()
        seen: set[bytes | None] = set()

        def read_on() -> None:
            while not is_over.is_set():
                seen.add(store.read(["f"], [[b"parent"]])[0][0])

        reader = threading.Thread(target=read_on)
        reader.start()
        fork = multiprocessing.get_context("fork")
        children = [fork.Process(target=go_on, args=(store, number)) for number in range(3)]
        for child in children:
            child.start()
            store.write("f", [(b"parent", b"1")])
        for child in children:
            child.join(60)
        is_over.set()
        reader.join()
        assert [child.exitcode for child in children] == [0] * 3
        assert seen <= {b"0", b"1"}
        assert store.read(["f"], [[b"0", b"1", b"2", b"parent"]]) == [[b"29", b"29", b"29", b"1"]]

    def test_tables_are_listed_with_their_size(self, store: OnlineStore) -> None:
        store.write("a@1", rows(0, 2000, b"x" * 100), b"mark")
        store.write("b@1", rows(0, 1))
        sizes = store.tables()
        assert set(sizes) == {"a@1", "b@1"}
        assert sizes["a@1"] > 200_000 > sizes["b@1"] > 0

    def test_a_dropped_table_is_gone_with_its_mark(self, store: OnlineStore) -> None:
        store.write("a@1", rows(0, 300), b"mark")
        store.write("b@1", rows(0, 1), b"other")
        store.drop("a@1")
        store.drop("a@1")
        store.drop("never@1")
        assert (store.mark("a@1"), store.count("a@1"), set(store.tables())) == (None, 0, {"b@1"})
        assert store.read(["a@1", "b@1"], [[(7).to_bytes(8, "big")], [(0).to_bytes(8, "big")]]) == [[None], [b"row 0"]]
        store.write("a@1", [(b"new", b"row")])
        assert store.read(["a@1"], [[b"new", (7).to_bytes(8, "big")]]) == [[b"row", None]]
        assert store.mark("a@1") is None

    def test_readers_see_whole_rows_that_never_go_back(self, store: OnlineStore) -> None:
        keys = [number.to_bytes(8, "big") for number in range(200)]
        store.write("a@1", [(key, b"00000" * 40) for key in keys])
        stop = threading.Event()

        def move() -> None:
            for turn in range(1, 60):
                store.write("a@1", [(key, b"%05d" % turn * 40) for key in keys], b"%d" % turn)
            stop.set()

        writer = threading.Thread(target=move)
        writer.start()
        newest = [0] * len(keys)
        while not stop.is_set():
            mark = int(store.mark("a@1") or 0)
            (found,) = store.read(["a@1"], [keys])
            assert all(row is not None and row == row[:5] * 40 for row in found), "half a row was seen"
            turns = [int(row[:5]) for row in found if row is not None]
            assert all(turn >= last for turn, last in zip(turns, newest, strict=True)), "a row went back"
            assert min(turns) >= mark, "a mark was there before its rows"
            newest = turns
        writer.join()

    def test_readers_see_the_rows_of_an_entity_as_one_write_left_them(self, store: OnlineStore) -> None:
        """Each turn moves the heads of many entities and replaces a chunk of each by another."""
        entities = [number.to_bytes(8, "big") for number in range(60)]
        turns = 80

        def rows_of(turn: int) -> list[tuple[bytes, bytes | None]]:
            heads = [(head_key(entity), b"%d" % turn) for entity in entities]
            new = [(chunk_key(entity, turn), b"%d" % turn) for entity in entities]
            return [*heads, *new, *((chunk_key(entity, turn - 1), None) for entity in entities)]

        store.write("a@1", rows_of(0))

        def move() -> None:
            for turn in range(1, turns + 1):
                store.write("a@1", rows_of(turn))

        writer = threading.Thread(target=move)
        writer.start()
        reads = 0
        while writer.is_alive() or not reads:
            for entity in random.sample(entities, 5):
                head, *chunks = store.read(
                    ["a@1"], [[head_key(entity), *(chunk_key(entity, turn) for turn in range(turns + 1))]]
                )[0]
                assert chunks == [b"%d" % turn if b"%d" % turn == head else None for turn in range(turns + 1)]
                reads += 1
        writer.join()
        assert store.count("a@1") == 2 * len(entities)

    def test_two_writers_leave_whole_rows_and_a_mark_of_one_of_them(self, opener: Opener, store: OnlineStore) -> None:
        keys = [number.to_bytes(8, "big") for number in range(300)]

        def write(letter: bytes, order: list[bytes]) -> None:
            own = opener()
            for turn in range(20):
                own.write("a@1", [(key, letter * (50 + turn)) for key in order], letter)
            own.close()

        orders = ((b"x", keys), (b"y", keys[::-1]))
        writers = [threading.Thread(target=write, args=arguments) for arguments in orders]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        (found,) = store.read(["a@1"], [keys])
        assert set(found) <= {b"x" * 69, b"y" * 69}
        assert store.mark("a@1") in (b"x", b"y")
        assert store.count("a@1") == 300

    def test_any_history_of_writes_and_drops_leaves_what_a_dict_would_hold(self, store: OnlineStore) -> None:
        draw = random.Random(11)
        keys = [bytes([number]) * draw.randint(1, 300) for number in range(40)]
        held: dict[str, dict[bytes, bytes]] = {}
        marks: dict[str, bytes] = {}
        for step in range(120):
            table = draw.choice(("a@1", "b@1", "c@1"))
            if draw.random() < 0.1:
                store.drop(table)
                held.pop(table, None)
                marks.pop(table, None)
            else:
                chosen = draw.sample(keys, draw.randint(0, 12))
                batch = [(key, None if draw.random() < 0.3 else b"%d" % step * draw.randint(1, 90)) for key in chosen]
                mark = b"mark %d" % step if draw.random() < 0.5 else None
                store.write(table, batch, mark)
                rows = held.setdefault(table, {})
                for key, row in batch:
                    rows.pop(key, None)
                    rows.update({} if row is None else {key: row})
                marks.update({} if mark is None else {table: mark})
            tables = draw.sample(("a@1", "b@1", "c@1"), 3)
            asked = [draw.sample(keys, 20) for _ in tables]
            expected = [[held.get(name, {}).get(key) for key in some] for name, some in zip(tables, asked, strict=True)]
            assert store.read(tables, asked) == expected
            assert [store.mark(name) for name in tables] == [marks.get(name) for name in tables]
        assert [store.count(name) for name in ("a@1", "b@1", "c@1")] == [
            len(held.get(name, {})) for name in ("a@1", "b@1", "c@1")
        ]


class OneStateContract(OnlineContract):
    """What a store must do besides whose reads are of one state and whose writes are all or nothing."""

    def test_of_writers_over_one_mark_one_is_the_first(self, opener: Opener, store: OnlineStore) -> None:
        """Each adds one to a number, over the mark under which it read it: none of them adds to what is gone."""
        store.write("a@1", [(b"n", b"0")], b"0")
        added = []

        def add(writer: int) -> None:
            own = opener()
            for turn in range(25):
                mark = own.mark("a@1")
                number = int(own.read(["a@1"], [[b"n"]])[0][0] or b"")
                try:
                    own.write("a@1", [(b"n", b"%d" % (number + 1))], b"%d %d" % (writer, turn), over=[mark])
                except ConflictError:
                    continue
                added.append(writer)
            own.close()

        writers = [threading.Thread(target=add, args=(number,)) for number in range(3)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert len(added) >= 25
        assert store.read(["a@1"], [[b"n"]]) == [[b"%d" % len(added)]]

    def test_a_read_sees_one_state_of_all_tables(self, store: OnlineStore) -> None:
        """A writer moves two tables of one transaction each; a read never sees the second ahead of the first."""
        keys = [number.to_bytes(8, "big") for number in range(200)]
        for table in ("a@1", "b@1"):
            store.write(table, [(key, b"00000") for key in keys])
        stop = threading.Event()

        def move() -> None:
            for turn in range(1, 150):
                for table in ("a@1", "b@1"):
                    store.write(table, [(key, b"%05d" % turn) for key in keys])
            stop.set()

        writer = threading.Thread(target=move)
        writer.start()
        while not stop.is_set():
            first, second = store.read(["a@1", "b@1"], [keys, random.sample(keys, 20)])
            assert len(set(first)) == 1, "half a batch was seen"
            assert len(set(second)) == 1, "half a batch was seen"
            assert first[0] is not None
            assert second[0] is not None
            assert int(first[0]) - 1 <= int(second[0]) <= int(first[0])
        writer.join()
