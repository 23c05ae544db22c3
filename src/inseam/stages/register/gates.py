"""The judges, one a kind of gate. Each says what it found, what it expected, and on what evidence.

All but `latency` and `no_skew` are functions of the saved model, the rows and the seed: judged again, they say the
same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from inseam.ir.metrics import Metric
from inseam.ir.slices import slices
from inseam.kernel.errors import DefinitionError
from inseam.kernel.names import did_you_mean
from inseam.stages.register import skew
from inseam.stages.register.case import Case
from inseam.stages.register.champion import beats_champion

RESAMPLES = 200
SLICE_ROWS = 30
"""A gap is measured between the most frequent values of a column that have at least so many rows."""
_LATENCY_CALLS = 300


@dataclass(frozen=True, slots=True)
class Outcome:
    passed: bool
    found: str
    expected: str
    evidence: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def judge_gate(kind: str, case: Case, options: Mapping[str, Any]) -> Outcome:
    """What the judge of this kind says; `DefinitionError` when there is none."""
    judge = JUDGES.get(kind)
    if judge is None:
        raise DefinitionError(f"gate:{kind}", "there is no such gate", mend=did_you_mean(kind, JUDGES))
    return judge(case, options)


def at_least(case: Case, options: Mapping[str, Any]) -> Outcome:
    estimate = _estimate(case, case.metric(options))
    value = estimate["value"]
    bound = float(options["value"])
    return Outcome(value is not None and value >= bound, _shown(estimate), f"at least {bound:g}", estimate)


def at_most(case: Case, options: Mapping[str, Any]) -> Outcome:
    estimate = _estimate(case, case.metric(options))
    value = estimate["value"]
    bound = float(options["value"])
    return Outcome(value is not None and value <= bound, _shown(estimate), f"at most {bound:g}", estimate)


def calibration(case: Case, options: Mapping[str, Any]) -> Outcome:
    """The expected calibration error over 15 equal-width bins."""
    return at_most(case, {"metric": "ece", "value": options["at_most"]})


def against_champion(case: Case, options: Mapping[str, Any]) -> Outcome:
    compared = beats_champion(case, options)
    return Outcome(compared.is_better, compared.found, compared.expected, compared.evidence)


def slice_gap(case: Case, options: Mapping[str, Any]) -> Outcome:
    """The metric's distance between the best and the worst value of a column."""
    import numpy as np

    name, metric, bound = str(options["column"]), case.metric(options), float(options["at_most"])
    expected = f"{metric.name} differs by at most {bound:g} between values of {name}"
    if name not in case.columns:
        return Outcome(False, f"the training set has no column {name}", expected)
    measured: dict[str, float] = {}
    for one in slices(case.columns[name]):
        value = metric.value(case.truth[one.inside], case.output[one.inside]) if one.rows >= SLICE_ROWS else np.nan
        if np.isfinite(value):
            measured[one.label] = value
    if len(measured) < 2:
        return Outcome(True, "fewer than two values have rows enough to compare", expected, {"slices": measured})
    ranked = sorted(measured, key=lambda label: metric.gain(measured[label], 0.0))
    worst, best = ranked[0], ranked[-1]
    gap = abs(measured[best] - measured[worst])
    found = f"{gap:.4g}, from {measured[best]:.4g} ({best}) to {measured[worst]:.4g} ({worst})"
    return Outcome(gap <= bound, found, expected, {"slices": measured, "gap": gap})


def size(case: Case, options: Mapping[str, Any]) -> Outcome:
    taken = sum(path.stat().st_size for path in case.directory.rglob("*") if path.is_file())
    bound = float(options["at_most_mb"])
    return Outcome(taken <= bound * 1e6, f"{taken / 1e6:.3f} MB", f"at most {bound:g} MB", {"bytes": taken})


def latency(case: Case, options: Mapping[str, Any]) -> Outcome:
    """The 99th percentile of predicting one row in this process, in milliseconds of wall time."""
    import numpy as np

    rows = [case.matrix[place : place + 1] for place in range(min(len(case.matrix), _LATENCY_CALLS))]
    for row in rows[:20]:
        case.bundle.predictor.predict(row)
    taken = np.empty(_LATENCY_CALLS)
    for call in range(_LATENCY_CALLS):
        start = time.perf_counter_ns()
        case.bundle.predictor.predict(rows[call % len(rows)])
        taken[call] = (time.perf_counter_ns() - start) / 1e6
    p50, p99 = (float(np.quantile(taken, share)) for share in (0.5, 0.99))
    bound = float(options["at_most_ms"])
    evidence = {"p50_ms": p50, "p99_ms": p99, "calls": _LATENCY_CALLS}
    return Outcome(p99 <= bound, f"p99 {p99:.3g} ms", f"p99 at most {bound:g} ms for one row", evidence)


def no_unseen_features(case: Case, options: Mapping[str, Any]) -> Outcome:
    """Each column of the model comes from a view, from the request, or from a function of these.

    The option ``served`` lists what an endpoint can fetch or is given; without it, the model's own views and inputs.
    """
    manifest = case.bundle.manifest
    known = {field.name for view in manifest.views for field in view.features}
    known |= {field.name for field in manifest.inputs}
    if options.get("served") is not None:
        known &= set(options["served"])
    for spec in manifest.on_demand:
        if all(parameter.name in known for parameter in spec.parameters):
            known.add(spec.name)
    unseen = [name for name in manifest.encoding.names if name not in known]
    found = f"not to be had online: {', '.join(unseen)}" if unseen else f"all {len(manifest.encoding.names)} are"
    return Outcome(not unseen, found, "every feature can be had online", {"unseen": unseen})


def no_skew(case: Case, options: Mapping[str, Any]) -> Outcome:
    """What was served, or is online, is what the definitions give, by recent audits."""
    told, evidence = skew.problems(case.bundle.manifest, case.ledger, options)
    share, rows, within = options["at_least"], options["rows"], options["within"]
    expected = f"{share:.6g} of at least {rows} reads of each view agree, audited in the last {within}"
    equal = sum(audit["equal"] for audit in evidence["audits"].values())
    return Outcome(not told, "; ".join(told) or f"{equal} reads agree", expected, evidence)


def _estimate(case: Case, metric: Metric) -> dict[str, Any]:
    from inseam.ir.resampling import estimates

    measures = {metric.name: metric.on(case.truth, case.output)}
    ranges = {metric.name: (metric.low, metric.high)}
    seed = case.spec.seed
    found = estimates(measures, len(case.truth), count=RESAMPLES, seed=seed, groups=case.groups, ranges=ranges)
    return {"metric": metric.name, "rows": len(case.truth), **found[metric.name].as_dict()}


def _shown(estimate: Mapping[str, Any]) -> str:
    if estimate["value"] is None:
        return f"{estimate['metric']} is undefined on these rows"
    interval = "" if estimate["low"] is None else f" [{estimate['low']:.4g}, {estimate['high']:.4g}]"
    return f"{estimate['metric']} {estimate['value']:.4g}{interval}"


JUDGES: dict[str, Callable[[Case, Mapping[str, Any]], Outcome]] = {
    "at_least": at_least,
    "at_most": at_most,
    "beats_champion": against_champion,
    "slice_gap": slice_gap,
    "calibration": calibration,
    "size": size,
    "latency": latency,
    "no_unseen_features": no_unseen_features,
    "no_skew": no_skew,
}
