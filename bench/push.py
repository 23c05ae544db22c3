"""Push to readable: rows are pushed to a server while it predicts from the view that they freshen, second by second.

    python bench/push.py [--seconds 60] [--rate 2000] [--at-once 20] [--predictions 50] [--past 0]

`inseam serve` and `inseam freshen` run as they do for users. Clients push rows on a schedule and ask for predictions
meanwhile. For each row: from the instant at which its push was acknowledged to the one at which a read names a boundary
that includes it. The step's own second is in that: a row waits half a second for its boundary on average. ``--past``:
commits that the stream's table has had before. Target: p99 within 2 s at 2,000 rows a second.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from rounds import spin
from serving import free_port

from inseam.kernel import clock
from inseam.kernel.clock import DAY, SECOND
from inseam.ports.tables import CommitKey
from inseam.run.workspace import Workspace
from inseam.run.workspace import open as open_workspace

CUSTOMERS, WARM_SECONDS, POLL_SECONDS, CLIENTS = 20_000, 5, 0.01, 4
DEFINITIONS = """
from inseam import (Endpoint, Entity, FeatureView, Label, Source, Split, TrainingSet, at_least, count, last, max, mean,
                    model, snapshots, sum)

customer = Entity("customer", key="customer_id")
orders = Source("orders", "history.parquet", timestamp="at", stream=True, schema={
    "number": "int64", "customer_id": "int64", "at": "timestamp", "amount": "float64", "store": "string"})
spend = FeatureView("spend", orders, customer, every="1s", features={
    "orders_10m": count(over="10m"), "spend_1h": sum("amount", over="1h"), "mean_1d": mean("amount", over="1d"),
    "most_30d": max("amount", over="30d"), "last_store": last("store")})
buys = TrainingSet("buys", spine=snapshots(customer, every="7d", active="30d"), features=[spend],
                   label=Label(count(orders) > 0, ahead="7d"), split=Split(test="14d"))

@model("buys", buys, metric="roc_auc", gates=[at_least("roc_auc", 0.0)])
def train(data, params):
    from xgboost import XGBClassifier
    return XGBClassifier(n_estimators=20, max_depth=3, n_jobs=1).fit(data.X, data.y)

