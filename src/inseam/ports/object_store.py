"""Object stores by URL: the options that everybody who opens one must share, its files, and its faults in our words.

Credentials come from the environment alone, in the variables of each cloud's own tools.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from inseam.kernel.errors import ExtraMissingError, InseamError, NotFoundError, SettingError, UnavailableError

_ENDPOINT = {"s3": "aws_endpoint", "gs": "google_base_url", "az": "azure_storage_endpoint"}
_ENDPOINT_VARIABLES = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_WEB_IDENTITY_TOKEN_FILE",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_CLIENT_ID and its companions",
}
_CONNECT_SECONDS, _REQUEST_SECONDS, _RETRY_SECONDS, _RETRIES = 5, 30, 45, 5
"""A request that fails, or that the store is too busy for, is tried again for so long and so often."""

_FAULT = re.compile(
    r"Generic (S3|GCS|MicrosoftAzure|HTTP) error|HTTP error|Error performing|object_store", re.IGNORECASE
)
_REFUSED = re.compile(
    r"\b40[13] (Forbidden|Unauthorized)|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|"
    r"lacked the required permissions|lacked valid authentication|credential",
    re.IGNORECASE,
)
_TRIES = re.compile(r" in [\d.]+\w+, after \d+ retries, .*? - ")
"""How long a request took and how often it was tried, which stands before the cause."""
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|bucket does not exist", re.IGNORECASE)


def is_object_url(address: str) -> bool:
    """Whether it names a place in an object store: ``s3://``, ``gs://`` or ``az://``."""
    return address.partition("://")[0] in _ENDPOINT and "://" in address


class ObjectUrl:
    """``scheme://bucket/prefix``. ``options`` are those of the store's Rust library, e.g. ``aws_region``.

    `SettingError` for a URL that names no bucket or holds a character that patterns use.
    """

    def __init__(self, url: str, options: Mapping[str, str] | None = None) -> None:
        self.scheme, _, path = url.partition("://")
        self.bucket, _, self.prefix = path.strip("/").partition("/")
        self.url = f"{self.scheme}://{path.strip('/')}"
        if self.scheme not in _ENDPOINT or not re.fullmatch(r"[\w.-]+(/[\w.=+-]+)*", path.strip("/")):
            raise SettingError(
                "object store",
                f"{url!r} is no place in one",
                expected="s3://bucket/prefix, gs://bucket/prefix or az://container/prefix",
            )
        self._options = dict(options or {})
        variables = (os.environ.get(name) for name in _ENDPOINT_VARIABLES[self.scheme])
        found = self._options.get(_ENDPOINT[self.scheme]) or next(filter(None, variables), None)
        self._is_plain = found is not None and found.startswith("http://")
        if found:
            self._options[_ENDPOINT[self.scheme]] = found

    def for_delta(self) -> dict[str, str]:
        """Storage options of delta-rs. Commits are conditional puts: of two that write one version one loses."""
        options = {
            "allow_http": str(self._is_plain).lower(),
            "connect_timeout": f"{_CONNECT_SECONDS}s",
            "timeout": f"{_REQUEST_SECONDS}s",
            "max_retries": str(_RETRIES),
            "retry_timeout": f"{_RETRY_SECONDS}s",
        }
        if self.scheme == "s3":
            options["conditional_put"] = "etag"
        return options | self._options

    def store(self) -> Any:
        """obstore's store of everything below the URL."""
        try:
            from obstore.store import from_url
        except ModuleNotFoundError as error:
            raise ExtraMissingError.for_library(error.name or "obstore", "objects") from error
        make: Any = from_url
        return make(self.url, **self._arguments())

    def files(self) -> Any:
        """An fsspec filesystem that takes whole URLs, which Arrow and DuckDB read and write through."""
        try:
            from obstore.fsspec import FsspecStore
        except ModuleNotFoundError as error:
            raise ExtraMissingError.for_library(error.name or "obstore", "objects") from error

        class Files(FsspecStore):
            def glob(self, path: str, **_: Any) -> list[str]:
                """The path itself: whoever reads names files and not patterns, which cost requests."""
                return [path]

            def _open(self, path: str, mode: str = "rb", *given: Any, **options: Any) -> Any:
                """Asked for its size first: obstore makes a broken object of a file that is not there."""
                if mode == "rb":
                    options.setdefault("size", self.info(path)["size"])
                return super()._open(path, mode, *given, **options)

        make: Any = Files
        return make(self.scheme, skip_instance_cache=True, **self._arguments())

    @contextmanager
    def faults(self, name: str = "") -> Iterator[None]:
        """What goes wrong at the store inside leaves as ours, about the object of this name; the rest as it is."""
        try:
            yield
        except InseamError:
            raise
        except Exception as error:
            ours = fault(str(error), f"{self.url}/{name}".rstrip("/"))
            if ours is None:
                raise
            raise ours from error

    def _arguments(self) -> dict[str, Any]:
        return {
            "config": dict(self._options),
            "client_options": {
                "allow_http": self._is_plain,
                "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
                "timeout": timedelta(seconds=_REQUEST_SECONDS),
            },
            "retry_config": {"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_SECONDS)},
        }


def fault(text: str, subject: str) -> InseamError | None:
    """The error in our words when ``text`` is what a store's library says; None when it is about something else."""
    if not _FAULT.search(text):
        return None
    plain = re.sub(r"\x1b\[\d*m|↳", "", text.partition("Debug source")[0])
    message = _TRIES.sub(": ", " ".join(plain.split()))[:300]
    if _NO_BUCKET.search(text):
        return NotFoundError(
            subject, "the store has no such bucket", mend="create it, or name another in tables_url or artifacts_url"
        )
    if _REFUSED.search(text):
        known = _CREDENTIALS.get(subject.partition("://")[0], "; ".join(_CREDENTIALS.values()))
        return SettingError(subject, f"the store refuses the credentials: {message}", mend=f"set {known}")
    return UnavailableError(
        subject, f"the object store does not answer: {message}", mend="look at its endpoint and the network; try again"
    )
