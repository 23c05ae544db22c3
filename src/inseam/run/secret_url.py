"""URLs of servers: their passwords come from the environment or files of their own, never from inseam.toml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from inseam.kernel.errors import SettingError

ONLINE = "INSEAM_ONLINE"
"""What the environment variables of the online store's URL begin with: its whole, ``_URL``, and ``_PASSWORD_FILE``, a
file that holds the password alone, as orchestrators mount secrets."""


def refuse_password(written: Any, where: str, variable: str) -> None:
    """`SettingError` when the URL that a file says holds one; ``where`` names the file, ``variable`` as `ONLINE`."""
    if isinstance(written, str) and _has_password(written):
        raise SettingError(
            where,
            "the URL holds a password, and many read this file",
            mend=f"set {variable}_URL, or {variable}_PASSWORD_FILE",
        )


def with_password(url: str, variables: Mapping[str, str], variable: str) -> str:
    """The URL with the password of the file that ``variable`` names; `SettingError` when there are two."""
    named = f"{variable}_PASSWORD_FILE"
    file = variables.get(named)
    if not url or not file:
        return url
    if _has_password(url):
        raise SettingError(named, f"{variable}_URL holds a password too", expected="one of them")
    try:
        password = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(named, f"the file cannot be read: {getattr(error, 'strerror', error)}") from None
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user.rstrip(':')}:{quote(password, safe='')}@{host}").geturl()


def _has_password(url: str) -> bool:
    """Whether one stands before the host or in an option."""
    try:
        parts = urlsplit(url)
        return bool(parts.password) or any("password" in name for name, _ in parse_qsl(parts.query))
    except ValueError:  # no URL at all, which the adapter will say
        return "@" in url
