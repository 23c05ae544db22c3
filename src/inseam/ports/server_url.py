"""The URL of a server that an adapter connects to: our own options in it, and as much of it as may be shown."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from inseam.kernel.clock import SECOND, parse_duration
from inseam.kernel.errors import SettingError
from inseam.kernel.size import parse_size

_SETTING = "INSEAM_ONLINE_URL, or online_url in inseam.toml"


def shown(url: str) -> str:
    """Scheme, host, port and path: no user, no password, no option.

    >>> shown("rediss://fleet:secret@cache.internal:6380/2?ssl_keyfile=key.pem")
    'rediss://cache.internal:6380/2'
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


class UrlOptions:
    """The options behind the ``?`` that are ours, by name; ``url`` is the rest, for the server's own library.

    >>> options = UrlOptions("redis://localhost/0?ttl=30d&max_connections=4&ssl_cert_reqs=none", ("ttl", "timeout"))
    >>> options.seconds("ttl"), options.seconds("timeout"), options.url
    (2592000.0, None, 'redis://localhost/0?max_connections=4&ssl_cert_reqs=none')
    """

    def __init__(self, url: str | Path, names: tuple[str, ...], *, setting: str = "online_url") -> None:
        self._setting = setting
        if isinstance(url, Path):  # what an adapter is given when no URL is set
            raise SettingError("online_url", "it is not set", expected="where the server is", mend=f"set {_SETTING}")
        try:
            parts = urlsplit(url)
        except ValueError:
            raise SettingError(setting, "it is no URL", expected="scheme://host:port/...") from None
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        self._values = {name: value for name, value in pairs if name in names}
        rest = [(name, value) for name, value in pairs if name not in names]
        self.url = urlunsplit(parts._replace(query=urlencode(rest))) if self._values else url

    def text(self, name: str) -> str | None:
        return self._values.get(name)

    def seconds(self, name: str) -> float | None:
        """A duration such as 250ms or 30d; None when it is not said. `SettingError` for anything else."""
        text = self._values.get(name)
        if text is None:
            return None
        try:
            found = parse_duration(text) / SECOND
        except ValueError:
            found = 0.0
        if found <= 0:
            raise SettingError(self._setting, f"its {name} is {text!r}", expected="a duration such as 250ms or 30d")
        return found

    def number(self, name: str) -> int | None:
        """A whole number of 1 or more; None when it is not said. `SettingError` for anything else."""
        text = self._values.get(name)
        if text is None:
            return None
        if not text.isdecimal() or int(text) < 1:
            raise SettingError(self._setting, f"its {name} is {text!r}", expected="a number of 1 or more")
        return int(text)

    def size(self, name: str) -> int | None:
        """Bytes, said as 32MB or 0; None when they are not said. `SettingError` for anything else."""
        text = self._values.get(name)
        if text is None:
            return None
        try:
            return parse_size(text)
        except ValueError:
            raise SettingError(self._setting, f"its {name} is {text!r}", expected="a size such as 32MB, or 0") from None
