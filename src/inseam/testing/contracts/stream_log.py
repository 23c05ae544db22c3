"""What every `inseam.ports.stream_log.StreamLog` must do. Subclass and give a fixture ``opener``: an `Opener` of an
empty log."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import cast

import pytest

from inseam.kernel.clock import SECOND, frozen_at
from inseam.ports.stream_log import Push, StreamLog, StreamRow

NOON = 1_700_000_000_000_000
ALL = 1_000_000


@dataclass(frozen=True)
class Opener:
    """How to open the log under test, from this process or from another: ``factory`` is ``module:name``."""

    factory: str
    address: str

    def open(self) -> StreamLog:
        module, _, name = self.factory.partition(":")
        return cast(StreamLog, getattr(import_module(module), name)(self.address))

    def process(self, first: int, step: int = 1) -> subprocess.Popen[str]:
        """A process that appends for ever: see `inseam.testing.contracts.stream_log_process`."""
        program = [sys.executable, "-m", "inseam.testing.contracts.stream_log_process", self.factory, self.address]
        return subprocess.Popen([*program, str(first), str(step)], stdout=subprocess.PIPE, text=True)


def pushes(*names: str) -> list[Push]:
    return [Push(name.encode(), f"row {name}".encode()) for name in names]


def payloads(rows: list[StreamRow]) -> list[bytes]:
    return [row.payload for row in rows]


class StreamLogContract:
    @pytest.fixture
    def log(self, opener: Opener) -> Iterator[StreamLog]:
        log = opener.open()
        yield log
        log.close()

    def test_an_empty_log_has_nothing(self, log: StreamLog) -> None:
        assert log.sources() == ()
        assert log.read("orders", 0, ALL) == []
        assert log.append("orders", []) == []
        assert log.sources() == ()
        log.trim("orders", 5)
        assert log.fence("orders").sequence == 0

    def test_rows_are_read_in_the_order_of_their_sequences(self, log: StreamLog) -> None:
        first = log.append("orders", pushes("a", "b"))
        second = log.append("orders", pushes("c"))
        assert first + second == sorted(set(first + second))
        assert first[0] > 0
        assert [row.sequence for row in log.read("orders", 0, ALL)] == first + second
        assert payloads(log.read("orders", first[0], ALL)) == [b"row b", b"row c"]
        assert payloads(log.read("orders", 0, 2)) == [b"row a", b"row b"]
        assert log.read("orders", second[0], ALL) == []

    def test_a_known_id_is_its_first_row_again(self, opener: Opener, log: StreamLog) -> None:
        first = log.append("orders", pushes("a", "b"))
        assert log.append("orders", [Push(b"b", b"other"), *pushes("c"), Push(b"c", b"other")])[0] == first[1]
        log.trim("orders", first[1])
        log.close()
        again = opener.open()
        assert again.append("orders", pushes("b", "a")) == [first[1], first[0]]
        assert payloads(again.read("orders", 0, ALL)) == [b"row c"]
        again.close()

    def test_sources_have_logs_of_their_own(self, log: StreamLog) -> None:
        log.append("orders", pushes("a", "b"))
        log.append("order", pushes("a"))
        log.append("orders_2", pushes("x"))
        assert payloads(log.read("order", 0, ALL)) == [b"row a"]
        assert payloads(log.read("orders", 0, ALL)) == [b"row a", b"row b"]
        log.trim("order", ALL)
        assert payloads(log.read("orders", 0, ALL)) == [b"row a", b"row b"]
        assert payloads(log.read("orders_2", 0, ALL)) == [b"row x"]
        assert sorted(log.sources()) == ["order", "orders", "orders_2"]

    def test_bytes_are_kept_as_they_are(self, log: StreamLog) -> None:
        every = bytes(range(256))
        rows = [Push(every * 20, every), Push(b"", b""), Push(b"\0", b"\0" * 3), Push(b"\0\0", every * 5000)]
        log.append("orders", rows)
        assert payloads(log.read("orders", 0, ALL)) == [row.payload for row in rows]
        assert len(set(log.append("orders", rows))) == 4

    def test_sequences_go_on_after_all_rows_were_trimmed(self, opener: Opener, log: StreamLog) -> None:
        (last,) = log.append("orders", pushes("a"))
        log.trim("orders", last)
        assert log.read("orders", 0, ALL) == []
        log.close()
        again = opener.open()
        assert again.fence("orders").sequence == last
        assert again.append("orders", pushes("b"))[0] > last
        again.close()

    def test_rows_up_to_a_sequence_are_let_go_of(self, log: StreamLog) -> None:
        given = log.append("orders", pushes(*map(str, range(500))))
        log.trim("orders", given[299])
        log.trim("orders", given[99])
        assert [row.sequence for row in log.read("orders", 0, ALL)] == given[300:]

    def test_instants_are_the_clock_s_and_never_go_back(self, log: StreamLog) -> None:
        for name, instant in (("a", NOON), ("b", NOON - 5 * SECOND), ("c", NOON + SECOND)):
            with frozen_at(instant):
                log.append("orders", pushes(name))
        assert [row.ingested_at for row in log.read("orders", 0, ALL)] == [NOON, NOON, NOON + SECOND]

    def test_what_comes_after_a_fence_is_stamped_after_it(self, opener: Opener, log: StreamLog) -> None:
        with frozen_at(NOON):
            first = log.append("orders", pushes("a"))
            fence = log.fence("orders")
            assert (fence.sequence, fence.instant) == (first[0], NOON)
            assert log.fence("orders") == fence
        log.close()
        again = opener.open()
        with frozen_at(NOON - SECOND):
            again.append("orders", pushes("b"))
        assert [row.ingested_at > NOON for row in again.read("orders", 0, ALL)] == [False, True]
        with frozen_at(NOON - SECOND):
            behind = again.fence("orders")
        covered = [row.sequence for row in again.read("orders", 0, ALL) if row.ingested_at <= behind.instant]
        assert all(sequence <= behind.sequence for sequence in covered)
        again.close()

    def test_a_fence_holds_among_processes_that_append(self, opener: Opener, log: StreamLog) -> None:
        writers = [opener.process(first) for first in (0, 1_000_000)]
        try:
            for writer in writers:
                assert writer.stdout is not None
                writer.stdout.readline()
            fences = [log.fence("orders") for _ in range(50)]
        finally:
            for writer in writers:
                writer.kill()
                writer.communicate()
        rows = log.read("orders", 0, ALL)
        for fence in fences:
            assert all((row.sequence <= fence.sequence) == (row.ingested_at <= fence.instant) for row in rows)
        assert [row.sequence for row in rows] == sorted({row.sequence for row in rows})
        assert [row.ingested_at for row in rows] == sorted(row.ingested_at for row in rows)

    @pytest.mark.parametrize("acknowledged", [1, 8, 31])
    def test_a_kill_loses_nothing_acknowledged_and_keeps_nothing_twice(self, opener: Opener, acknowledged: int) -> None:
        """Two processes push numbers of which each third is the other's too; both are killed."""
        writers = [opener.process(0, 2), opener.process(0, 3)]
        said: list[str] = []
        for writer in writers:
            assert writer.stdout is not None
            said += [writer.stdout.readline() for _ in range(acknowledged)]
        for writer in writers:
            writer.kill()
            said += [line for line in writer.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]
        log = opener.open()
        rows = {row.sequence: row.payload for row in log.read("orders", 0, ALL)}
        assert len(set(rows.values())) == len(rows), "a row is there twice"
        for number, sequence in (line.split() for line in said):
            assert rows[int(sequence)] == number.encode()
        log.close()

    def test_threads_that_push_the_same_rows_get_the_same_sequences(self, log: StreamLog) -> None:
        names = [str(number) for number in range(40)]
        found: list[dict[str, int]] = []

        def push() -> None:
            found.append({name: log.append("orders", pushes(name))[0] for name in names})

        threads = [threading.Thread(target=push) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [found[0]] * 4
        assert len(log.read("orders", 0, ALL)) == len(names)
