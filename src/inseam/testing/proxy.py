"""A TCP proxy for tests: it counts round trips, and stalls or cuts what a server answers."""

from __future__ import annotations

import select
import socket
import threading
import time
from pathlib import Path


class Proxy:
    """Forwards the loopback port ``port`` to a port or Unix socket of this machine until `close`. A context manager."""

    def __init__(self, target: int | Path) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.round_trips = 0
        """How often a client spoke after a server had, or first."""
        self.is_stalled = False
        """Answers are held back."""
        self.cut_after: int | None = None
        """Connections end after so many bytes of answers from now on."""
        self.byte_seconds = 0.0
        """Above 0: answers drip, a byte at a time with this much time between."""
        self._is_over = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._is_over.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self._is_over.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        try:
            server = self._connect()
        except OSError:
            client.close()
            return
        with client, server:
            last: socket.socket = server
            while not self._is_over.is_set():
                ready, _, _ = select.select([client, server], [], [], 0.1)
                for source in ready:
                    if source is server and self.is_stalled:
                        time.sleep(0.01)
                        continue
                    if source is client and last is server:
                        self.round_trips += 1
                    last = source
                    if not self._pass_on(source, server if source is client else client, is_answer=source is server):
                        return

    def _connect(self) -> socket.socket:
        if isinstance(self._target, int):
            return socket.create_connection(("127.0.0.1", self._target))
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(self._target))
        return server

    def _pass_on(self, source: socket.socket, sink: socket.socket, *, is_answer: bool) -> bool:
        """False when the connection is over."""
        try:
            data = source.recv(1 << 16)
            if is_answer and self.cut_after is not None:
                data, self.cut_after = data[: self.cut_after], self.cut_after - len(data)
            if is_answer and self.byte_seconds:
                for byte in data:
                    sink.sendall(bytes([byte]))
                    time.sleep(self.byte_seconds)
            else:
                sink.sendall(data)
        except OSError:
            return False
        return bool(data) and not (is_answer and self.cut_after is not None and self.cut_after <= 0)
