"""What comes in and is read: pushes until each is acknowledged, files, and online reads that are remembered."""

from __future__ import annotations

import http.client
import json
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from inseam.kernel import clock
from inseam.kernel.errors import ConflictError, UnavailableError
from inseam.kernel.types import DataType, Field, Schema
from inseam.run.workspace import Workspace
from inseam.stages.features.fetch import FeatureReader
from inseam.stages.observe.reads import Reads
from inseam.testing.soak.project import CUSTOMERS, FRESH, VIEWS

Row = dict[str, Any]
_DELAYS = (0, 0, 0, 0, 1, 5, 45, 400)
"""Seconds by which rows come late, drawn evenly."""


class Repeated(threading.Thread):
    """Does something again and again, with a pause, until it is stopped; ``failure`` is what ended it before."""

    def __init__(self, act: Callable[[], None], pause_seconds: float) -> None:
        super().__init__(daemon=True)
        self._act, self._pause = act, pause_seconds
        self._stopping = threading.Event()
        self.failure: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            while not self._stopping.wait(self._pause):
                self._act()
        except BaseException as error:
            self.failure = error
            raise

    def stop(self) -> None:
        """`RuntimeError` when it had failed."""
        self._stopping.set()
        self.join()
        if self.failure is not None:
            raise RuntimeError("the traffic failed") from self.failure


class Orders:
    """Pushes rows, late ones and some again, each until the server acknowledges it: then it stands in ``kept``."""

    def __init__(self, port: int, seed: int) -> None:
        self._port, self._random = port, random.Random(seed)
        self.kept: dict[int, float] = {}
        self._number = 0
        self.refusals = 0

    def push(self) -> None:
        new = [self._row() for _ in range(self._random.randint(1, 40))]
        again = [self._old(number) for number in self._random.sample(sorted(self.kept)[-500:], min(3, len(self.kept)))]
        body = json.dumps([{"_id": f"order-{row['number']}", **row} for row in (*new, *again)])
        while not self._is_taken(body):
            self.refusals += 1
            threading.Event().wait(0.1)
        self.kept.update((row["number"], row["amount"]) for row in new)

    def _is_taken(self, body: str) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            connection.request("POST", "/sources/orders/rows", body, {"content-type": "application/json"})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):  # it was killed; whether it kept the rows is not known
            return False
        finally:
            connection.close()

    def _row(self) -> Row:
        self._number += 1
        return row(self._random, self._number)

    def _old(self, number: int) -> Row:
        """Another row under an id that is known: it must not count."""
        return row(self._random, number) | {"amount": -1.0}


def row(draw: random.Random, number: int) -> Row:
    delay = draw.choice(_DELAYS) * draw.random() * clock.SECOND
    return {
        "number": number,
        "customer_id": min(int(draw.expovariate(4 / CUSTOMERS)), CUSTOMERS - 1),
        "at": clock.format_instant(clock.now() - int(delay)),
        "amount": round(draw.gammavariate(2, 20), 2),
        "store": f"s{draw.randint(1, 9)}",
    }


class Visits:
    """Drops files of rows; each is whole when it gets its name."""

    def __init__(self, directory: Path, seed: int) -> None:
        self._directory, self._random = directory, random.Random(seed)
        self.kept: dict[int, float] = {}
        self._files = 0

    def drop(self) -> None:
        rows = [row(self._random, len(self.kept) + place) for place in range(self._random.randint(1, 60))]
        lines = [",".join(rows[0]), *(",".join(str(cell) for cell in one.values()) for one in rows)]
        self._files += 1
        hidden = self._directory.with_name("visits.part")
        hidden.write_text("\n".join(lines) + "\n")
        hidden.rename(self._directory / f"{self._files}.csv")
        self.kept.update((one["number"], one["amount"]) for one in rows)


class Reader:
    """Reads the views of a few customers, and remembers what it got."""

    def __init__(self, workspace: Workspace, seed: int) -> None:
        context = workspace.context
        schemas = context.checked()
        self.views = {name: context.view(name, schemas)[0] for name in VIEWS}
        keys = Schema((Field("customer_id", DataType.INT64),))
        views = [context.view(name, schemas) for name in VIEWS]
        # One reader a view: what is away of one keeps nobody from reading the others.
        self._readers = {
            view.name: FeatureReader(context.online, [(view, fingerprint)], keys, fresh={view.name} & set(FRESH))
            for view, fingerprint in views
        }
        self._random = random.Random(seed)
        self._parts: dict[str, list[Reads]] = {name: [] for name in VIEWS}
        self.away = 0

    def read(self) -> None:
        asked = [(self._random.randrange(CUSTOMERS),) for _ in range(5)]
        for name, reader in self._readers.items():
            try:
                rows = reader.read(asked)
            except (UnavailableError, ConflictError):
                self.away += 1
                continue
            keys = pa.table({"customer_id": [key for (key,) in asked]})
            values = {feature: column.copy() for feature, column in rows.columns.items()}
            read = Reads(keys, rows.boundaries[name].copy(), rows.versions[name].copy(), values)
            if len(found := read.where(~rows.is_missing[name])):
                self._parts[name].append(found)

    @property
    def has_read_all(self) -> bool:
        """Whether there was something to be read of each view."""
        return all(map(len, self._parts.values()))

    def reads(self, view: str) -> Reads:
        """All that were read of a view."""
        parts = self._parts[view]
        return Reads(
            pa.concat_tables([part.keys for part in parts]),
            np.concatenate([part.boundaries for part in parts]),
            np.concatenate([part.versions for part in parts]),
            {name: np.concatenate([part.values[name] for part in parts]) for name in self.views[view].schema.names},
        )
