"""Served predictions end to end: requests a second, latency, server CPU a request; beside bare ASGI and a peer's limit.

    python bench/serving.py [--rounds 3] [--seconds 4] [--peers DIR]

One worker process, a real HTTP client (wrk), 100,000 entities in LMDB, 10 looked-up and 20 sent features, XGBoost with
100 trees of depth 6, every prediction logged before it is answered: to the kernel (``process``), or to the disk by an
fsync that all who wait share (``disk``; the log lies where temporary files do). Rounds interleave the contestants;
figures are medians. ``--peers`` names the directory that holds ``optimum.py``, the limit prototype, and its models.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from functools import partial
from pathlib import Path

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

ENTITIES, SENT, LOOKED = 100_000, 20, 10
F, S = DataType.FLOAT64, DataType.STRING
KEYS = (Field("entity_id", S),)
INPUTS = tuple(Field(f"f{place}", F) for place in range(SENT))
WRK = """
local requests, i = {}, 0
function init(args)
  for line in io.lines(os.getenv("BODIES")) do
    requests[#requests + 1] = wrk.format("POST", os.getenv("PATH_TO"), {["Content-Type"] = "application/json"}, line)
  end
end
function request() i = i % #requests + 1; return requests[i] end
function done(s, l, r)
  io.write(string.format('JSON{"requests":%d,"us":%d,"bad":%d,"p50":%f,"p99":%f}\\n', s.requests, s.duration,
    s.errors.connect + s.errors.read + s.errors.write + s.errors.status + s.errors.timeout, l:percentile(50),
    l:percentile(99)))
end
"""


def views() -> list[WindowedAggregate]:
    relation = Relation("sources/events", "at", Schema.of([("entity_id", S), ("at", DataType.TIMESTAMP), ("v", F)]))
    names = [f"f{SENT + place}" for place in range(LOOKED)]
    return [
        WindowedAggregate(
            f"view_{half}",
            relation,
            ("entity_id",),
            clock.Step(clock.DAY),
            0,
            tuple(AggregateSpec(name, AggregateKind.SUM, F, "v") for name in part),
        )
        for half, part in enumerate((names[: LOOKED // 2], names[LOOKED // 2 :]))
    ]


def spec() -> EndpointSpec:
    features = (*INPUTS, *(field for view in views() for field in view.schema))
    return EndpointSpec(
        "bench", "bench", KEYS, tuple(views()), (), features, INPUTS, "missing", {}, 1000, None, "bench"
    )


def prepare(directory: Path) -> None:
    """Train, save and promote the model; write the online rows."""
    import pyarrow as pa
    import xgboost

    from inseam.ir.online_key import KeyCodec
    from inseam.ir.online_row import RowCodec
    from inseam.stages.features.mark import Mark, online_table

    rng = np.random.default_rng(0)
    x = rng.standard_normal((100_000, SENT + LOOKED)).astype(np.float32)
    noise = rng.standard_normal(len(x))
    y = (x[:, 0] * x[:, 1] + np.sin(x[:, 2] * 2) + x[:, 3:8].sum(1) * 0.5 + x[:, 20:25].sum(1) * 0.3 + noise) > 0
    model = xgboost.XGBClassifier(n_estimators=100, max_depth=6, tree_method="hist").fit(x, y)
    bundle = directory / "models" / "bench-1"
    bundle.mkdir(parents=True)
    adapter("model_format", "xgboost")().save(model, bundle, example=x[:5].astype(np.float64))
    uses = tuple(ViewUse(view.name, "bench", tuple(view.schema)) for view in views())
    encoding = Encoding(tuple(EncodedColumn(f"f{place}", F) for place in range(SENT + LOOKED)))
    manifest = BundleManifest(
        "bench", "xgboost", Task.BINARY, (False, True), KEYS, uses, INPUTS, (), encoding, "bench", "bench"
    )
    write_manifest(bundle, manifest)
    ledger = adapter("ledger", "sql")(f"sqlite:///{directory / 'ledger.db'}")
    now = clock.now()
    record = ModelVersionRecord("bench", 1, digest(bundle), "bench-1", "xgboost", "b", "b", "b", {}, {}, {}, now)
    ledger.put(record, AliasRecord("bench", "champion", 1, now))
    store = adapter("online", "lmdb")(directory / "online")
    keys = pa.array([f"e{place:06d}" for place in range(ENTITIES)])
    for view in views():
        columns = [keys, *(pa.array(rng.standard_normal(ENTITIES)) for _ in view.schema)]
        batch = pa.record_batch(columns, names=["entity_id", *view.schema.names])
        mark = Mark.start(view, view.boundary(now), 1)
        rows = RowCodec(view.schema).encode(batch, mark.boundary, 1)
        table = online_table(view.name, "bench")
        store.write(table, list(zip(KeyCodec(Schema(KEYS)).batch(batch), rows, strict=True)), mark.encode())
    store.close()


def make_app(directory: str, durability: str):
    """The application of a worker process."""
    from inseam.stages.features.fetch import FeatureReader
    from inseam.stages.serve.app import create_app
    from inseam.stages.serve.champion import ChampionWatch
    from inseam.stages.serve.endpoint import ServedEndpoint
    from inseam.stages.serve.log import PredictionLog
    from inseam.stages.serve.settings import Durability, ServeSettings

    root = Path(directory)
    settings = ServeSettings(durability=Durability(durability))
    ledger = adapter("ledger", "sql")(f"sqlite:///{root / 'ledger.db'}")
    store = adapter("online", "lmdb")(root / "online", is_readonly=True)
    reader = FeatureReader(store, [(view, "bench") for view in views()], Schema(KEYS))
    champion = ChampionWatch(ledger, "bench", Artifacts(root / "models"), served_as=lambda _: (spec(), reader, None))
    served = ServedEndpoint(spec(), champion)
    return create_app([served], log=PredictionLog(root / "log", settings), settings=settings, on_close=store.close)


def serve(directory: str, port: int, durability: str) -> None:
    from inseam.stages.serve.server import run
    from inseam.stages.serve.settings import ServeSettings

    factory = partial(make_app, directory, durability)
    run(factory, ServeSettings(port=port))


FLOOR = """
BODY = b'{"predictions":[0.5]}'
H = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
async def app(scope, receive, send):
    if scope["type"] != "http": return
    while (await receive()).get("more_body"): pass
    await send({"type": "http.response.start", "status": 200, "headers": H})
    await send({"type": "http.response.body", "body": BODY})
"""


class Contestant:
    def __init__(self, name: str, command: list[str], path: str, bodies: Path, environment: dict[str, str]) -> None:
        self.name, self.command, self.path, self.bodies = name, command, path, bodies
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
        self.figures: dict[int, list[dict[str, float]]] = {1: [], 16: []}

    def measure(self, seconds: int, directory: Path) -> None:
        import psutil

        port = free_port()
        command = [part.replace("{port}", str(port)) for part in self.command]
        log = (directory / "server.err").open("wb")
        server = psutil.Popen(command, env=self.environment, stdout=log, stderr=log, start_new_session=True)
        try:
            self._await(port)
            for connections in self.figures:
                self._wrk(port, 1, connections, [], directory)
                family = [server, *server.children(recursive=True)]
                self.figures[connections].append(self._wrk(port, seconds, connections, family, directory))
        finally:
            os.killpg(server.pid, signal.SIGINT)
            try:
                server.wait(10)
            except psutil.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)

    def _await(self, port: int) -> None:
        body = self.bodies.read_text().splitlines()[0].encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{self.path}", data=body, headers={"content-type": "application/json"}
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(request, timeout=5) as reply:
                    return reply.read()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _wrk(self, port: int, seconds: int, connections: int, family: list, directory: Path) -> dict[str, float]:
        environment = {**os.environ, "BODIES": str(self.bodies), "PATH_TO": self.path}
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(directory / "post.lua")]
        before = cpu(family)
        found = subprocess.run(
            [*command, f"http://127.0.0.1:{port}"], env=environment, capture_output=True, text=True, check=True
        )
        after = cpu(family)
        figures = json.loads(re.search(r"JSON(.*)", found.stdout)[1])
        if figures["bad"]:
            raise SystemExit(f"{self.name}: {figures['bad']} requests failed")
        return {
            "rate": figures["requests"] / figures["us"] * 1e6,
            "p50": figures["p50"],
            "p99": figures["p99"],
            "cpu": (after - before) / figures["requests"] * 1e6,
        }


def loop_nanoseconds() -> float:
    """What the machine gives just now: CPU time a step of the plainest loop."""
    start = time.process_time()
    total = 0
    for step in range(1_000_000):
        total += step
    return (time.process_time() - start) * 1e3


def cpu(family: list) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in family)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def write_bodies(directory: Path) -> tuple[Path, Path]:
    draw = random.Random(1)
    ours, peers = directory / "bodies.txt", directory / "peer_bodies.txt"
    rows = [
        {"entity_id": f"e{draw.randrange(ENTITIES):06d}", **{field.name: draw.gauss(0, 1) for field in INPUTS}}
        for _ in range(2000)
    ]
    ours.write_text("\n".join(json.dumps(row) for row in rows))
    peers.write_text("\n".join(json.dumps({"instances": [row]}) for row in rows))
    (directory / "post.lua").write_text(WRK)
    (directory / "floor.py").write_text(FLOOR)
    return ours, peers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter with onnxruntime")
    parser.add_argument("--serve", nargs=3, metavar=("DIR", "PORT", "DURABILITY"), help="only serve what is in DIR")
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.serve[0], int(asked.serve[1]), asked.serve[2])
        return
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed: apt-get install wrk")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        prepare(directory)
        ours, peers = write_bodies(directory)
        me = [sys.executable, __file__, "--serve", name, "{port}"]
        uvicorn = [sys.executable, "-m", "uvicorn", "--port", "{port}", "--no-access-log", "--log-level", "warning"]
        uvicorn += ["--loop", "uvloop", "--http", "httptools"]
        here = {"PYTHONPATH": name}
        contestants = [
            Contestant("inseam, process", [*me, "process"], "/endpoints/bench/predict", ours, {}),
            Contestant("inseam, disk", [*me, "disk"], "/endpoints/bench/predict", ours, {}),
            Contestant("bare ASGI constant", [*uvicorn, "floor:app"], "/", ours, here),
        ]
        if asked.peers is not None:
            limit = {"PYTHONPATH": str(asked.peers), "BS_FULL": "1"}
            command = [asked.peer_python, *uvicorn[1:], "optimum:app"]
            contestants.append(Contestant("limit behind ASGI", command, "/invocations", peers, limit))
        noise = []
        for _ in range(asked.rounds):
            for contestant in contestants:
                noise.append(loop_nanoseconds())
                contestant.measure(asked.seconds, directory)
        report(contestants)
        print(f"noise: a step of a plain Python loop took {min(noise):.0f} to {max(noise):.0f} ns of CPU")


def report(contestants: list[Contestant]) -> None:
    print(f"{'':22}{'conn.':>6}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU us':>9}{'ratio':>8}{'spread':>8}")
    for connections in (1, 16):
        ours = statistics.median(figures["cpu"] for figures in contestants[0].figures[connections])
        for contestant in contestants:
            figures = contestant.figures[connections]
            rate, p50, p99, us = (
                statistics.median(one[key] for one in figures) for key in ("rate", "p50", "p99", "cpu")
            )
            spread = max(one["cpu"] for one in figures) / min(one["cpu"] for one in figures)
            print(
                f"{contestant.name:22}{connections:6}{rate:9.0f}{p50 / 1e3:9.2f}{p99 / 1e3:9.2f}{us:9.0f}"
                f"{ours / us:8.2f}{spread:8.2f}"
            )
    print("ratio: CPU a request of the first line over theirs; spread: the most over the least CPU of the rounds")


if __name__ == "__main__":
    main()
