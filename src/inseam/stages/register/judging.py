"""Judges a version by its model's gates and writes the verdict down."""

from __future__ import annotations

from typing import Any

from inseam.ir.records import ModelVersionRecord, TrainingSetRecord, VerdictRecord
from inseam.ir.training import GateSpec, ModelSpec
from inseam.kernel import clock
from inseam.kernel.errors import ConflictError
from inseam.ports.artifacts import Artifacts
from inseam.ports.ledger import Ledger
from inseam.stages.register.case import Case
from inseam.stages.register.gates import judge_gate


def judge(
    spec: ModelSpec, version: ModelVersionRecord, record: TrainingSetRecord, *, ledger: Ledger, models: Artifacts
) -> VerdictRecord:
    """Every gate's finding on the test rows of ``record``, stored under the present instant; passed when all are."""
    case = Case(spec, version, record, ledger, models)
    gates: dict[str, Any] = {}
    for gate in spec.gates:
        gates[_label(gate, gates)] = judge_gate(gate.kind, case, gate.options).as_dict()
    judged_at = clock.now()
    while True:
        verdict = VerdictRecord(
            model=spec.name,
            version=version.version,
            judged_at=judged_at,
            is_passed=all(gate["passed"] for gate in gates.values()),
            gates=gates,
        )
        try:
            ledger.insert(verdict)
        except ConflictError:
            # Another verdict of this very microsecond: ours is the later one.
            judged_at += 1
            continue
        return verdict


def _label(gate: GateSpec, taken: dict[str, Any]) -> str:
    """``at_least roc_auc``: the kind with what it looks at; numbered when a model has two of the same."""
    parts = (gate.kind, gate.options.get("column"), gate.options.get("metric"))
    label = " ".join(str(part) for part in parts if part is not None)
    same = sum(name == label or name.startswith(f"{label} #") for name in taken)
    return label if same == 0 else f"{label} #{same + 1}"
