"""The prediction log of one process: what it has taken is durable before anybody is answered."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from inseam.stages.serve import segment
from inseam.stages.serve.record import Batch, Context, Entry, Outcome
from inseam.stages.serve.settings import Durability, ServeSettings


class PredictionLog:
    """Appends to one open segment in ``directory``; used from one event loop (or one thread).

    Many processes share a directory, each with its own segments. ``bytes_written`` counts since the start.
    """

    def __init__(self, directory: Path, settings: ServeSettings | None = None) -> None:
        self.directory = directory
        self.bytes_written = 0
        self.is_full = False
        self._settings = settings or ServeSettings()
        self._encoder = msgspec.msgpack.Encoder()
        self._path: Path | None = None
        self._descriptor = -1
        self._size = 0
        self._opened_at = 0.0
        self._said: set[str] = set()
        self._waiting: asyncio.Future[None] | None = None
        self._syncing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "prediction-log")
        directory.mkdir(parents=True, exist_ok=True)
        self._measure()

    def append(self, batches: Sequence[tuple[Context, Batch]], outcomes: Sequence[Outcome] = ()) -> None:
        """Write all of these in one system call. An OSError means that none of them was written."""
        if self._path is None:
            self._open()
        entries: list[Entry] = []
        fresh: list[str] = []
        for context, batch in batches:
            if context.id not in self._said and context.id not in fresh:
                fresh.append(context.id)
                entries.append(context)
            entries.append(batch)
        entries += outcomes
        data = segment.frame(entries, self._encoder)
        try:
            segment.write_all(self._descriptor, data, at=self._size)
        except OSError:
            self._abandon()
            raise
        self._said.update(fresh)
        self._size += len(data)
        self.bytes_written += len(data)
        if self._size >= self._settings.segment_bytes:
            self.roll()

    def settled(self) -> asyncio.Future[None] | None:
        """None when what was appended is durable already, else a future that one fsync settles for all who wait."""
        if self._settings.durability is Durability.PROCESS:
            return None
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_future()
            if self._syncing is None:
                self._syncing = asyncio.get_running_loop().create_task(self._sync())
        return self._waiting

    def tend(self) -> None:
        """Seal a segment that has grown old and measure the directory; call it every few seconds."""
        if self._path is not None and time.monotonic() - self._opened_at >= self._settings.segment_seconds:
            self.roll()
        self._measure()

    def roll(self) -> None:
        """Seal the open segment; the next append opens another."""
        if self._path is None:
            return
        if self._settings.durability is Durability.DISK:
            os.fsync(self._descriptor)
        if self._size > len(segment.MAGIC):
            segment.seal(self._path)
        else:
            self._path.unlink(missing_ok=True)
        if self._settings.durability is Durability.DISK:
            _sync_directory(self.directory)
        os.close(self._descriptor)
        self._path, self._descriptor = None, -1

    def close(self) -> None:
        self._thread.shutdown(wait=True)
        self.roll()

    def _open(self) -> None:
        self._path, self._descriptor = segment.create(self.directory)
        self._size = len(segment.MAGIC)
        self._opened_at = time.monotonic()
        self._said.clear()
        if self._settings.durability is Durability.DISK:
            _sync_directory(self.directory)

    def _abandon(self) -> None:
        # After a failed write the file was cut back to its last whole frame; a fresh segment starts from known state.
        try:
            self.roll()
        except OSError:
            os.close(self._descriptor)
            self._path, self._descriptor = None, -1

    def _measure(self) -> None:
        total = 0
        for entry in os.scandir(self.directory):
            try:
                total += entry.stat().st_size
            except FileNotFoundError:
                continue
        self.is_full = total >= self._settings.log_limit_bytes

    async def _sync(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            # A roll may close the segment meanwhile (after its own fsync): the duplicate stays valid.
            descriptor = os.dup(self._descriptor) if self._descriptor >= 0 else -1
            try:
                if descriptor >= 0:
                    await loop.run_in_executor(self._thread, os.fsync, descriptor)
                waiting.set_result(None)
            except OSError as error:
                waiting.set_exception(error)
            finally:
                if descriptor >= 0:
                    os.close(descriptor)
        self._syncing = None


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
