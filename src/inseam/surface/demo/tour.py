"""The tour: every step of the loop through the workspace, told as it goes. Run again, it does nothing twice.

The simulated shop ends in the past, so its last instant stands for the present wherever a step may choose: online rows
are those of that instant, and so are the batch's. The server reads the real clock and marks such rows stale, as it
should; what it answers from them is logged with their boundaries and replays all the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inseam.kernel.clock import DAY, format_instant
from inseam.kernel.errors import DefinitionError
from inseam.ports.progress import Progress
from inseam.surface.demo import prepare, told
from inseam.surface.demo.server import Server

if TYPE_CHECKING:
    from inseam.run.workspace import Workspace

LAPSE, SEND_BACK = "lapse", "send_back"


@dataclass(frozen=True, slots=True)
class Step:
    """One step that is done. ``lines``: what it has to tell."""

    name: str
    seconds: float
    lines: tuple[str, ...]


@dataclass
class Tour:
    """One tour of a directory. ``bars`` opens a display of progress for each step; ``tell`` hears of each step done.

    A context: leaving it stops the server and closes the workspace. ``facts`` is the summary as plain data.
    """

    directory: Path
    scale: float
    bars: Callable[[], AbstractContextManager[Progress]]
    tell: Callable[[Step], None]
    facts: dict[str, Any] = field(default_factory=dict)
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Tour:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def run(self) -> dict[str, Any]:
        """All steps; the summary. `RefusedError` for too small a scale, before anything is done."""
        prepare.expect_scale(self.scale)
        steps: tuple[tuple[str, Callable[[Progress], Iterator[str]]], ...] = (
            ("project", self._project),
            ("simulate", self._simulate),
            ("check", self._check),
            ("plan", self._plan),
            ("ingest", self._ingest),
            ("apply", self._apply),
            (f"train {LAPSE}", lambda progress: self._train(LAPSE, progress)),
            (f"train {SEND_BACK}", lambda progress: self._train(SEND_BACK, progress)),
            ("materialize", self._materialize),
            ("serve", self._serve),
            ("predict", self._predict),
            ("outcome", self._outcome),
            ("replay", self._replay),
            ("score", self._score),
            ("lineage", self._lineage),
        )
        seconds: dict[str, float] = {}
        for name, act in steps:
            started = time.monotonic()
            with self.bars() as progress:
                lines = tuple(act(progress))
            seconds[name] = round(time.monotonic() - started, 2)
            self.tell(Step(name, seconds[name], lines))
        self.facts |= {"seconds": round(sum(seconds.values()), 1), "steps": seconds}
        return self.facts

    def _project(self, _: Progress) -> Iterator[str]:
        import inseam

        written = prepare.write_project(self.directory)
        self.workspace: Workspace = self._open.enter_context(inseam.open(self.directory))
        yield f"{len(written)} files written to {self.directory}" if written else f"{self.directory} is there already"
        self.facts |= {"directory": str(self.directory), "tracking": self.workspace.settings.tracking_uri}

    def _simulate(self, progress: Progress) -> Iterator[str]:
        self.shop = prepare.write_data(self.directory, self.scale, progress)
        yield told.shop(self.shop)
        self.facts |= {"scale": self.shop.scale, "simulated": self.shop.rows}

    def _check(self, _: Progress) -> Iterator[str]:
        problems = self.workspace.check()
        if problems:
            raise DefinitionError.of(problems)
        yield f"no mistakes in {len(self.workspace.project.declarations)} definitions"

    def _plan(self, _: Progress) -> Iterator[str]:
        yield from told.plan(self.workspace.plan())

    def _ingest(self, progress: Progress) -> Iterator[str]:
        self.workspace.ingest(is_history=True, watermark=self.shop.end, progress=progress)
        sources = self.workspace.status().sources
        self.facts["sources"] = {s.name: {"accepted": s.rows, "quarantined": s.quarantined} for s in sources}
        yield from (f"{s.name}: {s.rows:,} rows accepted, {s.quarantined:,} quarantined" for s in sources)
        self.facts["quarantine"] = told.quarantine(self.workspace, "orders", 2)
        yield from self.facts["quarantine"]

    def _apply(self, progress: Progress) -> Iterator[str]:
        applied = self.workspace.apply(as_of=self.shop.end - DAY, progress=progress)
        changed = sum(change.change != "unchanged" for change in applied.plan.changes)
        yield f"{changed} definitions recorded" if changed else told.NOTHING_TO_DO
        views = [work.subject for work in applied.done if work.verb == "materialize"]
        if views:
            yield f"online rows of {', '.join(views)} as of {format_instant(self.shop.end - DAY)}"

    def _train(self, name: str, progress: Progress) -> Iterator[str]:
        trained = told.trained_before(self.workspace, name, progress)
        trained = trained or self.workspace.train(name, progress=progress)
        self.facts.setdefault("training_sets", {})[trained.training_set.name] = told.training_set(trained)
        self.facts.setdefault("models", {})[name] = told.model(trained)
        yield from told.training(trained)
        if trained.champion is None:
            # Names the gates that said no, or sets the champion that an interrupted tour left unset.
            self.workspace.promote(name, trained.version.version)

    def _materialize(self, progress: Progress) -> Iterator[str]:
        written = self.workspace.materialize(as_of=self.shop.end, progress=progress)
        self.facts["online"] = {name: record.rows for name, record in written.items()}
        yield ", ".join(f"{name} {record.rows:,}" for name, record in written.items()) + " rows online"
        yield f"for the boundary {format_instant(min(record.boundary for record in written.values()))}"

    def _serve(self, progress: Progress) -> Iterator[str]:
        progress("server comes up", 0, None)
        self.server = Server(self.directory, self.workspace.settings.directory / "demo-server.log")
        self._open.callback(self.server.stop)
        self.server.wait_ready()
        self.facts["docs"] = f"{self.server.url}/docs"
        yield f"{self.server.url}/docs"

    def _predict(self, _: Progress) -> Iterator[str]:
        line = prepare.newest_line(self.shop)
        self.customer = int(line["customer_id"])
        basket = {
            "customer_id": self.customer,
            "product_id": line["product_id"],
            "amount": float(line["amount"]),
            "discount": float(line["discount"]),
            "payment": line["payment"],
            "is_online": line["store_id"] == "S001",
        }
        self.predictions = {
            name: self.server.post(f"/endpoints/{name}/predict", asked) | {"asked": asked}
            for name, asked in ((LAPSE, {"customer_id": self.customer}), (SEND_BACK, basket))
        }
        self.facts["predictions"] = self.predictions
        yield from (told.prediction(reply) for reply in self.predictions.values())
        if self.predictions[LAPSE]["predictions"][0]["stale"]:
            yield told.staleness(self.predictions[LAPSE])

    def _outcome(self, _: Progress) -> Iterator[str]:
        prediction = self.predictions[SEND_BACK]["predictions"][0]["id"]
        self.server.post(f"/predictions/{prediction}/outcome", {"outcome": False})
        yield f"{prediction}: it was kept"

    def _replay(self, _: Progress) -> Iterator[str]:
        replays = {
            name: self.workspace.replay(reply["predictions"][0]["id"]) for name, reply in self.predictions.items()
        }
        self.facts["replays"] = {
            name: {"is_equal": replayed.is_equal, "compared": replayed.compared} for name, replayed in replays.items()
        }
        self.facts["receipt"] = told.receipt(replays[LAPSE])
        yield from (f"{name}: {told.verdict(replayed)}" for name, replayed in replays.items())

    def _score(self, progress: Progress) -> Iterator[str]:
        out = self.directory / "scores.parquet"
        result = self.workspace.score(LAPSE, out=out, as_of=self.shop.end, progress=progress)
        served = self.predictions[LAPSE]["predictions"][0]["probability"]
        scored = told.score_of(out, self.customer)
        self.facts["score"] = {"rows": result.rows, "out": str(out), "is_as_served": scored == served}
        yield f"{result.rows:,} customers scored by {result.model}@{result.version} into {out}"
        same = "the very number that was served" if scored == served else f"served was {served}"
        yield f"customer {self.customer}: {scored:.6f}, {same}"

    def _lineage(self, _: Progress) -> Iterator[str]:
        found = self.workspace.lineage(self.predictions[LAPSE]["predictions"][0]["id"])
        self.facts["lineage"] = [node.ref for node in (found.subject, *found.upstream)]
        yield f"{found.subject.ref} was made from"
        yield ", ".join(node.ref for node in found.upstream)
