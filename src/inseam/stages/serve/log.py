"""The prediction log of one process: what it has taken is durable before anybody is answered."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import msgspec

from inseam.kernel.errors import SettingError
from inseam.stages.serve import segment
from inseam.stages.serve.record import Batch, Context, Entry, Outcome
from inseam.stages.serve.settings import Durability, ServeSettings


class PredictionLog:
    """Appends to one open segment in ``directory``; used from one event loop (or one thread).

    Many processes share a directory, each with its own segments. ``bytes_written`` counts since the start. ``failure``:
    what the disk said last, None once it takes writes again. `SettingError` when there can be no such directory.
    """

    def __init__(self, directory: Path, settings: ServeSettings | None = None) -> None:
        self.directory = directory
        self.bytes_written = 0
        self.is_full = False
        self.failure: str | None = None
        self._settings = settings or ServeSettings()
        self._encoder = msgspec.msgpack.Encoder()
        self._path: Path | None = None
        self._descriptor = -1
        self._size = 0
        self._opened_at = 0.0
        self._said: set[str] = set()
        self._waiting: asyncio.Future[None] | None = None
        self._syncing: asyncio.Task[None] | None = None
        self._lost = 0
        self._thread = ThreadPoolExecutor(1, "prediction-log")
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._measure()
        except OSError as error:
            raise SettingError(str(directory), f"the prediction log cannot be kept here: {error.strerror}") from None

    @property
    def problem(self) -> str | None:
        """Why predictions are refused, None when they are taken."""
        if self.is_full:
            return "its size limit is reached: run `inseam compact`"
        return None if self.failure is None else f"it cannot be written: {self.failure}"

    def append(self, batches: Sequence[tuple[Context, Batch]], outcomes: Sequence[Outcome] = ()) -> None:
        """Write all of these in one system call. An OSError means that none of them was written."""
        try:
            self._append(batches, outcomes)
        except OSError as error:
            self.failure = error.strerror
            raise
        self.failure = None

    def _append(self, batches: Sequence[tuple[Context, Batch]], outcomes: Sequence[Outcome]) -> None:
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
        """Seal a segment that has grown old, measure the directory, and after a failure try whether it is over; call it
        every few seconds."""
        if self.failure is not None and self._path is None:
            # Nobody may ask a server that is not ready, so it does not wait for a prediction to find out.
            self._open()
            self.failure = None
        if self._path is not None and time.monotonic() - self._opened_at >= self._settings.segment_seconds:
            self.roll()
        self._measure()

    def roll(self) -> None:
        """Seal the open segment; the next append opens another."""
        if self._path is None:
            return
        path, descriptor = self._path, self._descriptor
        # Whatever fails below, nothing is appended to this segment again: what stays open is sealed as an orphan's.
        self._path, self._descriptor = None, -1
        try:
            if self._settings.durability is Durability.DISK:
                self._sync_at_once(descriptor)
            if self._size > len(segment.MAGIC):
                segment.seal(path)
            else:
                path.unlink(missing_ok=True)
            if self._settings.durability is Durability.DISK:
                _sync_directory(self.directory)
        finally:
            os.close(descriptor)

    def _sync_at_once(self, descriptor: int) -> None:
        try:
            os.fsync(descriptor)
        except OSError as error:
            # The kernel tells of lost pages once: another sync of this file would be told that all is well.
            self._lost += 1
            if self._waiting is not None:
                self._waiting.set_exception(error)
                self._waiting = None
            raise

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
        with suppress(OSError):
            self.roll()

    def _measure(self) -> None:
        total = 0
        for entry in os.scandir(self.directory):
            try:
                total += entry.stat().st_size
            except FileNotFoundError:
                continue
        self.is_full = total >= self._settings.log_limit_bytes

    async def _sync(self) -> None:
        while self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            try:
                await self._synced()
                waiting.set_result(None)
            except OSError as error:
                self.failure = error.strerror
                waiting.set_exception(error)
                # Pages of it may be lost: what is appended behind them could not be read.
                self._abandon()
        self._syncing = None

    async def _synced(self) -> None:
        if self._descriptor < 0:
            return  # sealed meanwhile, after a sync of its own
        lost = self._lost
        # A roll may close the segment meanwhile: the duplicate stays valid.
        descriptor = os.dup(self._descriptor)
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, os.fsync, descriptor)
        finally:
            os.close(descriptor)
        if self._lost != lost:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
