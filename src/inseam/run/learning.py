"""From a declared model to a champion: build the training set, fit, evaluate, judge, promote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from inseam.define.model import Model
from inseam.define.training_set import TrainingSet
from inseam.ir.records import (
    AliasRecord,
    ErasureRecord,
    ModelVersionRecord,
    RunRecord,
    TrainingSetRecord,
    VerdictRecord,
)
from inseam.ir.training import ModelSpec
from inseam.kernel import clock
from inseam.kernel.errors import ConflictError, NotFoundError, RefusedError
from inseam.plan.schemas import Schemas
from inseam.ports.bundle import digest
from inseam.ports.progress import Progress, silent
from inseam.run.context import Context
from inseam.run.runs import close_killed, run
from inseam.run.settling import settle

CHAMPION = "champion"


@dataclass(frozen=True, slots=True)
class Trained:
    """What training a model brought. ``champion`` None: the gates did not let it pass, or nobody asked.

    ``untracked``: versions, as ``model@version``, that the tracker did not take; the next training or promotion offers
    them again.
    """

    training_set: TrainingSetRecord
    version: ModelVersionRecord
    verdict: VerdictRecord
    champion: AliasRecord | None
    untracked: tuple[str, ...] = ()


def build_training_set(context: Context, name: str, *, progress: Progress = silent) -> TrainingSetRecord:
    """Write a training set, or find it already written under its fingerprint."""
    from inseam.stages.features.training_set import build

    spec = context.training_set(name, context.checked())
    settle(context, context.project.get(TrainingSet, name))
    erasures = context.ledger.select(ErasureRecord)
    with run(context.ledger, "build", name, spec.fingerprint) as opened:
        record = build(
            spec,
            engine=context.engine,
            tables=context.tables,
            ledger=context.ledger,
            artifacts=context.training_sets,
            progress=progress,
        )
        _check_erasures(context, record, erasures)
        opened.outputs = {"fingerprint": record.fingerprint, "digest": record.digest, "rows": record.rows}
    return record


def _check_erasures(context: Context, record: TrainingSetRecord, before: list[ErasureRecord]) -> None:
    """A set that was built while an entity was forgotten may hold it, and whoever erased it may have looked before."""
    if context.ledger.select(ErasureRecord) != before:
        context.training_sets.remove(f"{record.name}/{record.fingerprint}.parquet")
        context.ledger.put(replace(record, erased_at=clock.now()))
        raise ConflictError(
            f"training_set:{record.name}", "an entity was forgotten while it was built", mend="build it again"
        )


def train(
    context: Context,
    name: str,
    *,
    params: Mapping[str, Any] | None = None,
    can_promote: bool = True,
    progress: Progress = silent,
) -> Trained:
    """Build, fit, evaluate, register and judge one model; promote it when its gates let it pass.

    One that was killed, or failed, after it had registered its version is taken up where it was, and makes no second.
    """
    schemas = context.checked()
    close_killed(context.ledger)
    spec = context.model(name, schemas)
    record = build_training_set(context, context.project.get(Model, name).training_set.name, progress=progress)
    with run(context.ledger, "train", name, spec.fingerprint, {"training_set": record.fingerprint}) as opened:
        version = _left_unfinished(context, spec, record, params)
        if version is None:
            version = _fit(context, spec, record, schemas, opened.id, params, progress)
        verdict, champion = _settle(context, spec, version, record, can_promote=can_promote)
        untracked = _track(context, name)
        opened.outputs = {"version": version.version, "digest": version.digest, "metrics": version.metrics}
    _finish(context, version)
    return Trained(record, version, verdict, champion, untracked)


def _fit(
    context: Context,
    spec: ModelSpec,
    record: TrainingSetRecord,
    schemas: Schemas,
    run_id: str,
    params: Mapping[str, Any] | None,
    progress: Progress,
) -> ModelVersionRecord:
    from inseam.stages.train.training import train as fit

    keys, views, inputs, members = context.model_inputs(spec.name, schemas)
    return fit(
        spec,
        record,
        keys=keys,
        views=views,
        inputs=inputs,
        members=members,
        ledger=context.ledger,
        models=context.models,
        repository=context.settings.root,
        run=run_id,
        progress=progress,
        params=params,
    )


def _left_unfinished(
    context: Context, spec: ModelSpec, record: TrainingSetRecord, params: Mapping[str, Any] | None
) -> ModelVersionRecord | None:
    """The whole version of a run that trained just this and never came to its end."""
    from inseam.stages.train.provenance import as_data

    given = None if params is None else as_data(params)
    versions = context.ledger.select(
        ModelVersionRecord, model=spec.name, fingerprint=spec.fingerprint, training_set=record.fingerprint
    )
    for version in reversed(versions):
        if (
            version.provenance.get("given_params") == given
            and _unfinished_run(context, version) is not None
            and _is_whole(context, version)
        ):
            return version
    return None


def _is_whole(context: Context, version: ModelVersionRecord) -> bool:
    try:
        return digest(context.models.here(version.path)) == version.digest
    except NotFoundError:
        return False


def _unfinished_run(context: Context, version: ModelVersionRecord) -> RunRecord | None:
    made_by = context.ledger.get(RunRecord, version.provenance["run"])
    return None if made_by is None or made_by.status == "succeeded" else made_by


def _finish(context: Context, version: ModelVersionRecord) -> None:
    """Close the run that made a version which another run has brought to its end."""
    made_by = _unfinished_run(context, version)
    if made_by is not None:
        outputs = {"version": version.version, "digest": version.digest, "metrics": version.metrics}
        context.ledger.put(replace(made_by, status="succeeded", finished_at=clock.now(), outputs=outputs, error=None))


def _settle(
    context: Context, spec: ModelSpec, version: ModelVersionRecord, record: TrainingSetRecord, *, can_promote: bool
) -> tuple[VerdictRecord, AliasRecord | None]:
    """Judge, and promote what passed; judged again when another champion took over in the meantime."""
    from inseam.stages.register.promotion import is_outdated

    while True:
        verdict = _judge(context, spec, version, record)
        if not verdict.is_passed or not can_promote:
            return verdict, None
        try:
            return verdict, _swap(context, spec.name, version.version)
        except (ConflictError, RefusedError):
            if not is_outdated(spec.name, version.version, context.ledger):
                raise


def _judge(context: Context, spec: ModelSpec, version: ModelVersionRecord, record: TrainingSetRecord) -> VerdictRecord:
    from inseam.stages.register.judging import judge

    with run(context.ledger, "judge", spec.name, version.digest, {"version": version.version}) as opened:
        verdict = judge(spec, version, record, ledger=context.ledger, models=context.models)
        opened.outputs = {"is_passed": verdict.is_passed}
    return verdict


def promote(context: Context, name: str, version: int | None = None, *, is_forced: bool = False) -> AliasRecord:
    """Make a version the champion; `RefusedError` names the gates that it did not pass.

    One that was judged against another champion than the present one is judged again first, by the gates as they are
    declared now.
    """
    from inseam.stages.register.promotion import is_outdated

    versions = context.ledger.select(ModelVersionRecord, model=name)
    if not versions:
        raise NotFoundError(f"model:{name}", "no version of it was trained yet", mend=f"run `inseam train {name}`")
    number = versions[-1].version if version is None else version
    if not is_forced and is_outdated(name, number, context.ledger):
        chosen = version_of(context, name, number)
        record = context.ledger.get(TrainingSetRecord, chosen.training_set)
        if record is None:
            raise NotFoundError(f"training set of model:{name}@{number}", "it is not in the ledger")
        if record.erased_at is not None:
            raise NotFoundError(
                f"training set of model:{name}@{number}",
                f"it held an entity that was forgotten, and was erased at {clock.format_instant(record.erased_at)}",
                mend=f"run `inseam train {name}`",
            )
        _judge(context, context.model(name, context.checked()), chosen, record)
    alias = _swap(context, name, number, is_forced=is_forced)
    _track(context, name)
    return alias


def _swap(context: Context, name: str, version: int, *, is_forced: bool = False) -> AliasRecord:
    from inseam.stages.register.promotion import promote as swap

    with run(context.ledger, "promote", name, "", {"version": version, "is_forced": is_forced}) as opened:
        alias = swap(name, version, ledger=context.ledger, is_forced=is_forced)
        opened.outputs = {"version": alias.version}
    return alias


def roll_back(context: Context, name: str) -> AliasRecord:
    """Make the champion before the present one champion again."""
    from inseam.stages.register.promotion import roll_back as swap

    with run(context.ledger, "roll_back", name) as opened:
        alias = swap(name, ledger=context.ledger)
        opened.outputs = {"version": alias.version}
    _track(context, name)
    return alias


def _track(context: Context, name: str) -> tuple[str, ...]:
    """Show the tracker what it does not have yet; what it does not take waits for the next call, and is returned."""
    from inseam.stages.register.mirror import mirror_champion
    from inseam.stages.train.track import track

    left = track(models=context.models, ledger=context.ledger, tracker=context.tracker)
    if not left:
        mirror_champion(name, ledger=context.ledger, tracker=context.tracker)
    return left


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
