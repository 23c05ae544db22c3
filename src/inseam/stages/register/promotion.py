"""Which version is champion: swapped in the ledger by compare-and-set, mirrored to the tracker afterwards."""

from __future__ import annotations

import logging
import uuid

from inseam.ir.records import AliasRecord, ModelVersionRecord, RunRecord, VerdictRecord
from inseam.kernel import clock
from inseam.kernel.errors import ConflictError, NotFoundError, RefusedError
from inseam.ports.ledger import Ledger
from inseam.ports.tracker import Tracker
from inseam.stages.register.champion import CHAMPION

_log = logging.getLogger("inseam.register")
HISTORY = "set_champion"
"""The step of the run records that keep, in the swap's own transaction, which version was champion when."""


def promote(model: str, version: int, *, ledger: Ledger, tracker: Tracker, is_forced: bool = False) -> AliasRecord:
    """Make a version champion. `RefusedError` names the gates that it failed, `ConflictError` means somebody else has
    changed the champion in between.

    Forced, the gates are passed over, which is recorded. The version that is champion already stays it.
    """
    if ledger.get(ModelVersionRecord, model, version) is None:
        raise NotFoundError(f"model:{model}@{version}", "there is no such version", mend=f"run `inseam train {model}`")
    failed = _failed_gates(model, version, ledger)
    if failed and not is_forced:
        raise RefusedError(
            f"model:{model}@{version}",
            f"it did not pass: {'; '.join(failed)}",
            expected="a verdict in which every gate passed",
            mend="train a better version, or promote by force, which is recorded",
        )
    current = ledger.get(AliasRecord, model, CHAMPION)
    if current is not None and current.version == version:
        return current
    kind = {"act": "promote", "is_forced": is_forced, "failed_gates": failed}
    return _swap(model, current, version, kind, ledger, tracker)


def roll_back(model: str, *, ledger: Ledger, tracker: Tracker) -> AliasRecord:
    """Make the champion before the present one champion again; again, the one before that.

    `RefusedError` when there was none before.
    """
    current = ledger.get(AliasRecord, model, CHAMPION)
    past = champions(model, ledger)
    if current is None or len(past) < 2:
        raise RefusedError(
            f"model:{model}",
            "there is no earlier champion" if current is not None else "it has no champion",
            mend=f"promote a version: `inseam promote {model} VERSION`",
        )
    return _swap(
        model, current, past[-2], {"act": "roll_back", "is_forced": False, "failed_gates": []}, ledger, tracker
    )


def champions(model: str, ledger: Ledger) -> list[int]:
    """The versions that were champion and not rolled back, the present one last."""
    stack: list[int] = []
    for run in ledger.select(RunRecord, step=HISTORY, subject=model):
        if run.inputs["act"] == "promote":
            stack.append(int(run.outputs["version"]))
        else:
            stack.pop()
    return stack


def _failed_gates(model: str, version: int, ledger: Ledger) -> list[str]:
    """Why the newest verdict lets the version not pass; empty when it does."""
    verdicts = ledger.select(VerdictRecord, model=model, version=version)
    if not verdicts:
        return ["it was never judged"]
    newest = max(verdicts, key=lambda verdict: verdict.judged_at)
    return [
        f"{label}: {gate['found']}, expected {gate['expected']}"
        for label, gate in newest.gates.items()
        if not gate["passed"]
    ]


def _swap(
    model: str,
    current: AliasRecord | None,
    version: int,
    act: dict[str, object],
    ledger: Ledger,
    tracker: Tracker,
) -> AliasRecord:
    now = clock.now()
    alias = AliasRecord(model, CHAMPION, version, now)
    history = RunRecord(
        id=str(uuid.uuid4()),
        step=HISTORY,
        subject=model,
        fingerprint="",
        status="succeeded",
        started_at=now,
        finished_at=now,
        inputs=act,
        outputs={"version": version, "previous": None if current is None else current.version},
    )
    if not ledger.swap(current, alias, history):
        raise ConflictError(
            f"model:{model}",
            "another process has changed the champion in the meantime",
            mend="look at the champion that is there now, then promote again",
        )
    try:
        tracker.set_alias(model, CHAMPION, version)
    except Exception as error:  # noqa: BLE001 - whatever the tracker's library raises; the ledger has decided
        _log.warning("champion %d of model %s is not mirrored to the tracker: %s", version, model, error)
    return alias
