"""Where a Redis is: how a connection to it is made, and the name that errors may show."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from redis.connection import Connection, parse_url

from inseam.kernel.errors import SettingError
from inseam.ports.server_url import shown

_OURS = {"protocol": 2, "driver_info": None, "decode_responses": False}
"""RESP2 (nothing is pushed between replies), and no commands of the library's own at every connect."""


@dataclass(frozen=True)
class Address:
    """One server. ``options`` are those of redis-py's connections: host, user, password, database, TLS files."""

    name: str
    """What may be shown: it holds no secret."""
    kind: type[Any]
    options: dict[str, Any] = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> Address:
        """`SettingError`, which shows no more than `shown`, for a URL that names no Redis."""
        try:
            options = parse_url(url)
            kind = options.pop("connection_class", Connection)
            kind(**options)
        except (ValueError, TypeError, AttributeError) as error:
            raise SettingError(
                "online_url",
                f"it names no Redis: {_reason(error)}",
                expected="redis://HOST:PORT/DATABASE, rediss:// for TLS, or unix:///PATH",
            ) from None
        return cls(shown(url), kind, options | _OURS)

    @property
    def host(self) -> str:
        """Empty for a Unix socket."""
        return str(self.options.get("host", ""))

    def at(self, host: str, port: int) -> Address:
        """Another node of the same cluster, reached with the same credentials."""
        scheme = self.name.partition("://")[0]
        return Address(f"{scheme}://{host}:{port}", self.kind, self.options | {"host": host, "port": port})

    def connect(self, deadline: float) -> Any:
        """A redis-py connection, authenticated, on its database. ``deadline`` is an instant of `time.monotonic`."""
        seconds = max(0.001, deadline - time.monotonic())
        connection = self.kind(**self.options, socket_timeout=seconds, socket_connect_timeout=seconds)
        connection.connect()
        return connection


def _reason(error: Exception) -> str:
    """What redis-py found, unless that could repeat a part of the URL."""
    text = str(error)
    if "unexpected keyword argument" in text:
        return "there is no option " + text.rpartition("argument ")[2]
    return text if text.startswith(("Redis URL must", "Invalid value for")) else "it cannot be read"
