"""One soak: traffic and deaths for a while, then the count of what came through."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from inseam.run.settings import read_settings
from inseam.run.workspace import Workspace
from inseam.stages.observe.audit import audit_view
from inseam.stages.observe.audited import Audited
from inseam.testing.redis import RedisServer, free_port
from inseam.testing.soak.project import FRESH, VIEWS, write_project
from inseam.testing.soak.traffic import Orders, Reader, Repeated, Visits
from inseam.testing.soak.victims import Victim

_START_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """``lost``: acknowledged rows that are not in their table; ``repeated``: rows that are in it more than once;
    ``strange``: rows that nobody acknowledged, or with another content.
    """

    acknowledged: int
    lost: int
    repeated: int
    strange: int
    reads: int
    away: int
    """Reads that found no store, or one that is being built anew."""
    deaths: Mapping[str, int]
    falls: int
    """Processes that ended by themselves."""
    audits: tuple[Audited, ...] = field(default=())

    @property
    def is_clean(self) -> bool:
        faults = self.lost + self.repeated + self.strange + self.falls
        return not faults and bool(self.audits) and all(audit.agreement == 1.0 for audit in self.audits)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"is_clean": self.is_clean}


class Trial:
    """A project in ``root`` under traffic. ``redis``: its online store, which is then killed too; None: LMDB."""

    def __init__(self, root: Path, redis: RedisServer | None, seed: int) -> None:
        write_project(root)
        self._redis, self._random = redis, random.Random(seed)
        variables = {} if redis is None else {"INSEAM_ONLINE": "redis", "INSEAM_ONLINE_URL": redis.url}
        port = free_port()
        self._orders, self._visits = Orders(port, seed), Visits(root / "visits", seed)
        self._visits.drop()
        materializer = (sys.executable, "-m", "inseam.testing.soak.materializer")
        self._victims = [
            Victim.verb(root, variables, "freshen"),
            Victim("materializer", materializer, root, variables),
            Victim.verb(root, variables, "serve", "--port", str(port)),
        ]
        self._workspace = Workspace(read_settings(root, variables=variables))
        self._reader = Reader(self._workspace, seed)
        self._redis_deaths = 0

    def run(self, seconds: float, pause_seconds: float) -> Outcome:
        """Traffic for so long, with a death after each pause (0.5 to 1.5 of it); then everything is left to settle.

        `RuntimeError` when what is pushed does not come through although nobody is killed.
        """
        traffic = [
            Repeated(self._orders.push, 0.05), Repeated(self._visits.drop, 0.5), Repeated(self._reader.read, 0.1)
        ]  # fmt: skip
        try:
            self._await_flow()
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                time.sleep(pause_seconds * self._random.uniform(0.5, 1.5))
                self._strike()
            for one in traffic:
                one.stop()
        finally:
            for victim in self._victims:
                victim.kill()
        return self._settled()

    def close(self) -> None:
        """Nothing of it runs on."""
        for victim in self._victims:
            victim.kill()
        self._workspace.close()

    def _await_flow(self) -> None:
        until = time.monotonic() + _START_SECONDS
        while not (self._orders.kept and self._reader.has_read_all):
            if time.monotonic() > until or not all(victim.is_alive() for victim in self._victims):
                raise RuntimeError("nothing comes through; the logs lie beside the project's files")
            time.sleep(0.1)

    def _strike(self) -> None:
        strikes = [victim.restart for victim in self._victims]
        if self._redis is not None:
            strikes.append(self._restart_redis)
        self._random.choice(strikes)()

    def _restart_redis(self) -> None:
        assert self._redis is not None
        self._redis.kill()
        time.sleep(self._random.uniform(0.0, 1.0))
        self._redis.start()
        self._redis_deaths += 1

    def _settled(self) -> Outcome:
        self._workspace.ingest()
        self._workspace.materialize("visited")
        self._workspace.freshen(*FRESH, is_once=True)
        faults = [self._counted(source, kept) for source, kept in self._kept().items()]
        lost, repeated, strange = (sum(counts) for counts in zip(*faults, strict=True))
        deaths = {victim.name: victim.deaths for victim in self._victims} | {"redis": self._redis_deaths}
        reads = [self._audited(name) for name in VIEWS]
        online = self._workspace.audit(is_online=True)
        return Outcome(
            sum(map(len, self._kept().values())),
            lost,
            repeated,
            strange,
            sum(audit.population for audit in reads),
            self._reader.away,
            deaths,
            sum(victim.falls for victim in self._victims),
            (*reads, *online),
        )

    def _kept(self) -> dict[str, dict[int, float]]:
        return {"orders": self._orders.kept, "visits": self._visits.kept}

    def _counted(self, source: str, kept: Mapping[int, float]) -> tuple[int, int, int]:
        """(lost, repeated, strange) rows of a source."""
        tables = self._workspace.context.tables
        files = tables.snapshot(f"sources/{source}").files
        rows = [pq.read_table(file, columns=["number", "amount"]) for file in files]
        numbers = [number for table in rows for number in table["number"].to_pylist()]
        amounts = [amount for table in rows for amount in table["amount"].to_pylist()]
        strange = sum(kept.get(number) != amount for number, amount in zip(numbers, amounts, strict=True))
        return len(kept.keys() - set(numbers)), len(numbers) - len(set(numbers)), strange

    def _audited(self, name: str) -> Audited:
        """Everything that was read of a view."""
        context, reads = self._workspace.context, self._reader.reads(name)
        view = self._reader.views[name]
        drawn = Audited(f"feature_view:{name}", "reader", "", len(reads))
        is_tiled = name in FRESH
        return audit_view(drawn, view, reads, view.at, engine=context.engine, tables=context.tables, is_tiled=is_tiled)
