"""A Spark of one's own for tests: a standalone cluster, a Connect server, from the pip package, on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

BRIEF = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""For JVMs that live for minutes: they do not earn back a second compiler and a collector of many threads."""
_HOST = "127.0.0.1"
_SECONDS = 240


def missing() -> str:
    """Why Spark cannot run here, empty when it can."""
    try:
        import pyspark  # noqa: F401
    except ImportError:
        return "pyspark is not installed: pip install 'inseam[spark]'"
    return "" if shutil.which("java") or os.environ.get("JAVA_HOME") else "Java is not installed, which Spark runs on"


@contextmanager
def standalone_cluster(directory: Path, workers: int = 2) -> Iterator[str]:
    """A master and workers of one core and 1 GB each, as processes; gives the master's URL, leaves nothing behind."""
    port, deploy = _free_port(), "org.apache.spark.deploy"
    url = f"spark://{_HOST}:{port}"
    with ExitStack() as running:
        pages = ["--webui-port", str(_free_port())]
        master = [f"{deploy}.master.Master", "--host", _HOST, "--port", str(port), *pages]
        running.enter_context(_process(master, directory / "master.log", "I have been elected leader"))
        for number in range(workers):
            own = ["--work-dir", str(directory / f"worker-{number}"), "--webui-port", str(_free_port())]
            worker = [f"{deploy}.worker.Worker", "--host", _HOST, "--cores", "1", "--memory", "1g", *own, url]
            log = directory / f"worker-{number}.log"
            running.enter_context(_process(worker, log, "Successfully registered with master"))
        yield url


@contextmanager
def connect_server(directory: Path, cores: int = 2) -> Iterator[str]:
    """A Spark Connect server as a process; gives its address, leaves nothing behind."""
    port = _free_port()
    settings = {
        "spark.connect.grpc.binding.address": _HOST,
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.host": _HOST,
        "spark.driver.bindAddress": _HOST,
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "4",
        "spark.local.dir": str(directory / "scratch"),
        "spark.executorEnv.PYTHONWARNINGS": "ignore::FutureWarning",
    }
    words = ["org.apache.spark.deploy.SparkSubmit", "--master", f"local[{cores}]", "--driver-memory", "1g"]
    words += [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
    words += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    with _process(words, directory / "connect.log", "Spark Connect server started"):
        yield f"sc://{_HOST}:{port}"


@contextmanager
def _process(words: Sequence[str], log: Path, ready: str) -> Iterator[None]:
    """One JVM of Spark's, up once its log says so; killed with all that it started."""
    import pyspark

    home = Path(pyspark.__file__).parent
    environment = {
        **os.environ,
        "SPARK_DAEMON_JAVA_OPTS": BRIEF,
        "SPARK_SUBMIT_OPTS": BRIEF,
        "SPARK_HOME": str(home),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": _HOST,
    }
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as sink:
        started = subprocess.Popen(
            [str(home / "bin" / "spark-class"), *words],
            stdout=sink, stderr=subprocess.STDOUT, env=environment, start_new_session=True,
        )  # fmt: skip
    try:
        until = time.monotonic() + _SECONDS
        while ready not in log.read_text(errors="replace"):
            if started.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{words[0]} did not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        yield
    finally:
        os.killpg(started.pid, signal.SIGTERM)
        try:
            started.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((_HOST, 0))
        port: int = found.getsockname()[1]
        return port
