"""A server of a real XGBoost bundle over real LMDB rows and a real ledger, in its own processes.

python real_server.py DIRECTORY PORT WORKERS
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.encoding import EncodedColumn, Encoding
from inseam.ir.records import AliasRecord, ModelVersionRecord
from inseam.ir.relation import Relation
from inseam.ir.training import EndpointSpec, Task
from inseam.ir.windows import WindowedAggregate
from inseam.kernel import clock
from inseam.kernel.types import DataType, Field, Schema
from inseam.ports.artifacts import Artifacts
from inseam.ports.bundle import BundleManifest, ViewUse, digest, write_manifest
from inseam.ports.discover import adapter

F, S, T = DataType.FLOAT64, DataType.STRING, DataType.TIMESTAMP
KEYS = (Field("customer_id", S),)
INPUTS = (Field("basket_value", F),)
VIEW = WindowedAggregate(
    "spend",
    Relation("sources/orders", "at", Schema.of([("customer_id", S), ("at", T), ("amount", F)])),
    ("customer_id",),
    clock.Step(clock.DAY),
    0,
    (
        AggregateSpec("orders_30d", AggregateKind.COUNT, DataType.INT64, over=30 * clock.DAY),
        AggregateSpec("spend_30d", AggregateKind.SUM, F, "amount", over=30 * clock.DAY),
    ),
)
FEATURES = (*VIEW.schema, *INPUTS)
PREDICT = "/endpoints/lapse/predict"
TOLD: dict[str, Any] = json.loads(os.environ.get("TOLD", "{}"))
"""Settings of the server, from the test that started its process."""
CUSTOMERS = 200


def spec() -> EndpointSpec:
    return EndpointSpec("lapse", "lapse", KEYS, (VIEW,), (), FEATURES, INPUTS, "missing", {}, 100, None, "e")


def ledger(directory: Path) -> Any:
    return adapter("ledger", "sql")(f"sqlite:///{directory / 'ledger.db'}")


def prepare(directory: Path) -> None:
    """Online rows, and model version 1 as champion."""
    import pyarrow as pa

    from inseam.ir.online_key import KeyCodec
    from inseam.ir.online_row import RowCodec
    from inseam.stages.features.mark import Mark, online_table

    rng = np.random.default_rng(7)
    names = pa.array([f"c{place}" for place in range(CUSTOMERS)])
    counts, sums = pa.array(rng.integers(0, 9, CUSTOMERS)), pa.array(rng.gamma(2.0, 20.0, CUSTOMERS))
    batch = pa.record_batch([names, counts, sums], names=["customer_id", "orders_30d", "spend_30d"])
    mark = Mark.start(VIEW, VIEW.boundary(clock.now()), 3)
    store = adapter("online", "lmdb")(directory / "online")
    rows = RowCodec(VIEW.schema).encode(batch, mark.boundary, mark.version)
    store.write(
        online_table("spend", "f"), list(zip(KeyCodec(Schema(KEYS)).batch(batch), rows, strict=True)), mark.encode()
    )
    store.close()
    promote(directory, 1)


def promote(directory: Path, version: int, *, is_broken: bool = False) -> Path:
    """Train a version, register it and make it champion. A broken one has other bytes than were registered."""
    import xgboost

    rng = np.random.default_rng(version)
    x = rng.gamma(2.0, 20.0, (500, len(FEATURES)))
    y = x[:, 0] + rng.normal(0, 10, 500) > 40
    bundle = directory / "models" / f"lapse-{version}"
    bundle.mkdir(parents=True)
    model = xgboost.XGBClassifier(n_estimators=20, max_depth=3, n_jobs=1).fit(x, y)
    adapter("model_format", "xgboost")().save(model, bundle, example=x[:2])
    encoding = Encoding(tuple(EncodedColumn(field.name, field.type) for field in FEATURES))
    use = ViewUse("spend", "f", tuple(VIEW.schema))
    write_manifest(
        bundle,
        BundleManifest("lapse", "xgboost", Task.BINARY, (False, True), KEYS, (use,), INPUTS, (), encoding, "t", "d"),
    )
    found = digest(bundle)
    if is_broken:
        (bundle / "manifest.json").write_text("{}")
    record = ModelVersionRecord("lapse", version, found, bundle.name, "xgboost", "m", "t", "d", {}, {}, {}, clock.now())
    ledger(directory).put(record, AliasRecord("lapse", "champion", version, clock.now()))
    return bundle


def make_app(directory: str) -> Any:
    from inseam.stages.features.fetch import FeatureReader
    from inseam.stages.serve.app import create_app
    from inseam.stages.serve.champion import ChampionWatch
    from inseam.stages.serve.endpoint import ServedEndpoint
    from inseam.stages.serve.log import PredictionLog
    from inseam.stages.serve.settings import ServeSettings

    root = Path(directory)
    settings = ServeSettings(**({"segment_bytes": 20_000} | TOLD))
    store = adapter("online", "lmdb")(root / "online", is_readonly=True)
    told = spec(), FeatureReader(store, [(VIEW, "f")], Schema(KEYS)), None
    watch = ChampionWatch(
        ledger(root), "lapse", Artifacts(root / "models"), served_as=lambda _: told, poll_seconds=0.05
    )
    served = ServedEndpoint(spec(), watch)
    return create_app([served], log=PredictionLog(root / "log", settings), settings=settings, on_close=store.close)


def fail(directory: str) -> Any:
    raise RuntimeError(f"no application in {directory}")


def main() -> None:
    from inseam.kernel.errors import InseamError
    from inseam.stages.serve.server import run
    from inseam.stages.serve.settings import ServeSettings

    directory, port, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    factory = fail if "--fail" in sys.argv else make_app
    try:
        run(partial(factory, directory), ServeSettings(port=port, workers=workers, **TOLD))
    except InseamError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


class Server:
    """The process group of a running server."""

    def __init__(self, directory: Path, *, workers: int = 1, options: tuple[str, ...] = (), **told: Any) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.errors = directory / f"server-{self.port}.err"
        command = [sys.executable, __file__, str(directory), str(self.port), str(workers), *options]
        with self.errors.open("wb") as log:
            environment = {**os.environ, "TOLD": json.dumps(told)}
            self.process = subprocess.Popen(command, stderr=log, start_new_session=True, env=environment)

    def await_ready(self, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while True:
            with suppress(OSError, http.client.HTTPException):
                if self.get("/ready")[0] == 200:
                    return
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(self.errors.read_text()[-3000:])
            time.sleep(0.05)

    def get(self, path: str) -> tuple[int, bytes]:
        return self._ask("GET", path, None)

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        status, text = self._ask("POST", path, json.dumps(body))
        return status, json.loads(text)

    def _ask(self, method: str, path: str, body: str | None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, {"content-type": "application/json"} if body else {})
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def workers(self) -> list[int]:
        """The processes that answer."""
        import psutil

        children = psutil.Process(self.process.pid).children()
        return [child.pid for child in children if "spawn_main" in " ".join(child.cmdline())]

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        os.killpg(self.process.pid, number)
        return self.process.wait(30)


@contextmanager
def running(directory: Path, *, workers: int = 1, options: tuple[str, ...] = (), **told: Any) -> Any:
    server = Server(directory, workers=workers, options=options, **told)
    try:
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait(10)


class Load:
    """Clients that predict without pause, each on a connection of its own."""

    def __init__(self, server: Server, clients: int = 4) -> None:
        self.server = server
        self.answered: list[tuple[int, Any]] = []
        """(status, reply) of every answer that came whole."""
        self.broken = 0
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        connection = None
        count = 0
        while not self._stopping.is_set():
            count += 1
            row = {"customer_id": f"c{(count * 7 + number) % CUSTOMERS}", "basket_value": float(count)}
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
                connection.request("POST", PREDICT, json.dumps(row), {"content-type": "application/json"})
                reply = connection.getresponse()
                self.answered.append((reply.status, json.loads(reply.read())))
            except (OSError, http.client.HTTPException, ValueError):
                self.broken += 1
                connection = None
                time.sleep(0.02)


if __name__ == "__main__":
    main()
