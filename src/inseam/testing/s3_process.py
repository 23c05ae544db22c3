"""The process of a test's S3 server: moto, whose conditional puts are made as atomic as S3's, and which can be busy."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

BUSY = "/-/busy"
"""Asked for with ``?N``: the next N requests are answered with 503 SlowDown."""

_SIGNED = "AWS4-HMAC-SHA256 Credential=tester/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


def serve(port: int) -> None:
    """Answer on the loopback until killed."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    application = DomainDispatcherApplication(create_backend_app)
    lock = threading.Lock()
    busy = {"answers": 0}

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == BUSY:
            busy["answers"] = int(environ["QUERY_STRING"])
            start("204 No Content", [])
            return []
        if busy["answers"]:
            busy["answers"] -= 1
            start("503 Slow Down", [("Content-Type", "application/xml")])
            return [b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"]
        return atomic(_in_words_of_s3(environ), start)

    def atomic(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        # moto looks whether a name is free and takes it later, without a lock between its threads.
        with lock if "HTTP_IF_NONE_MATCH" in environ else nullcontext():
            return list(application(environ, start))

    run_simple("127.0.0.1", port, answer, threaded=True)


def _in_words_of_s3(environ: dict[str, Any]) -> dict[str, Any]:
    """Google's XML API is that of S3 but for its tokens, at which nobody looks here, and its conditions."""
    if not environ.get("HTTP_AUTHORIZATION", "").startswith("AWS"):
        environ["HTTP_AUTHORIZATION"] = _SIGNED
    if environ.pop("HTTP_X_GOOG_IF_GENERATION_MATCH", None) == "0":
        environ["HTTP_IF_NONE_MATCH"] = "*"
    return environ


if __name__ == "__main__":
    serve(int(sys.argv[1]))
