"""Where the messages of stream sources are published: a URL each, in the environment's tables ``consume.SOURCE``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from inseam.kernel.errors import SettingError
from inseam.run.secret_url import refuse_password, with_password

PREFIX = "INSEAM_CONSUME_"
"""``INSEAM_CONSUME_ORDERS_URL`` overrides the URL of the source orders."""


def consume_urls(written: Any, variables: Mapping[str, str], where: str) -> Mapping[str, str]:
    """By source, from what a file says (``where`` names it) and from the environment, which alone has passwords."""
    urls = {source: _url(table, f"{where}.{source}]", source) for source, table in _tables(written, where).items()}
    for name, value in variables.items():
        if name.startswith(PREFIX) and name.endswith("_URL"):
            urls[name.removeprefix(PREFIX).removesuffix("_URL").lower()] = value
    return {source: with_password(_sound(url, source), variables, _variable(source)) for source, url in urls.items()}


def _tables(written: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(written, dict):
        raise SettingError(f"{where}]", f"consume is {written!r}", expected=f"tables: {where}.SOURCE]")
    return written


def _url(table: Any, where: str, source: str) -> str:
    if not isinstance(table, dict) or set(table) != {"url"} or not isinstance(table["url"], str):
        raise SettingError(where, f"it is {table!r}", expected='url = "redis://..." or "kafka://..."')
    refuse_password(table["url"], where, _variable(source))
    return str(table["url"])


def _sound(url: str, source: str) -> str:
    try:
        urlsplit(url)
    except ValueError as error:
        raise SettingError(
            f"consume {source}", f"its URL is none: {error}", expected="scheme://host:port/..."
        ) from None
    return url


def _variable(source: str) -> str:
    return f"{PREFIX}{source.upper()}"
