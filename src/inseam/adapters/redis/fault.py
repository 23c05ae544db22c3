"""What went wrong with a Redis, in the words of our errors."""

from __future__ import annotations

from typing import Any

import hiredis
from redis import exceptions

from inseam.kernel.errors import InseamError, SettingError, UnavailableError

LOST = (OSError, exceptions.ConnectionError, exceptions.TimeoutError)
"""What a connection raises that broke, could not be made or was too slow."""
FAULTS = (*LOST, exceptions.RedisError)
LATE = (TimeoutError, exceptions.TimeoutError)
_DENIED = ("NOAUTH", "WRONGPASS", "NOPERM", "ERR AUTH", "ERR invalid password")
_AGAIN = (
    "LOADING",
    "BUSY",
    "MASTERDOWN",
    "READONLY",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "OOM",
    "MISCONF",
    "NOREPLICAS",
    "UNBLOCKED",
)


def translated(error: Exception | hiredis.ReplyError, name: str, what: str = "online store") -> InseamError:
    """The error of a connection or of a reply. ``name`` shows the server, without secrets."""
    subject = f"{what} {name}"
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    if isinstance(error, LATE):
        return UnavailableError(subject, f"it did not answer in time: {text}")
    if text.startswith(_DENIED) or isinstance(error, exceptions.AuthenticationError):
        return SettingError(subject, f"it refuses us: {text}", mend="set the user and password in its URL")
    if isinstance(error, LOST) or text.startswith(_AGAIN):
        return UnavailableError(subject, f"it cannot be used now: {text}")
    return SettingError(subject, f"it cannot do what is asked: {text}")


def refuse_errors(replies: list[Any], name: str) -> None:
    """Raise the first error among replies."""
    if hiredis.ReplyError in map(type, replies):
        raise translated(next(reply for reply in replies if isinstance(reply, hiredis.ReplyError)), name)
