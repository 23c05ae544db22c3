"""Who works on a load: this process, or the engine's workers where the inputs are large and can be divided."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from inseam.ir.checks import SourceSpec
from inseam.ports.engine import Engine
from inseam.ports.progress import Progress, silent
from inseam.ports.workers import ThisProcess, Workers
from inseam.stages.ingest import portions
from inseam.stages.ingest.finding import Findings
from inseam.stages.ingest.inputs import Input, in_portions
from inseam.stages.ingest.notation import notation_of
from inseam.stages.ingest.part import Part, Work, prepare
from inseam.stages.ingest.read import first_read
from inseam.stages.ingest.types import Inference, seen

ALONE = "load.one_process"
"""The finding of a large load that workers could not share."""


@dataclass(frozen=True, slots=True)
class Crew:
    """``shares``: what each takes, in the order of the inputs. ``folder`` is scratch that all of them see."""

    workers: Workers
    shares: list[list[Input]]
    folder: Path
    progress: Progress

    def infer(self, spec: SourceSpec) -> Inference:
        """What all records say of their columns' types."""
        if self.workers.is_spread:
            whole = Inference(spec.timestamp, notation_of(spec))
            if all(whole.join(found) for found in self.workers.each(partial(_seen, spec), self.shares)):
                return whole
        return _seen(spec, [one for share in self.shares for one in share], self.progress)

    def prepare(self, work: Work) -> list[Part]:
        """Read and judge all inputs, row by row."""
        if not self.workers.is_spread:
            return [prepare(work, share, self.progress) for share in self.shares]
        what, total = f"ingest {work.spec.name}", _size(*self.shares)
        self.progress(what, 0, total)
        parts = self.workers.each(partial(prepare, work), self.shares)
        self.progress(what, total, total)
        return parts


def crew_of(
    spec: SourceSpec, inputs: list[Input], engine: Engine, directory: Path, findings: Findings, progress: Progress
) -> Crew:
    """The engine's workers or this process, which works in ``directory``."""
    workers = engine.workers
    here = Crew(ThisProcess(workers.engine, directory), [inputs], directory, progress)
    is_large = _size(inputs) > portions.PORTION_BYTES
    if not workers.is_spread or not is_large:
        return here
    shares = in_portions(inputs)
    if workers.folder is not None and len(shares) > 1:
        return Crew(workers, shares, workers.folder / f"ingest-{os.getpid()}-{uuid.uuid4().hex[:12]}", progress)
    why = "staging is no directory" if workers.folder is None else f"{inputs[0].path} cannot be read from the middle"
    findings.add(ALONE, "load", "warn", 1, [f"one process did what workers could have shared: {why}"])
    return here


def _seen(spec: SourceSpec, inputs: list[Input], progress: Progress = silent) -> Inference:
    return seen(first_read(spec, inputs, progress), spec.timestamp, notation_of(spec))


def _size(*shares: list[Input]) -> int:
    return sum(source.size or 0 for share in shares for source in share)
