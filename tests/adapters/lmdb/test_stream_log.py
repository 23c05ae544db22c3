"""What the stream log on LMDB has beyond the contract: a window in which ids are known, a map that grows."""

from pathlib import Path

from inseam.adapters.lmdb.stream_log import LmdbStreamLog
from inseam.kernel.clock import DAY, frozen_at
from inseam.ports.stream_log import Push

NOON = 1_700_000_000_000_000


def test_ids_are_known_for_their_time_and_then_forgotten(tmp_path: Path) -> None:
    log = LmdbStreamLog(tmp_path / "stream", ids_kept=2 * DAY)
    with frozen_at(NOON):
        first = log.append("orders", [Push(b"a", b"1"), Push(b"b", b"1")])
    with frozen_at(NOON + 2 * DAY):
        assert log.append("orders", [Push(b"a", b"2")]) == first[:1]
    with frozen_at(NOON + 2 * DAY + 1):
        second = log.append("orders", [Push(b"a", b"3")])
        assert second[0] > first[1]
        assert log.append("orders", [Push(b"a", b"4")]) == second
    with frozen_at(NOON + 4 * DAY + 1):
        assert log.append("orders", [Push(b"a", b"5")]) == second
    log.close()


def test_ids_of_years_take_no_more_room_than_those_of_their_time(tmp_path: Path) -> None:
    log = LmdbStreamLog(tmp_path / "stream", map_size_bytes=1 << 16, ids_kept=DAY)
    for day in range(30):
        with frozen_at(NOON + day * 2 * DAY):
            log.append("orders", [Push(b"%d-%d" % (day, number), b"x" * 20) for number in range(200)])
            log.trim("orders", 200 * (day + 1))
    sizes = log._environment.view(("ids", "ages"), lambda txn, handles: [txn.stat(h)["entries"] for h in handles])
    assert sizes == [200, 200]
    log.close()


def test_the_map_grows(tmp_path: Path) -> None:
    log = LmdbStreamLog(tmp_path / "stream", map_size_bytes=1 << 16)
    rows = [Push(b"%d" % number, bytes(1000)) for number in range(2000)]
    assert log.append("orders", rows) == list(range(1, 2001))
    assert log.append("orders", rows) == list(range(1, 2001))
    assert len(log.read("orders", 0, 5000)) == 2000
    log.close()