buys_endpoint = Endpoint("buys", train)
"""


def prepare(root: Path, past: int) -> None:
    """A project with 60 days of history, a champion, and tiles that are fresh."""
    random = np.random.default_rng(1)
    size = 10 * CUSTOMERS
    history = {
        "number": -1 - np.arange(size),
        "customer_id": random.integers(0, CUSTOMERS, size),
        "at": pa.array(clock.now() - random.integers(DAY, 60 * DAY, size)).cast(pa.timestamp("us", "UTC")),
        "amount": random.gamma(2.0, 20.0, size).round(2),
        "store": np.char.add("s", random.integers(1, 9, size).astype(str)),
    }
    pq.write_table(pa.table(history), root / "history.parquet")
    (root / "inseam.toml").write_text('[project]\nname = "pushed"\n')
    (root / "pushed.py").write_text(DEFINITIONS)
    with open_workspace(root) as workspace:
        workspace.ingest(is_history=True)
        workspace.train("buys")
        add_past(workspace, past)
        workspace.freshen(is_once=True)


def add_past(workspace: Workspace, commits: int) -> None:
    """As many loads of twenty rows, straight into the table."""
    tables, first = workspace.context.tables, workspace.context.tables.committed("sources/orders", "ingest:orders") or 0
    for number in range(first + 1, first + 1 + commits):
        at = pa.array([clock.now()] * 20).cast(pa.timestamp("us", "UTC"))
        rows = {"number": [-1] * 20, "customer_id": [1] * 20, "at": at, "amount": [1.0] * 20, "store": ["s1"] * 20}
        rows |= {"_ingested_at": at, "_seq": (number << 40) + np.arange(20)}
        tables.append("sources/orders", pa.table(rows).to_reader(), key=CommitKey("ingest:orders", number))


def row(number: int) -> dict[str, Any]:
    return {
        "_id": f"order-{number}",
        "number": number,
        "customer_id": number * 7919 % CUSTOMERS,
        "at": clock.format_instant(clock.now()),
        "amount": number % 9973 / 100,
        "store": f"s{number % 9}",
    }


class Client(threading.Thread):
    """Sends a request at each of its turns, one after the other; ``times``: when each was due, sent and answered."""

    def __init__(self, port: int, path: str, body: Callable[[], str], gap: float, until: float, after: float) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._path, self._body, self._gap, self._until, self._due = path, body, gap, until, time.monotonic() + after
        self.times: list[tuple[float, float]] = []
        self.answered: list[int] = []
        self.start()

    def run(self) -> None:
        while (due := self._due) < self._until:
            time.sleep(max(0.0, due - time.monotonic()))
            body, began = self._body(), time.monotonic()
            self._connection.request("POST", self._path, body, {"content-type": "application/json"})
            reply = self._connection.getresponse()
            text = reply.read()
            if reply.status != 200:
                raise SystemExit(f"{self._path}: {reply.status} {text[:300]!r}")
            self.times.append((began, time.monotonic()))
            self.answered.append(clock.now())
            self._due += self._gap

    def seconds(self) -> np.ndarray:
        """What each request took."""
        return np.diff(np.array(self.times), axis=1).ravel()


class Pusher(Client):
    """Pushes batches; ``first``: the number of each one's first row."""

    def __init__(self, numbers: itertools.count[int], at_once: int, port: int, *turns: float) -> None:
        self.first: list[int] = []

        def body() -> str:
            self.first.append(next(numbers) * at_once)
            return json.dumps([row(self.first[-1] + place) for place in range(at_once)])

        super().__init__(port, "/sources/orders/rows", body, *turns)


class Watch(threading.Thread):
    """Reads the view again and again: which boundary a read names, and since when."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(daemon=True)
        from inseam.kernel.types import DataType, Field, Schema
        from inseam.stages.features.fetch import FeatureReader

        context = workspace.context
        view = context.view("spend", context.checked())
        self._reader = FeatureReader(
            context.online, [view], Schema((Field("customer_id", DataType.INT64),)), fresh=["spend"]
        )
        self._ended = threading.Event()
        self.boundaries: list[int] = []
        self.since: list[int] = []
        self.start()

    def run(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            found = int(self._reader.read([(1,)]).boundaries["spend"][0])
            if not self.boundaries or found > self.boundaries[-1]:
                self.boundaries.append(found)
                self.since.append(clock.now())

    def stop(self) -> None:
        self._ended.set()
        self.join()


class Verb:
    """A process of the command line with its children, and the CPU seconds that they took."""

    def __init__(self, root: Path, *words: str) -> None:
        self.name = words[0]
        self._log = (root / f"{words[0]}.log").open("wb")
        self._process = psutil.Popen(
            [sys.executable, "-m", "inseam", *words], cwd=root, stdout=self._log, stderr=self._log,
            start_new_session=True,
        )  # fmt: skip

    def cpu(self) -> float:
        family = [self._process, *self._process.children(recursive=True)]
        return float(sum(sum(one.cpu_times()[:2]) for one in family))

    def end(self) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(15)
        except psutil.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)


def await_ready(port: int) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.2)
    raise SystemExit("the server did not get ready")


def ingested(workspace: Workspace) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the rows that were pushed, sorted, and when the log took each in."""
    files = workspace.context.tables.snapshot("sources/orders").files
    rows = pa.concat_tables([pq.read_table(file, columns=["number", "_ingested_at"]) for file in files])
    numbers, instants = rows["number"].to_numpy(), rows["_ingested_at"].cast(pa.int64()).to_numpy()
    order = np.argsort(numbers)
    order = order[numbers[order] >= 0]
    return numbers[order], instants[order]


