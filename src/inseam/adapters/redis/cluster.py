"""A Redis Cluster: which node holds which slot, one pipeline a node, redirections followed until the deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Any

import hiredis
from redis.exceptions import ConnectionError as LostError

from inseam.adapters.redis.fault import LATE, LOST
from inseam.adapters.redis.layout import Read, Watched, command, read_many, reply_count
from inseam.adapters.redis.link import Link, Links, first_error

Node = tuple[str, int]
_SLOTS = hiredis.pack_command((b"CLUSTER", b"SLOTS"))
_ASKING = hiredis.pack_command((b"ASKING",))
_SLOT_COUNT = 16384
_PAUSE_SECONDS = 0.05
_PASSING = ("MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "LOADING", "READONLY")
"""Replies that say that a slot is on its way elsewhere, or that its node is being replaced."""


class Cluster:
    """`inseam.adapters.redis.server.Server` over the cluster's primaries; nodes come and go while it is used."""

    is_one_state = False

    def __init__(self, seed: Links, connections: int, deadline: float) -> None:
        self._seed = seed
        self._connections = connections
        self._nodes: dict[Node, Links] = {}
        self._owners: list[Node | None] = []
        self._lock = threading.Lock()
        self._learn(deadline)

    def exchange(
        self, commands: Sequence[bytes], slots: Sequence[int], deadline: float, watched: Watched | None = None
    ) -> list[Any]:
        if watched is not None:
            (held,) = self.exchange([command(b"GET", watched.key)], [watched.slot], deadline)
            if isinstance(held, hiredis.ReplyError):
                return [held]
            if not watched.may_go_on(held):
                return []
        while True:
            try:
                replies = self._attempt(commands, slots, deadline)
                passing = next((fault for fault in map(_fault, replies) if fault.startswith(_PASSING)), None)
                if passing is None:
                    return replies
                fault = passing
            except LATE:
                raise
            except LOST as error:
                fault = str(error)
                self.close()
            if not fault.startswith("MOVED"):
                if time.monotonic() + _PAUSE_SECONDS >= deadline:
                    raise LostError(fault)
                time.sleep(_PAUSE_SECONDS)
            self._learn(deadline)

    def read(self, reads: Sequence[Read], slots: Sequence[int], deadline: float) -> list[Any]:
        """Rows of one bucket are of one state.

        Nothing is remembered: what nodes push is in no order with each other, nor with slots that move.
        """
        together: dict[bytes, list[int]] = {}
        for place, (head, _) in enumerate(reads):
            together.setdefault(head, []).append(place)
        groups = list(together.values())
        commands = [_read_command(reads, group) for group in groups]
        found = self.exchange(commands, [slots[group[0]] for group in groups], deadline)
        replies: list[Any] = [None] * len(reads)
        for group, reply in zip(groups, found, strict=True):
            rows = reply if len(group) > 1 and isinstance(reply, list) else [reply] * len(group)
            for place, row in zip(group, rows, strict=True):
                replies[place] = row
        return replies

    def everywhere(self, command: bytes, deadline: float) -> list[Any]:
        replies = []
        for node in sorted({owner for owner in self._owners if owner is not None}):
            with self._links(node).borrow(deadline) as link:
                link.send(command, deadline)
                replies += link.receive(1, deadline)
        return replies

    def close(self) -> None:
        for links in (self._seed, *self._nodes.values()):
            links.close()

    def _attempt(self, commands: Sequence[bytes], slots: Sequence[int], deadline: float) -> list[Any]:
        """Everything to the nodes first, then the replies of one after the other: they work side by side."""
        owners = self._owners
        groups: dict[Node, list[int]] = {}
        for place, slot in enumerate(slots):
            node = owners[slot]
            if node is None:
                raise LostError(f"no node holds slot {slot}")
            groups.setdefault(node, []).append(place)
        replies: list[Any] = [None] * len(commands)
        with ExitStack() as borrowed:
            flights = []
            for node, group in groups.items():
                link = borrowed.enter_context(self._links(node).borrow(deadline))
                link.send(b"".join([commands[place] for place in group]), deadline)
                flights.append((link, group))
            for link, group in flights:
                for place, reply in zip(group, _received(link, [commands[p] for p in group], deadline), strict=True):
                    replies[place] = reply
        for place, reply in enumerate(replies):
            if _fault(reply).startswith("ASK"):
                replies[place] = self._asked(commands[place], str(reply), deadline)
        return replies

    def _asked(self, command: bytes, redirection: str, deadline: float) -> Any:
        """Where ``ASK SLOT HOST:PORT`` points: this key has moved already, its slot has not."""
        host, _, port = redirection.split()[2].rpartition(":")
        with self._links((host or self._seed.address.host, int(port))).borrow(deadline) as link:
            link.send(_ASKING + command, deadline)
            link.receive(1, deadline)
            return _received(link, [command], deadline)[0]

    def _learn(self, deadline: float) -> None:
        """Take the owners of the slots from the first node that answers."""
        fault: Exception = LostError("no node of the cluster can be reached")
        for links in (*self._nodes.values(), self._seed):
            try:
                with links.borrow(deadline) as link:
                    link.send(_SLOTS, deadline)
                    (found,) = link.receive(1, deadline)
            except LATE:
                raise
            except LOST as error:
                links.close()
                fault = error
                continue
            if isinstance(found, list):
                self._owners = _owners(found, links.address.host)
                return
            fault = LostError(str(found))
        raise fault

    def _links(self, node: Node) -> Links:
        with self._lock:
            found = self._nodes.get(node)
            if found is None:
                found = self._nodes[node] = Links(self._seed.address.at(*node), self._connections)
            return found


def _read_command(reads: Sequence[Read], group: Sequence[int]) -> bytes:
    """One for all rows of a bucket."""
    if len(group) == 1:
        return b"".join(reads[group[0]])
    return read_many(reads[group[0]][0], [reads[place][1] for place in group])


def _received(link: Link, commands: Sequence[bytes], deadline: float) -> list[Any]:
    """A reply for each command: of a transaction what it came to, or why it was not done."""
    counts = [reply_count(command) for command in commands]
    replies = iter(link.receive(sum(counts), deadline))
    found = []
    for count in counts:
        own = list(islice(replies, count))
        found.append(own[-1] if count == 1 or isinstance(own[-1], list) else first_error(own))
    return found


def _owners(ranges: list[Any], host: str) -> list[Node | None]:
    """The primary of each slot. A node that does not know its own host is where it was asked."""
    owners: list[Node | None] = [None] * _SLOT_COUNT
    for start, end, primary, *_ in ranges:
        node = ((primary[0] or b"").decode() or host, int(primary[1]))
        owners[start : end + 1] = [node] * (end + 1 - start)
    return owners


def _fault(reply: Any) -> str:
    return str(reply) if isinstance(reply, hiredis.ReplyError) else ""
