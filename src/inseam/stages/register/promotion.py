"""Which version is champion: swapped in the ledger by compare-and-set."""

from __future__ import annotations

import uuid
from typing import Any

from inseam.ir.records import AliasRecord, ModelVersionRecord, RunRecord, VerdictRecord
from inseam.kernel import clock
from inseam.kernel.errors import ConflictError, NotFoundError, RefusedError
from inseam.ports.ledger import Ledger
from inseam.stages.register import skew
from inseam.stages.register.case import CHAMPION

HISTORY = "set_champion"
"""The step of the run records that keep, in the swap's own transaction, which version was champion when."""


def promote(model: str, version: int, *, ledger: Ledger, is_forced: bool = False) -> AliasRecord:
    """Make a version champion. `RefusedError` names the gates that it failed, `ConflictError` means somebody else has
    changed the champion in between.

    A verdict holds against the champion that it was reached against and no other: see `is_outdated`. Forced, the gates
    are passed over, which is recorded. The version that is champion already stays it.
    """
    if ledger.get(ModelVersionRecord, model, version) is None:
        raise NotFoundError(f"model:{model}@{version}", "there is no such version", mend=f"run `inseam train {model}`")
    # The champion is looked at before the verdict, and the swap demands that it still is the one that was seen.
    current = ledger.get(AliasRecord, model, CHAMPION)
    if current is not None and current.version == version:
        return current
    failed = _failed_gates(model, version, current, ledger)
    if failed and not is_forced:
        raise RefusedError(
            f"model:{model}@{version}",
            f"it did not pass: {'; '.join(failed)}",
            expected="a verdict in which every gate passed",
            mend="train a better version, or promote by force, which is recorded",
        )
    kind = {"act": "promote", "is_forced": is_forced, "failed_gates": failed}
    return _swap(model, current, version, kind, ledger)


def roll_back(model: str, *, ledger: Ledger) -> AliasRecord:
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
    return _swap(model, current, past[-2], {"act": "roll_back", "is_forced": False, "failed_gates": []}, ledger)


def champions(model: str, ledger: Ledger) -> list[int]:
    """The versions that were champion and not rolled back, the present one last."""
    stack: list[int] = []
    for run in ledger.select(RunRecord, step=HISTORY, subject=model):
        if run.inputs["act"] == "promote":
            stack.append(int(run.outputs["version"]))
        else:
            stack.pop()
    return stack


def is_outdated(model: str, version: int, ledger: Ledger) -> bool:
    """Whether a gate compared the version with another champion than there is now, or went by other audits than the
    last ones, so that it must be judged again."""
    verdict = _newest_verdict(model, version, ledger)
    current = ledger.get(AliasRecord, model, CHAMPION)
    is_champion = current is not None and current.version == version
    return verdict is not None and not is_champion and bool(_outdated_gates(verdict, current, ledger))


def _failed_gates(model: str, version: int, current: AliasRecord | None, ledger: Ledger) -> list[str]:
    """Why the newest verdict lets the version not pass; empty when it does."""
    verdict = _newest_verdict(model, version, ledger)
    if verdict is None:
        return ["it was never judged"]
    outdated = _outdated_gates(verdict, current, ledger)
    failed = {
        label: f"{label}: {gate['found']}, expected {gate['expected']}"
        for label, gate in verdict.gates.items()
        if not gate["passed"]
    }
    return list((failed | outdated).values())


def _newest_verdict(model: str, version: int, ledger: Ledger) -> VerdictRecord | None:
    verdicts = ledger.select(VerdictRecord, model=model, version=version)
    return max(verdicts, key=lambda verdict: verdict.judged_at, default=None)


def _outdated_gates(verdict: VerdictRecord, current: AliasRecord | None, ledger: Ledger) -> dict[str, str]:
    """Gates whose evidence is not that of now, and how so."""
    now = None if current is None else current.version
    found: dict[str, str] = {}
    for label, gate in verdict.gates.items():
        evidence = gate["evidence"]
        if "champion" in evidence and evidence["champion"] != now:
            found[label] = f"{label}: judged against {_named(evidence['champion'])}, and now there is {_named(now)}"
        elif "audits" in evidence and (why := skew.outdated(evidence, ledger)) is not None:
            found[label] = f"{label}: {why}"
    return found


def _named(champion: int | None) -> str:
    return "no champion" if champion is None else f"champion {champion}"


def _swap(model: str, current: AliasRecord | None, version: int, act: dict[str, Any], ledger: Ledger) -> AliasRecord:
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
    return alias
