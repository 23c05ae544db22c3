"""What a server is told: bounds, durability, tokens. Plain data; the workspace fills it from file and environment."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from inseam.kernel.errors import SettingError

TOKENS = "INSEAM_SERVE_TOKENS"
"""Environment variable: bearer tokens, separated by commas."""
TOKENS_FILE = "INSEAM_SERVE_TOKENS_FILE"
"""Environment variable: a file with one bearer token a line."""
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

    tokens: tuple[str, ...] = ()
    """Bearer tokens, any of which opens every route; empty: no authentication (loopback only)."""
    is_open_allowed: bool = False
    """Allow a host beyond loopback without tokens."""
    max_body_bytes: int = 1 << 20
    max_in_flight: int = 512
    """Requests that have been read and not yet answered; the next is shed."""
    max_in_flight_rows: int = 20_000
    max_lag_seconds: float = 2.0
    """Event-loop lag above which new requests are shed."""
    body_timeout_seconds: float = 10.0
    retry_after_seconds: int = 1
    durability: Durability = Durability.PROCESS
    segment_bytes: int = 64 << 20
    segment_seconds: float = 60.0
    """A segment of the prediction log is sealed at this size or age, and can then be compacted."""
    log_limit_bytes: int = 8 << 30
    """Size of the log directory above which predictions are refused with 503 until it is compacted."""
    poll_seconds: float = 1.0
    """How often a promotion is looked for."""
    is_access_logged: bool = True


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


def check_host(host: str, settings: ServeSettings) -> None:
    """`SettingError` when the host can be reached from elsewhere and nothing guards it."""
    if settings.tokens or settings.is_open_allowed or _is_loopback(host):
        return
    raise SettingError(
        f"serve host {host}",
        "it can be reached from other machines and no token guards it",
        expected="a loopback host, or bearer tokens",
        mend=f"set {TOKENS}, or allow an open server explicitly",
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
