"""The prediction log's segments: durable, torn tails, orphans, bounds."""

import asyncio
import fcntl
import os
import time

import numpy as np
import pytest
from log_entries import CONTEXT, batch, outcome

from inseam.stages.serve import segment
from inseam.stages.serve.log import PredictionLog
from inseam.stages.serve.record import Batch, Context
from inseam.stages.serve.settings import Durability, ServeSettings


def values(path) -> list[float]:
    entries = [entry for entries in segment.read(path) for entry in entries]
    return [np.frombuffer(entry.output)[0] for entry in entries if isinstance(entry, Batch)]


def only(directory, suffix):
    [path] = directory.glob(f"*{suffix}")
    return path


def test_what_was_appended_is_in_the_file_at_once(tmp_path):
    log = PredictionLog(tmp_path)
    log.append([(CONTEXT, batch(1.0)), (CONTEXT, batch(2.0))], [outcome()])
    assert values(only(tmp_path, ".open")) == [1.0, 2.0]
    log.append([(CONTEXT, batch(3.0))])
    contexts = [e for entries in segment.read(only(tmp_path, ".open")) for e in entries if isinstance(e, Context)]
    assert contexts == [CONTEXT]
    assert log.bytes_written == only(tmp_path, ".open").stat().st_size - len(segment.MAGIC)
    log.close()
    assert values(only(tmp_path, ".seg")) == [1.0, 2.0, 3.0]


def test_a_torn_tail_at_any_byte_drops_the_last_frame_only(tmp_path):
    log = PredictionLog(tmp_path)
    log.append([(CONTEXT, batch(1.0))])
    whole = only(tmp_path, ".open").stat().st_size
    log.append([(CONTEXT, batch(2.0))])
    content = only(tmp_path, ".open").read_bytes()
    log.close()
    torn = tmp_path / "torn.seg"
    for length in range(whole, len(content)):
        torn.write_bytes(content[:length])
        assert values(torn) == [1.0]
    for place in range(whole, len(content)):
        torn.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert values(torn) == [1.0]
    torn.write_bytes(content[:4])
    assert values(torn) == []


def test_a_failed_write_leaves_no_trace_and_the_next_one_starts_a_segment(tmp_path, monkeypatch):
    log = PredictionLog(tmp_path)
    log.append([(CONTEXT, batch(1.0))])
    real, calls = os.write, []

    def half(descriptor, data):
        calls.append(len(data))
        if len(calls) == 1:
            return real(descriptor, bytes(data)[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        log.append([(CONTEXT, batch(2.0))])
    monkeypatch.undo()
    log.append([(CONTEXT, batch(3.0))])
    assert values(only(tmp_path, ".seg")) == [1.0]
    assert values(only(tmp_path, ".open")) == [3.0]
    log.close()


def test_segments_are_sealed_by_size_and_by_age_and_each_says_its_contexts(tmp_path):
    log = PredictionLog(tmp_path, ServeSettings(segment_bytes=600, segment_seconds=0.0))
    for place in range(10):
        log.append([(CONTEXT, batch(float(place)))])
    sealed = sorted(tmp_path.glob("*.seg"))
    assert len(sealed) > 1
    for path in sealed:
        assert sum(isinstance(entry, Context) for entries in segment.read(path) for entry in entries) == 1
    time.sleep(0.01)
    log.tend()
    assert not list(tmp_path.glob("*.open"))
    assert [value for path in sorted(tmp_path.glob("*.seg")) for value in values(path)] == list(map(float, range(10)))
    log.close()


def test_an_open_segment_is_sealed_by_others_only_when_its_writer_is_gone(tmp_path):
    log = PredictionLog(tmp_path)
    log.append([(CONTEXT, batch(1.0))])
    assert segment.seal_orphans(tmp_path) == 0
    fcntl.flock(log._descriptor, fcntl.LOCK_UN)  # what the kernel does when a process dies
    assert segment.seal_orphans(tmp_path) == 1
    assert values(only(tmp_path, ".seg")) == [1.0]


def test_a_directory_over_its_bound_is_full_until_it_is_emptied(tmp_path):
    log = PredictionLog(tmp_path, ServeSettings(log_limit_bytes=500, segment_bytes=100))
    assert not log.is_full
    log.append([(CONTEXT, batch(1.0, rows=50))])
    log.tend()
    assert log.is_full
    only(tmp_path, ".seg").unlink()
    log.tend()
    assert not log.is_full
    log.close()


def test_durable_on_disk_many_waiters_share_one_sync(tmp_path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (synced.append(descriptor), real(descriptor)))
    log = PredictionLog(tmp_path, ServeSettings(durability=Durability.DISK))

    async def write() -> None:
        log.append([(CONTEXT, batch(1.0))])
        synced.clear()
        first = log.settled()
        for _ in range(20):
            log.append([(CONTEXT, batch(2.0))])
            assert log.settled() is first
        await first
        assert len(synced) == 1
        log.append([(CONTEXT, batch(3.0))])
        await log.settled()
        assert len(synced) == 2

    asyncio.run(write())
    log.close()


def test_a_failed_sync_is_told_to_those_who_wait(tmp_path, monkeypatch):
    log = PredictionLog(tmp_path, ServeSettings(durability=Durability.DISK))
    log.append([(CONTEXT, batch(1.0))])

    def broken(descriptor):
        raise OSError(5, "Input/output error")

    async def write() -> None:
        monkeypatch.setattr(os, "fsync", broken)
        with pytest.raises(OSError, match="Input/output"):
            await log.settled()
        monkeypatch.undo()

    asyncio.run(write())
    log.close()
