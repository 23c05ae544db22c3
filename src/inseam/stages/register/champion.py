"""Challenger against champion: both asked about the very same rows, compared by a paired bootstrap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from inseam.ir.records import ModelVersionRecord
from inseam.kernel.errors import InseamError, NotFoundError
from inseam.ports.bundle import open_kept
from inseam.stages.register.case import Case

if TYPE_CHECKING:
    import numpy as np

RESAMPLES = 1_000
_BOOTSTRAP_CELLS = 100_000_000
"""On many rows fewer resamples do: the interval is narrow, and a thousand would take minutes."""


@dataclass(frozen=True, slots=True)
class Comparison:
    is_better: bool
    found: str
    expected: str
    evidence: dict[str, Any] = field(default_factory=dict)


def beats_champion(case: Case, options: Mapping[str, Any]) -> Comparison:
    """Whether the gain over the champion exceeds ``margin`` in at least ``confidence`` of the resamples.

    Passes when there is no champion yet. Fails, and says why, when the champion cannot be asked about these rows. The
    evidence's ``champion`` names the version that was compared with, None for none: promotion holds it to that.
    """
    metric = case.metric(options)
    confidence, margin = float(options.get("confidence", 0.95)), float(options.get("margin", 0.0))
    expected = f"better in {metric.name} by more than {margin:g} in at least {confidence:.0%} of resamples"
    champion: dict[str, Any] = {"champion": case.champion}
    if case.champion is None:
        return Comparison(True, "no champion yet", expected, champion)
    if case.champion == case.version.version:
        return Comparison(True, f"version {case.champion} is the champion itself", expected, champion)
    try:
        theirs = _champions_output(case, case.champion)
    except InseamError as error:
        found = f"champion {case.champion} cannot be asked about these rows: {error.problems[0].found}"
        return Comparison(False, found, expected, champion)
    mine, other = metric.value(case.truth, case.output), metric.value(case.truth, theirs)
    gains = _gains(case, options, theirs)
    share = float((gains > margin).mean()) if len(gains) else 0.0
    evidence = champion | {"challenger_value": mine, "champion_value": other, "share_of_resamples": share}
    if len(gains):
        evidence |= _interval(gains)
    found = (
        f"{metric.name} {mine:.4g} against {other:.4g} of version {case.champion}; better in {share:.1%} of resamples"
    )
    return Comparison(share >= confidence, found, expected, evidence)


def _gains(case: Case, options: Mapping[str, Any], theirs: np.ndarray) -> np.ndarray:
    """How much better the challenger is on each resample that defines the metric for both."""
    import numpy as np

    from inseam.ir.resampling import bootstrap

    metric = case.metric(options)
    measures = {"mine": metric.on(case.truth, case.output), "theirs": metric.on(case.truth, theirs)}
    count = max(200, min(RESAMPLES, _BOOTSTRAP_CELLS // len(case.truth)))
    drawn = bootstrap(measures, len(case.truth), count=count, seed=case.spec.seed, groups=case.groups)
    gains = (drawn["mine"] - drawn["theirs"]) * (1 if metric.greater_is_better else -1)
    finite: np.ndarray = gains[np.isfinite(gains)]
    return finite


def _interval(gains: np.ndarray) -> dict[str, float]:
    import numpy as np

    low, high = np.quantile(gains, [0.025, 0.975])
    return {"gain_low": float(low), "gain_high": float(high), "resamples": len(gains)}


def _champions_output(case: Case, champion: int) -> np.ndarray:
    """The champion's output for the challenger's rows; an `InseamError` when it cannot be asked."""
    version = case.ledger.get(ModelVersionRecord, case.spec.name, champion)
    if version is None:
        raise NotFoundError("champion", "its version is not in the ledger")
    bundle = open_kept(case.models, version.path, version.digest)
    missing = [name for name in bundle.manifest.encoding.names if name not in case.columns]
    if missing:
        raise NotFoundError("champion", f"the training set no longer has {', '.join(missing)}")
    if bundle.manifest.classes != case.bundle.manifest.classes:
        raise NotFoundError("champion", f"it predicts other classes: {bundle.manifest.classes}")
    return bundle.predictor.predict(bundle.manifest.encoding.matrix(case.columns))
