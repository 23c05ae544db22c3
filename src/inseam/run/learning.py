"""From a declared model to a champion: build the training set, fit, evaluate, judge, promote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inseam.define.model import Model
from inseam.ir.records import AliasRecord, ModelVersionRecord, TrainingSetRecord, VerdictRecord
from inseam.ir.training import ModelSpec
from inseam.kernel.errors import NotFoundError
from inseam.ports.progress import Progress, silent
from inseam.run.context import Context
from inseam.run.runs import run

CHAMPION = "champion"


@dataclass(frozen=True, slots=True)
class Trained:
    """What training a model brought. ``champion`` None: the gates did not let it pass, or nobody asked."""

    training_set: TrainingSetRecord
    version: ModelVersionRecord
    verdict: VerdictRecord
    champion: AliasRecord | None


def build_training_set(context: Context, name: str, *, progress: Progress = silent) -> TrainingSetRecord:
    """Write a training set, or find it already written under its fingerprint."""
    from inseam.stages.features.training_set import build

    spec = context.training_set(name, context.checked())
    with run(context.ledger, "build", name, spec.fingerprint) as opened:
        record = build(
            spec,
            engine=context.engine,
            tables=context.tables,
            ledger=context.ledger,
            directory=context.path("training_sets"),
            progress=progress,
        )
        opened.outputs = {"fingerprint": record.fingerprint, "digest": record.digest, "rows": record.rows}
    return record


def train(
    context: Context,
    name: str,
    *,
    params: Mapping[str, Any] | None = None,
    can_promote: bool = True,
    progress: Progress = silent,
) -> Trained:
    """Build, fit, evaluate, register and judge one model; promote it when its gates let it pass."""
    from inseam.stages.train.training import train as fit

    schemas = context.checked()
    declared = context.project.get(Model, name)
    spec = context.model(name, schemas)
    record = build_training_set(context, declared.training_set.name, progress=progress)
    keys, views, inputs = context.model_inputs(name, schemas)
    with run(context.ledger, "train", name, spec.fingerprint, {"training_set": record.fingerprint}) as opened:
        version = fit(
            spec,
            record,
            keys=keys,
            views=views,
            inputs=inputs,
            ledger=context.ledger,
            tracker=context.tracker,
            models=context.path("models"),
            repository=context.settings.root,
            progress=progress,
            params=params,
        )
        opened.outputs = {"version": version.version, "digest": version.digest, "metrics": version.metrics}
    verdict = _judge(context, spec, version, record)
    champion = None
    if verdict.is_passed and can_promote:
        champion = promote(context, name, version.version)
    return Trained(record, version, verdict, champion)


def _judge(context: Context, spec: ModelSpec, version: ModelVersionRecord, record: TrainingSetRecord) -> VerdictRecord:
    from inseam.stages.register.judging import judge

    with run(context.ledger, "judge", spec.name, version.digest, {"version": version.version}) as opened:
        verdict = judge(spec, version, record, ledger=context.ledger, models=context.path("models"))
        opened.outputs = {"is_passed": verdict.is_passed}
    return verdict


def promote(context: Context, name: str, version: int | None = None, *, is_forced: bool = False) -> AliasRecord:
    """Make a version the champion; `RefusedError` names the gates that it did not pass."""
    from inseam.stages.register.promotion import promote as swap

    versions = context.ledger.select(ModelVersionRecord, model=name)
    if not versions:
        raise NotFoundError(f"model:{name}", "no version of it was trained yet", mend=f"run `inseam train {name}`")
    number = versions[-1].version if version is None else version
    with run(context.ledger, "promote", name, "", {"version": number, "is_forced": is_forced}) as opened:
        alias = swap(name, number, ledger=context.ledger, tracker=context.tracker, is_forced=is_forced)
        opened.outputs = {"version": alias.version}
    return alias


def roll_back(context: Context, name: str) -> AliasRecord:
    """Make the champion before the present one champion again."""
    from inseam.stages.register.promotion import roll_back as swap

    with run(context.ledger, "roll_back", name) as opened:
        alias = swap(name, ledger=context.ledger, tracker=context.tracker)
        opened.outputs = {"version": alias.version}
    return alias


def champion_of(context: Context, name: str) -> ModelVersionRecord:
    """The version that serves now; `NotFoundError` when none was promoted."""
    alias = context.ledger.get(AliasRecord, name, CHAMPION)
    if alias is None:
        raise NotFoundError(f"model:{name}", "it has no champion", mend=f"run `inseam train {name}`")
    return version_of(context, name, alias.version)


def version_of(context: Context, name: str, number: int) -> ModelVersionRecord:
    record = context.ledger.get(ModelVersionRecord, name, number)
    if record is None:
        raise NotFoundError(f"model:{name}@{number}", "there is no such version")
    return record
