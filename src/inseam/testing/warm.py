"""Commands of Inseam that start at once: forks of one process that has imported already what they import.

A fork has run nothing: it is the command's own process but for the imports, which are most of a short command's time. A
signal to the command does not reach its fork, so what is to be interrupted or killed is started as usual.
"""

from __future__ import annotations

import array
import atexit
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_IMPORTED = (
    "duckdb", "fastapi", "ibis", "matplotlib.pyplot", "mlflow.sklearn", "pandas", "pyarrow.dataset", "pyarrow.parquet",
    "sklearn.ensemble", "sklearn.linear_model", "sklearn.pipeline", "xgboost",
    "inseam.surface.cli.main", "inseam.run.workspace", "inseam.adapters.delta.tables", "inseam.adapters.duckdb.build",
    "inseam.adapters.duckdb.sweep", "inseam.adapters.sql.ledger", "inseam.adapters.mlflow.tracker",
)  # fmt: skip
_READY = b"ready\n"
_CLIENT = """#!{python} -IS
import array, json, os, socket, sys
if sys.argv[0].endswith("python") and not sys.argv[1].endswith(".py"):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
told = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
with socket.socket(socket.AF_UNIX) as own:
    own.connect({address!r})
    streams = array.array("i", [0, 1, 2])
    own.sendmsg([len(told).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    own.sendall(told)
    code = own.recv(1)
sys.exit(code[0] if code else 1)
"""


@contextmanager
def warm_commands(directory: Path) -> Iterator[Path]:
    """The directory with an ``inseam`` and a ``python`` (for scripts: ``python FILE.py``) in it, to be put on the PATH.

    They hand their arguments, environment, working directory and streams on and end with the exit code that comes back.
    """
    address = directory / "socket"
    for name in ("inseam", "python"):
        client = directory / name
        client.write_text(_CLIENT.format(python=sys.executable, address=str(address)))
        client.chmod(0o755)
    command = [sys.executable, "-m", "inseam.testing.warm", str(address)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        if server.stdout.readline() != _READY:
            raise RuntimeError("the process that imports for others did not start")
        yield directory
        server.kill()


def _serve(address: str) -> None:
    for name in _IMPORTED:
        importlib.import_module(name)
    threading.Thread(target=lambda: (os.read(0, 1), os._exit(0)), daemon=True).start()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        os.write(1, _READY)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _answer(connection)
            connection.close()


def _answer(connection: socket.socket) -> None:
    """Take what the client hands over, be the command, and tell its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    streams: array.array[int] = array.array("i")
    size, handed, _, _ = connection.recvmsg(4, socket.CMSG_LEN(3 * streams.itemsize))
    streams.frombytes(handed[0][2])
    told = b""
    while len(told) < int.from_bytes(size, "big"):
        told += connection.recv(1 << 16)
    arguments, directory, environment = json.loads(told)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    code = _run(arguments)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(bytes([code]))
    os._exit(0)


def _run(arguments: list[str]) -> int:
    """The exit code of ``inseam ...`` or ``python FILE ...``."""
    command = Path(arguments[0]).name
    try:
        if command == "inseam":
            sys.argv = arguments
            from inseam.__main__ import main

            main()
        else:
            sys.argv = arguments[1:]
            sys.path.insert(0, str(Path(arguments[1]).parent.resolve()))
            runpy.run_path(arguments[1], run_name="__main__")
    except SystemExit as stop:
        if isinstance(stop.code, str):
            sys.stderr.write(f"{stop.code}\n")
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter itself does at its end
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    _serve(sys.argv[1])
