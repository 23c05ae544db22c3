"""Whether a server may throw rows away when its memory is full."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from inseam.adapters.redis.layout import command
from inseam.kernel.errors import SettingError

INFO = command(b"INFO", b"memory")


def refuse_eviction(replies: Iterable[Any], name: str, *, has_ttl: bool) -> None:
    """`SettingError` when one of these replies to `INFO` names a policy that evicts online rows.

    An evicted row would read as that of an entity that was never seen. A server that does not say is believed.
    """
    for reply in replies:
        said = (
            dict(line.split(":", 1) for line in reply.decode().split("\r\n") if ":" in line)
            if isinstance(reply, bytes)
            else {}
        )
        policy = said.get("maxmemory_policy", "noeviction")
        is_bounded = said.get("maxmemory", "0") != "0"
        if is_bounded and (policy.startswith("allkeys") or (has_ttl and policy.startswith("volatile"))):
            raise SettingError(
                f"online store {name}",
                f"its maxmemory-policy is {policy}: rows would vanish when memory is short",
                expected="noeviction",
                mend="CONFIG SET maxmemory-policy noeviction",
            )
