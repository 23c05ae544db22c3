"""What a server is told: where, bounds, durability, tokens. Plain data; the environment fills it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from inseam.kernel.errors import SettingError
from inseam.kernel.names import did_you_mean

TOKENS = "INSEAM_SERVE_TOKENS"
"""Environment variable: bearer tokens, separated by commas."""
TOKENS_FILE = "INSEAM_SERVE_TOKENS_FILE"
"""Environment variable: a file with one bearer token a line."""
PREFIX = "INSEAM_SERVE_"
_SHORTEST_TOKEN = 16


class Durability(StrEnum):
    """What a logged prediction survives before it is answered.

    ``process``: the process's death at any instant (the bytes are the kernel's). ``disk``: the machine's too (fsync).
    """

    PROCESS = "process"
    DISK = "disk"


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Bounds are per worker process. Times are seconds, sizes bytes."""

    host: str = "127.0.0.1"
    """Beyond this machine, tokens are needed."""
    port: int = 8000
    """0 takes a free one."""
    workers: int = 1
    """Worker processes."""
    tokens: tuple[str, ...] = ()
    """Tokens, any of which opens every route; empty: no authentication (loopback only)."""
    is_open_allowed: bool = False
    """Allow a host beyond loopback without tokens."""
    max_connections: int = 900
    """Connections that are held; the next is answered 503 and closed. Keep it below the limit of open files."""
    max_head_bytes: int = 32 << 10
    """The request line and headers; more is answered 431."""
    max_body_bytes: int = 1 << 20
    """More is answered 413."""
    client_timeout_seconds: float = 10.0
    """How long a client may take to send a head, then to send its body, and to take the answer."""
    keep_alive_seconds: int = 5
    """How long a connection may stay idle; more than the load balancer's own where there is one."""
    max_in_flight: int = 512
    """Requests that have been read and not yet answered; the next is shed with 503."""
    max_in_flight_rows: int = 20_000
    """Rows of those requests; a request that exceeds it is shed unless it is alone."""
    max_lag_seconds: float = 2.0
    """Event-loop lag above which new requests are shed."""
    retry_after_seconds: int = 1
    """What a shed client is told to wait."""
    shutdown_seconds: int = 20
    """How long requests in flight may take to finish once the server is told to end."""
    durability: Durability = Durability.PROCESS
    """What an answered prediction survives: ``process`` the death of the process, ``disk`` that of the machine."""
    segment_bytes: int = 64 << 20
    """A segment of the prediction log is sealed at this size, and can then be compacted."""
    segment_seconds: float = 60.0
    """A segment is sealed at this age too."""
    log_limit_bytes: int = 8 << 30
    """Size of the log directory above which predictions are refused with 503 until it is compacted."""
    poll_seconds: float = 1.0
    """How often a promotion is looked for."""
    is_access_logged: bool = True
    """Log a line a request."""


_BY_FLAG = ("tokens", "is_open_allowed")
CHOICES = tuple(field.name for field in fields(ServeSettings) if field.name not in _BY_FLAG)
"""What the table ``serve`` of an environment, a variable or an option can set."""


def changed(settings: ServeSettings, values: Mapping[str, Any], where: str) -> ServeSettings:
    """``settings`` with these of `CHOICES`, as TOML gives them or as text; `SettingError` names the wrong one.

    >>> changed(ServeSettings(), {"max_in_flight": "64", "durability": "disk"}, "here").max_in_flight
    64
    """
    return replace(settings, **{name: _typed(settings, name, value, where) for name, value in values.items()})


def from_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Those of `CHOICES` that ``INSEAM_SERVE_<NAME>`` sets."""
    return {name: text for name in CHOICES if (text := variables.get(f"{PREFIX}{name.upper()}")) is not None}


def _typed(settings: ServeSettings, name: str, value: Any, where: str) -> Any:
    if name == "tokens":
        raise SettingError(where, "tokens are secrets, which come from variables alone", mend=f"set {TOKENS}")
    if name not in CHOICES:
        raise SettingError(where, f"there is no setting {name!r}", mend=did_you_mean(name, CHOICES))
    default = getattr(settings, name)
    if isinstance(default, Durability):
        return _one_of(tuple(Durability), name, value, where)
    if isinstance(default, bool):
        return _one_of((False, True), name, {"true": True, "false": False}.get(str(value).lower(), value), where)
    if isinstance(default, str):
        if isinstance(value, str) and value:
            return value
        raise SettingError(where, f"{name} is {value!r}", expected="text in quotes")
    return _number(type(default), name, value, where)


def _one_of(choices: Collection[Any], name: str, value: Any, where: str) -> Any:
    for choice in choices:
        if type(value) in (str, type(choice)) and value == choice:
            return choice
    listed = " or ".join(str(choice).lower() for choice in choices)
    raise SettingError(where, f"{name} is {value!r}", expected=listed)


def _number(kind: type[Any], name: str, value: Any, where: str) -> Any:
    least, most = (0, 65_535) if name == "port" else (1 if kind is int else 0, 1 << 62)
    try:
        found = kind(value) if isinstance(value, str) else value
    except ValueError:
        found = None
    # A bool is an int to Python, and a float that is whole is none here.
    if type(found) in (int, kind) and math.isfinite(found) and least <= found <= most and (found > 0 or kind is int):
        return kind(found)
    what = "a whole number" if kind is int else "a number"
    bounds = f"{least} to {most}" if name == "port" else f"{least} or more" if kind is int else "more than 0"
    raise SettingError(where, f"{name} is {value!r}", expected=f"{what}, {bounds}")


def read_tokens(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Tokens from `TOKENS` and `TOKENS_FILE`; `SettingError` for one that is too short to be a secret."""
    found = [part.strip() for part in environment.get(TOKENS, "").split(",")]
    file = environment.get(TOKENS_FILE)
    if file:
        try:
            found += [line.strip() for line in Path(file).read_text(encoding="utf-8").splitlines()]
        except OSError as error:
            raise SettingError(TOKENS_FILE, f"the file cannot be read: {error.strerror}") from None
    tokens = tuple(dict.fromkeys(token for token in found if token))
    if any(len(token) < _SHORTEST_TOKEN for token in tokens):
        raise SettingError(
            TOKENS,
            "a token is too short to be a secret",
            expected=f"at least {_SHORTEST_TOKEN} characters",
            mend="python -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    return tokens


def check_host(settings: ServeSettings) -> None:
    """`SettingError` when the host can be reached from elsewhere and nothing guards it."""
    if settings.tokens or settings.is_open_allowed or _is_loopback(settings.host):
        return
    raise SettingError(
        f"serve host {settings.host}",
        "it can be reached from other machines and no token guards it",
        expected="a loopback host, or bearer tokens",
        mend=f"set {TOKENS}, or allow an open server explicitly",
    )


def _is_loopback(host: str) -> bool:
    import ipaddress

    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
