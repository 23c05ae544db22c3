"""The process of a test's S3 server: moto, whose conditional puts are made as atomic as S3's."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any


def serve(port: int) -> None:
    """Answer on the loopback until killed."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    application = DomainDispatcherApplication(create_backend_app)
    lock = threading.Lock()

    def atomic(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        # moto looks whether a name is free and takes it later, without a lock between its threads.
        with lock if "HTTP_IF_NONE_MATCH" in environ else nullcontext():
            return list(application(environ, start))

    run_simple("127.0.0.1", port, atomic, threaded=True)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
