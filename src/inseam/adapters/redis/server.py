"""The server that an address leads to: one Redis, or a cluster of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import hiredis

from inseam.adapters.redis.address import Address
from inseam.adapters.redis.cluster import Cluster
from inseam.adapters.redis.fault import LATE, LOST
from inseam.adapters.redis.link import Links

_MULTI, _EXEC = hiredis.pack_command((b"MULTI",)), hiredis.pack_command((b"EXEC",))


class Server(Protocol):
    """Sends commands, each packed, about one key and safe to repeat, and gives their replies in the same order.

    ``is_one_state``: they are one transaction, so that no other client's commands fall between them. A reply may be a
    `hiredis.ReplyError`. A `fault.LOST` is raised when not all have come by the deadline.
    """

    is_one_state: bool

    def exchange(self, commands: Sequence[bytes], slots: Sequence[int], deadline: float) -> list[Any]:
        """``slots`` are those of the commands' keys, in a cluster."""

    def everywhere(self, command: bytes, deadline: float) -> list[Any]:
        """The reply of each node that holds data."""

    def close(self) -> None: ...


class Single:
    """One Redis: all commands go out in one piece, all replies come back."""

    is_one_state = True

    def __init__(self, links: Links) -> None:
        self._links = links

    def exchange(self, commands: Sequence[bytes], slots: Sequence[int], deadline: float) -> list[Any]:
        request = b"".join(commands if len(commands) == 1 else (_MULTI, *commands, _EXEC))
        try:
            return self._attempt(request, len(commands), deadline)
        except LATE:
            raise
        except LOST:
            self._links.close()  # a server that was restarted: idle links are as dead as this one
            return self._attempt(request, len(commands), deadline)

    def everywhere(self, command: bytes, deadline: float) -> list[Any]:
        return self.exchange([command], (), deadline)

    def close(self) -> None:
        self._links.close()

    def _attempt(self, request: bytes, count: int, deadline: float) -> list[Any]:
        with self._links.borrow(deadline) as link:
            link.send(request, deadline)
            if count == 1:
                return link.receive(1, deadline)
            *queued, done = link.receive(count + 2, deadline)
        if isinstance(done, list):
            return done
        # Nothing was done. The first error says why, the last one only that.
        return [next(reply for reply in (*queued, done) if isinstance(reply, hiredis.ReplyError))] * count


def find_server(address: Address, connections: int, deadline: float) -> Server:
    """Ask what is there. ``connections``: the most to one node."""
    links = Links(address, connections)
    (hello,) = Single(links).everywhere(hiredis.pack_command((b"HELLO",)), deadline)
    if isinstance(hello, list) and dict(zip(hello[::2], hello[1::2], strict=True)).get(b"mode") == b"cluster":
        return Cluster(links, connections, deadline)
    return Single(links)
