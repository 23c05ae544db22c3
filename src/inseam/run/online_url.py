"""The URL of the online store: its password comes from the environment or a file of its own, never from inseam.toml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from inseam.kernel.errors import SettingError

_URL = "INSEAM_ONLINE_URL"
PASSWORD_FILE = "INSEAM_ONLINE_PASSWORD_FILE"
"""Environment variable: a file that holds the password alone, as orchestrators mount secrets."""


def refuse_password(written: Any, where: str) -> None:
    """`SettingError` when the URL that a file says holds one; ``where`` names the file."""
    if isinstance(written, str) and _has_password(written):
        raise SettingError(
            where, "online_url holds a password, and many read this file", mend=f"set {_URL}, or {PASSWORD_FILE}"
        )


def with_password(url: str, variables: Mapping[str, str]) -> str:
    """The URL with the password of the file that `PASSWORD_FILE` names; `SettingError` when there are two."""
    file = variables.get(PASSWORD_FILE)
    if not url or not file:
        return url
    if _has_password(url):
        raise SettingError(PASSWORD_FILE, f"{_URL} holds a password too", expected="one of them")
    try:
        password = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(PASSWORD_FILE, f"the file cannot be read: {getattr(error, 'strerror', error)}") from None
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
