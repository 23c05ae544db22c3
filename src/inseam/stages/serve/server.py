"""Runs the application in worker processes: uvicorn with uvloop and httptools, restarted when one dies."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from inseam.kernel.errors import ExtraMissingError, InseamError, RefusedError, SettingError
from inseam.stages.serve.settings import ServeSettings, check_host

_BACKLOG = 2048
_STARTUP_FAILURE = 3
"""uvicorn's own exit status for an application that cannot start: it is not tried again."""
_MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"


def run(
    factory: Callable[[], Any],
    settings: ServeSettings,
    *,
    upkeep: Callable[[], None] | None = None,
    upkeep_seconds: float = 60.0,
) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what is in flight and return.

    ``factory`` makes the application in each worker; it is pickled, so it is a function of a module or a
    `functools.partial` of one. ``upkeep`` (compaction of the prediction log) runs now and then in this process, which
    answers no request. `SettingError` for a host that nothing guards or a port that is taken.
    """
    check_host(settings)
    try:
        from uvicorn.supervisors import Multiprocess
    except ModuleNotFoundError as error:
        raise ExtraMissingError.for_library(error.name or "uvicorn", "serve") from None

    bound = bind(settings.host, settings.port)
    shared = tempfile.mkdtemp(prefix="inseam-metrics-")
    os.environ[_MULTIPROCESS] = shared
    config = _config(_Factory(factory, os.getpid()), settings)
    stopping = threading.Event()
    if upkeep is not None:
        threading.Thread(target=_repeat, args=(upkeep, upkeep_seconds, stopping), daemon=True).start()
    try:
        supervisor = Multiprocess(config, sockets=[bound])
        supervisor.run()
    finally:
        stopping.set()
        bound.close()
        os.environ.pop(_MULTIPROCESS, None)
        shutil.rmtree(shared, ignore_errors=True)
    if any(process.exitcode == _STARTUP_FAILURE for process in supervisor.processes):
        raise RefusedError("server", "a worker could not start", mend="its reason is in the log above")


def _config(factory: Callable[[], Any], settings: ServeSettings) -> Any:
    import uvicorn

    from inseam.stages.serve.connection import GuardedProtocol
    from inseam.stages.serve.journal import LOG_CONFIG

    return uvicorn.Config(
        factory,
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="uvloop",
        http=partial(GuardedProtocol, settings=settings),
        ws="none",
        lifespan="on",
        proxy_headers=False,
        access_log=False,
        log_config=LOG_CONFIG,
        server_header=False,
        date_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )


def bind(host: str, port: int) -> socket.socket:
    """The listening socket that workers share. Port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host.strip("[]"), port))
    except OSError as error:
        bound.close()
        raise SettingError(
            f"serve {host}:{port}", f"the address cannot be bound: {error.strerror}", mend="choose another port"
        ) from None
    bound.set_inheritable(True)
    return bound


class _Factory:
    """Makes the application in a worker that then dies with its parent. Picklable when ``factory`` is."""

    def __init__(self, factory: Callable[[], Any], parent: int) -> None:
        self._factory = factory
        self._parent = parent

    def __call__(self) -> Any:
        threading.Thread(target=_follow_parent, args=(self._parent,), name="parent", daemon=True).start()
        log = logging.getLogger("uvicorn.error")
        try:
            app = self._factory()
        except InseamError as error:
            log.error("the server cannot start: %s", error)
            sys.exit(_STARTUP_FAILURE)
        except Exception:
            log.exception("the server cannot start")
            sys.exit(_STARTUP_FAILURE)
        _freeze()
        return app


def _follow_parent(parent: int) -> None:
    """A worker whose supervisor was killed would hold the port for ever: it ends itself, gracefully."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def _freeze() -> None:
    """What is loaded stays loaded: the collector need not look at it again at every request."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)


def _repeat(work: Callable[[], None], seconds: float, stopping: threading.Event) -> None:
    while not stopping.wait(seconds):
        try:
            work()
        except Exception as error:  # noqa: BLE001 - upkeep is tried again; serving goes on
            logging.getLogger("uvicorn.error").warning("upkeep failed: %s", type(error).__name__)
