"""One Spark session a process: local, on a cluster, or remote by Spark Connect. How it is opened and how it behaves."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inseam.adapters.spark.failure import caught
from inseam.adapters.spark.shared import cores
from inseam.adapters.spark.tasks import watched_tasks
from inseam.kernel.errors import InseamError, SettingError
from inseam.ports.rows import Parts

BATCH_ROWS = 65_536
"""Rows that go to a Python worker and come back at once."""

_ALWAYS = {
    "spark.sql.session.timeZone": "UTC",
    # Overflow and casts that fail are errors, as with DuckDB, never NULL.
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "true",
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(BATCH_ROWS),
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}
_OWN = {
    "spark.ui.showConsoleProgress": "false",
    "spark.executorEnv.PYTHONWARNINGS": "ignore::FutureWarning",
}
_ALONE = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # Spark's 200 are for a cluster: each is a file a task.
    "spark.sql.shuffle.partitions": str(4 * cores()),
}
"""A Spark in this process serves nobody else."""
_JAVA = "spark.driver.extraJavaOptions"
_QUIET = f"-Dlog4j2.configurationFile={(Path(__file__).parent / 'log4j2.properties').as_uri()}"
TOKEN = "DATABRICKS_TOKEN"
"""The environment variable that holds the token of a remote Spark; settings never do."""


@dataclass(frozen=True)
class Where:
    """Which Spark: a master, or ``sc://`` for a remote one; ``conf`` is Spark's own, set as it starts."""

    address: str = "local[*]"
    memory: int = 2 << 30
    conf: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if "token=" in self.address:
            mend = f"leave it out, and set {TOKEN} in the environment"
            raise SettingError("engine_url", "the address holds a token", mend=mend)

    @property
    def is_local(self) -> bool:
        return self.address.startswith("local")

    @property
    def is_remote(self) -> bool:
        return self.address.startswith("sc://")


_lock = threading.Lock()
_opened: list[tuple[Where, Any]] = []


def session(where: Where) -> Any:
    """The process's session (a ``pyspark.sql.SparkSession``), opened when there is none yet.

    `SettingError` where another one is open, or where this one cannot be opened.
    """
    with _lock:
        if _opened:
            held, found = _opened[0]
            if held.address != where.address:
                raise SettingError(
                    "spark",
                    f"this process works on {held.address} already",
                    expected=f"one Spark a process, not {where.address} beside it",
                )
            return found
        found = _open(where)
        _opened.append((where, found))
        return found


def close() -> None:
    """Stop the process's session, and with it all that runs on it: the next one may be on another Spark."""
    with _lock:
        while _opened:
            where, found = _opened.pop()
            found.stop()
            if where.is_remote:
                # Set by PySpark, never taken back: no local session would open after it.
                os.environ.pop("SPARK_CONNECT_MODE_ENABLED", None)


@contextmanager
def running(subject: str, parts: Parts | None = None) -> Iterator[None]:
    """What Spark raises leaves as ours, about ``subject``; at Ctrl-C its jobs end too. ``parts`` hears of tasks."""
    try:
        with caught(subject), nullcontext() if parts is None else _watched(parts):
            yield
    except KeyboardInterrupt:
        for _, found in _opened:
            found.interruptAll()
        raise


def _watched(parts: Parts) -> AbstractContextManager[None]:
    where, found = _opened[0]
    return watched_tasks(found, parts, is_remote=where.is_remote)


def _open(where: Where) -> Any:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas", category=FutureWarning)
    try:
        with caught("spark"):
            found = _remote(where) if where.is_remote else _classic(where)
            for name, value in _ALWAYS.items():
                found.conf.set(name, value)
    except SettingError:
        raise
    except InseamError as error:
        mend = "is Java 17 or newer installed?" if where.is_local else "is it running, and may this machine reach it?"
        found = error.problems[0].found
        raise SettingError("spark", f"{where.address} cannot be opened: {found}", mend=mend) from None
    return found


def _classic(where: Where) -> Any:
    from pyspark.sql import SparkSession

    whose = "driver" if where.is_local else "executor"
    memory = {f"spark.{whose}.memory": f"{max(where.memory >> 20, 512)}m"}
    settings = _OWN | memory | (_ALONE if where.is_local else {}) | dict(where.conf)
    settings[_JAVA] = f"{_QUIET} {settings.get(_JAVA, '')}".strip()
    builder = SparkSession.builder.appName("inseam").master(where.address)
    for name, value in settings.items():
        builder = builder.config(name, value)
    found = builder.getOrCreate()
    found.sparkContext.setLogLevel("OFF")
    return found


def _remote(where: Where) -> Any:
    from pyspark.sql import SparkSession

    token = os.environ.get(TOKEN)
    separator = "" if where.address.endswith((";", "/")) else ";" if "/;" in where.address else "/;"
    address = where.address if token is None else f"{where.address}{separator}token={token};use_ssl=true"
    builder = SparkSession.builder.remote(address)
    for name, value in where.conf.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()
