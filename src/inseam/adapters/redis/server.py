"""The server that an address leads to: one Redis, or a cluster of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import hiredis

from inseam.adapters.redis.address import Address
from inseam.adapters.redis.cluster import Cluster
from inseam.adapters.redis.fault import LATE, LOST
from inseam.adapters.redis.layout import Read, Watched
from inseam.adapters.redis.link import Links
from inseam.adapters.redis.tracked import Tracked, can_track


class Server(Protocol):
    """Sends commands, each packed, about one key and safe to repeat, and gives their replies in the same order.

    ``is_one_state``: they are one transaction, so that no other client's commands fall between them. A reply may be a
    `hiredis.ReplyError`. A `fault.LOST` is raised when not all have come by the deadline.
    """

    is_one_state: bool

    def exchange(
        self, commands: Sequence[bytes], slots: Sequence[int], deadline: float, watched: Watched | None = None
    ) -> list[Any]:
        """``slots`` are those of the commands' keys, in a cluster.

        No reply where the ``watched`` key lets nothing be sent. Where the commands are no transaction, it is looked at
        before them.
        """

    def read(self, reads: Sequence[Read], slots: Sequence[int], deadline: float) -> list[Any]:
        """The replies that `exchange` would give to reads of rows, which may be remembered ones (`tracked`)."""

    def everywhere(self, command: bytes, deadline: float) -> list[Any]:
        """The reply of each node that holds data."""

    def close(self) -> None: ...


class Single:
    """One Redis: all commands go out in one piece, all replies come back."""

    is_one_state = True

    def __init__(self, links: Links, tracked: Tracked | None = None) -> None:
        self._links = links
        self._tracked = tracked

    def exchange(
        self, commands: Sequence[bytes], slots: Sequence[int], deadline: float, watched: Watched | None = None
    ) -> list[Any]:
        try:
            return self._attempt(commands, deadline, watched)
        except LATE:
            raise
        except LOST:
            self._links.close()  # a server that was restarted: idle links are as dead as this one
            return self._attempt(commands, deadline, watched)
        finally:
            if self._tracked is not None:
                self._tracked.doubt()

    def read(self, reads: Sequence[Read], slots: Sequence[int], deadline: float) -> list[Any]:
        found = None
        if self._tracked is not None:
            try:
                found = self._tracked.read(reads, deadline)
            except LATE:
                raise
            except LOST:
                pass  # the server was restarted, perhaps
            except hiredis.ReplyError:  # it tracks for nobody, or not for us
                self._tracked = None
        return self.exchange([*map(b"".join, reads)], slots, deadline) if found is None else found

    def everywhere(self, command: bytes, deadline: float) -> list[Any]:
        return self.exchange([command], (), deadline)

    def close(self) -> None:
        self._links.close()
        if self._tracked is not None:
            self._tracked.close()

    def _attempt(self, commands: Sequence[bytes], deadline: float, watched: Watched | None) -> list[Any]:
        with self._links.borrow(deadline) as link:
            return link.transact(commands, deadline, watched)


def find_server(address: Address, connections: int, cache_bytes: int, deadline: float) -> Server:
    """Ask what is there. ``connections``: the most to one node; ``cache_bytes``: what remembered replies may take."""
    has_cache = cache_bytes > 0 and connections > 1  # one of them is the tracked one
    links = Links(address, connections - has_cache)
    (reply,) = Single(links).everywhere(hiredis.pack_command((b"HELLO",)), deadline)
    said = dict(zip(reply[::2], reply[1::2], strict=True)) if isinstance(reply, list) else {}
    if said.get(b"mode") == b"cluster":
        return Cluster(links, connections, deadline)
    return Single(links, Tracked(address, cache_bytes) if has_cache and can_track(said) else None)