def measure(root: Path, asked: argparse.Namespace) -> None:
    port = free_port()
    with open_workspace(root) as workspace:
        verbs = [Verb(root, "serve", "--port", str(port)), Verb(root, "freshen", "--json")]
        try:
            await_ready(port)
            watch, numbers = Watch(workspace), itertools.count()
            gap, until = CLIENTS * asked.at_once / asked.rate, time.monotonic() + WARM_SECONDS + asked.seconds
            pushers = [Pusher(numbers, asked.at_once, port, gap, until, gap * n / CLIENTS) for n in range(CLIENTS)]
            body = json.dumps({"customer_id": 7})
            asker = Client(port, "/endpoints/buys/predict", lambda: body, 1 / asked.predictions, until, 0.0)
            time.sleep(WARM_SECONDS)
            begun, before = clock.now(), [verb.cpu() for verb in verbs]
            own = time.process_time()
            spins = []
            while time.monotonic() < until:
                time.sleep(2)
                spins.append(spin())
            shares = [verb.cpu() - used for verb, used in zip(verbs, before, strict=True)]
            own, lasted = time.process_time() - own, (clock.now() - begun) / SECOND
            for client in (*pushers, asker):
                client.join()
            time.sleep(5)
            watch.stop()
        finally:
            for verb in verbs:
                verb.end()
        workspace.ingest("orders")
        report(workspace, pushers, asker, watch, begun, asked)
    cpu = ", ".join(f"{verb.name} {share / lasted:.2f}" for verb, share in zip(verbs, shares, strict=True))
    print(f"cores: {cpu}, clients {own / lasted:.2f}")
    low, middle, high = min(spins), statistics.median(spins), max(spins)
    print(f"noise: a fixed sort took {low * 1e3:.0f} to {high * 1e3:.0f} ms, median {middle * 1e3:.0f}")


def report(
    workspace: Workspace, pushers: list[Pusher], asker: Client, watch: Watch, begun: int, asked: argparse.Namespace
) -> None:
    first = np.concatenate([one.first for one in pushers])
    answered = np.concatenate([one.answered for one in pushers])
    held, instants = ingested(workspace)
    if len(held) != len(first) * asked.at_once or (held != np.arange(len(held))).any():
        raise SystemExit(f"{len(first) * asked.at_once} rows were acknowledged, {len(held)} are in the table")
    due = -(-instants[first] // SECOND) * SECOND
    places = np.searchsorted(watch.boundaries, due)
    if places.max() >= len(watch.since):
        raise SystemExit("not all that was pushed became readable")
    readable = np.array(watch.since)[places]
    counts = answered > begun
    took, behind = (readable - answered)[counts] / SECOND, (readable - due)[counts] / SECOND
    rate = counts.sum() * asked.at_once / (answered.max() - begun) * SECOND
    print(f"{rate:,.0f} rows/s acknowledged, {asked.at_once} a request, beside {len(asker.times)} predictions")
    for name, seconds in (
        ("acknowledged to readable", took),
        ("its boundary to readable", behind),
        ("push to acknowledged", np.concatenate([one.seconds() for one in pushers])),
        ("prediction", asker.seconds()),
    ):
        p50, p90, p99 = np.percentile(seconds, [50, 90, 99])
        print(f"{name:26} p50 {p50:7.3f} s   p90 {p90:7.3f} s   p99 {p99:7.3f} s   most {seconds.max():7.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=2_000.0, help="rows a second")
    parser.add_argument("--at-once", type=int, default=20, help="rows of a request")
    parser.add_argument("--predictions", type=float, default=50.0, help="predictions a second")
    parser.add_argument("--past", type=int, default=0, help="commits before")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        prepare(root, asked.past)
        measure(root, asked)


if __name__ == "__main__":
    main()
