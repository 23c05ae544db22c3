"""Redis servers of one's own for tests: started on free ports, paused, killed and started again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

WHY_NOT = "redis-server is not installed (Debian: apt-get install redis-server; macOS: brew install redis)"
_START_SECONDS = 20


def is_installed() -> bool:
    return shutil.which("redis-server") is not None


def free_port() -> int:
    """A port of the loopback that was free a moment ago, low enough for a cluster's bus."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port < 55_000:
            return port


class RedisServer:
    """One process; ``arguments`` are redis-server's. Nothing is saved unless they say so."""

    def __init__(self, directory: Path, *arguments: str, port: int | None = None) -> None:
        self.directory = directory
        self.port = free_port() if port is None else port
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.socket = directory / f"{self.port}.sock"
        """A Unix socket that it listens on beside the port."""
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.directory)]
        command += ["--unixsocket", str(self.socket), "--save", "", *self._arguments]
        log = (self.directory / f"{self.port}.log").open("ab")
        self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        while not self.is_answering():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"redis-server did not start:\n{(self.directory / f'{self.port}.log').read_text()}")
            time.sleep(0.02)

    def is_answering(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as wire:
                wire.settimeout(1)
                wire.connect(str(self.socket))
                wire.sendall(b"PING\r\n")
                return wire.recv(16).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def pause(self) -> None:
        """It accepts connections and answers nothing: slow beyond bounds."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, protocol=2)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@contextmanager
def redis_server(*arguments: str) -> Iterator[RedisServer]:
    """A started server in a directory of its own, gone with what it held at the end."""
    with tempfile.TemporaryDirectory(prefix="inseam-redis-") as directory:
        server = RedisServer(Path(directory), *arguments)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def redis_cluster(nodes: int = 3) -> Iterator[list[RedisServer]]:
    """Primaries that share the slots, joined by redis-cli, and ready."""
    with ExitStack() as servers:
        directory = Path(servers.enter_context(tempfile.TemporaryDirectory(prefix="inseam-redis-")))
        cluster = []
        for number in range(nodes):
            (directory / str(number)).mkdir()
            options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", str(free_port()))
            server = RedisServer(directory / str(number), *options)
            server.start()
            servers.callback(server.kill)
            cluster.append(server)
        addresses = [f"127.0.0.1:{server.port}" for server in cluster]
        command = ["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        _await_cluster(cluster)
        yield cluster


def _await_cluster(cluster: list[RedisServer]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not all(b"cluster_state:ok" in _cluster_info(server) for server in cluster):
        if time.monotonic() > deadline:
            raise RuntimeError("the cluster did not form")
        time.sleep(0.05)


def _cluster_info(server: RedisServer) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as wire:
        wire.sendall(b"CLUSTER INFO\r\n")
        return wire.recv(1 << 16)
