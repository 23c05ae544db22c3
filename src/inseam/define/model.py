"""Models: a function from training data to a fitted model, and the gates on its way to champion."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from inseam.define.declaration import Declaration, duration, frozen_mapping, tuple_of
from inseam.define.expect import expect_arguments, expect_choice, expect_types
from inseam.define.training_set import TrainingSet
from inseam.ir.metrics import metrics_of
from inseam.ir.training import GateSpec, Task, TuneSpec
from inseam.kernel.errors import Problem
from inseam.kernel.names import did_you_mean

METRICS = {task: tuple(metric.name for metric in metrics_of(task)) for task in Task}
"""The names of the metrics that judge each task."""


def at_least(metric: str, value: float) -> GateSpec:
    """The metric on the test rows is at least ``value``.

    >>> at_least("roc_auc", 0.70).options
    {'metric': 'roc_auc', 'value': 0.7}
    """
    expect_arguments(at_least, locals())
    return GateSpec("at_least", {"metric": metric, "value": value})


def at_most(metric: str, value: float) -> GateSpec:
    """The metric on the test rows is at most ``value``.

    >>> at_most("log_loss", 0.4).options
    {'metric': 'log_loss', 'value': 0.4}
    """
    expect_arguments(at_most, locals())
    return GateSpec("at_most", {"metric": metric, "value": value})


def beats_champion(metric: str | None = None, *, confidence: float = 0.95, margin: float = 0.0) -> GateSpec:
    """Better than the champion on the same rows, by a paired bootstrap; the first version has nobody to beat.

    >>> beats_champion(confidence=0.9).options
    {'metric': None, 'confidence': 0.9, 'margin': 0.0}
    """
    expect_arguments(beats_champion, locals())
    return GateSpec("beats_champion", {"metric": metric, "confidence": confidence, "margin": margin})


def slice_gap(column: str, at_most: float, *, metric: str | None = None) -> GateSpec:
    """Between the best and the worst value of ``column`` the metric differs by at most so much.

    >>> slice_gap("region", 0.1).options
    {'column': 'region', 'metric': None, 'at_most': 0.1}
    """
    expect_arguments(slice_gap, locals())
    return GateSpec("slice_gap", {"column": column, "metric": metric, "at_most": at_most})


def calibration(at_most: float) -> GateSpec:
    """The expected calibration error is at most so much.

    >>> calibration(0.05).options
    {'at_most': 0.05}
    """
    expect_arguments(calibration, locals())
    return GateSpec("calibration", {"at_most": at_most})


def size(at_most_mb: float) -> GateSpec:
    """The saved model takes at most so many megabytes.

    >>> size(20).options
    {'at_most_mb': 20}
    """
    expect_arguments(size, locals())
    return GateSpec("size", {"at_most_mb": at_most_mb})


def latency(at_most_ms: float) -> GateSpec:
    """The 99th percentile of predicting one row takes at most so many milliseconds.

    >>> latency(5).options
    {'at_most_ms': 5}
    """
    expect_arguments(latency, locals())
    return GateSpec("latency", {"at_most_ms": at_most_ms})


def no_unseen_features() -> GateSpec:
    """Every feature of the model can be had online.

    >>> no_unseen_features().kind
    'no_unseen_features'
    """
    return GateSpec("no_unseen_features", {})


def no_skew(at_least: float = 1.0, *, within: str = "7d", rows: int = 100) -> GateSpec:
    """Each view was audited lately, on so many reads, and that share of them agrees with its offline recomputation.

    >>> no_skew(within="1d").options
    {'at_least': 1.0, 'within': '1d', 'rows': 100}
    """
    expect_arguments(no_skew, locals())
    return GateSpec("no_skew", {"at_least": at_least, "within": within, "rows": rows})


_AT_MOST: tuple[Callable[[Any], bool], str] = (lambda bound: bound >= 0, "0 or more")
_OPTIONS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("at_most", "at_most_mb", "at_most_ms"), _AT_MOST),
    "confidence": (lambda share: 0 < share < 1, "between 0 and 1"),
    "at_least": (lambda share: 0 <= share <= 1, "0 to 1"),
    "rows": (lambda rows: rows >= 1, "1 or more"),
    "within": (lambda text: bool(duration(text)), "a duration such as 7d"),
}
"""What the options of gates can be."""


@dataclass(frozen=True, eq=False)
class Tune:
    """A search of ``trials`` parameter sets, ended early after ``timeout_seconds``.

    >>> Tune({"max_depth": integer(3, 8), "eta": number(0.01, 0.3, log=True)}, trials=40).trials
    40
    """

    space: Mapping[str, tuple[Any, ...]]
    trials: int = 30
    timeout_seconds: float | None = None

    def __post_init__(self) -> None:
        expect_types(self, "Tune")

    def spec(self) -> TuneSpec:
        return TuneSpec(dict(self.space), self.trials, self.timeout_seconds)


def number(low: float, high: float, *, log: bool = False) -> tuple[Any, ...]:
    """A parameter between two numbers, both possible; ``log`` draws orders of magnitude evenly.

    >>> number(0.01, 0.3, log=True)
    ('float', 0.01, 0.3, True)
    """
    expect_arguments(number, locals())
    return ("float", low, high, log)


def integer(low: int, high: int, *, log: bool = False) -> tuple[Any, ...]:
    """A parameter between two whole numbers, both possible; ``log`` draws orders of magnitude evenly.

    >>> integer(3, 8)
    ('int', 3, 8, False)
    """
    expect_arguments(integer, locals())
    return ("int", low, high, log)


def choice(*values: Any) -> tuple[Any, ...]:
    """A parameter that is one of these values.

    >>> choice("gini", "entropy")
    ('choice', 'gini', 'entropy')
    """
    return ("choice", *values)


@dataclass(frozen=True, eq=False)
class Model(Declaration):
    """Made by the decorator `model`. Calling it calls the function."""

    KIND: ClassVar[str] = "model"
    name: str
    training_set: TrainingSet
    function: Callable[..., Any]
    metric: str
    task: Task | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    gates: tuple[GateSpec, ...] = ()
    slices: tuple[str, ...] = ()
    tune: Tune | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("params", frozen_mapping(self.params))

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.function(*arguments, **named)

    def upstream(self) -> tuple[Declaration, ...]:
        return (self.training_set,)

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        known = {name for names in METRICS.values() for name in names}
        for metric in self.metrics:
            if metric not in known:
                yield self.problem(
                    "metric-unknown",
                    f"the metric is {metric!r}",
                    expected="a metric that is known",
                    mend=did_you_mean(str(metric), known),
                )
        yield from self.signature_problem(self.function, 2, "(data, params)")
        yield from self._gate_problems()
        if self.tune is not None:
            yield from self._tune_problems(self.tune)

    @property
    def metrics(self) -> tuple[Any, ...]:
        """The metric that judges it and those that its gates name, each once."""
        named = (gate.options.get("metric") for gate in self.gates)
        return tuple(dict.fromkeys((self.metric, *(metric for metric in named if metric is not None))))

    def _gate_problems(self) -> Iterator[Problem]:
        for gate in self.gates:
            for name, value in gate.options.items():
                is_right, expected = _OPTIONS.get(name, (None, ""))
                if is_right is not None and not is_right(value):
                    yield self.problem("gate-invalid", f"the gate {gate.kind} has {name}={value}", expected=expected)

    def _tune_problems(self, tune: Tune) -> Iterator[Problem]:
        if not tune.space or tune.trials < 1:
            yield self.problem(
                "tune-invalid",
                f"it tunes {len(tune.space)} parameters in {tune.trials} trials",
                expected="at least one of each",
            )
        for name, given in tune.space.items():
            if not isinstance(given, tuple) or not given or given[0] not in ("float", "int", "choice"):
                found, expected = repr(given), "number(...), integer(...) or choice(...)"
            elif given[0] == "choice":
                if len(given) > 1:
                    continue
                found, expected = "no choice at all", "one value or more"
            elif given[1] < given[2] and (given[1] > 0 or not given[3]):
                continue
            else:
                found, expected = f"{given[1]} to {given[2]}", "the lower end first, above 0 where log=True"
            yield self.problem("tune-invalid", f"parameter {name!r} is tuned over {found}", expected=expected)


def model(
    name: str,
    training_set: TrainingSet,
    *,
    metric: str,
    task: str | None = None,
    params: Mapping[str, Any] | None = None,
    gates: tuple[GateSpec, ...] | list[GateSpec] = (),
    slices: tuple[str, ...] | list[str] | str = (),
    tune: Tune | None = None,
    seed: int = 0,
    owner: str = "",
    tags: tuple[str, ...] = (),
    deprecated: str = "",
) -> Callable[[Callable[..., Any]], Model]:
    """Declare a model by a function ``(data, params) -> fitted model``.

    ``task`` (binary, multiclass, regression) follows from the label when left out: a comparison is binary, a string
    multiclass, a number regression. The function gets ``params``, over them what ``tune`` found, and the seed.

    >>> from inseam import Entity, FeatureView, Label, Source, TrainingSet, count, snapshots
    >>> customer = Entity("customer", key="customer_id")
    >>> orders = Source("orders", "orders.csv", timestamp="ordered_at")
    >>> spend = FeatureView("spend", orders, customer, every="1d", features={"n": count(over="30d")})
    >>> will_lapse = TrainingSet("will_lapse", spine=snapshots(customer, every="7d", active="90d"),
    ...                          features=[spend], label=Label(count(orders) == 0, ahead="60d"))
    >>> @model("lapse", will_lapse, metric="roc_auc", params={"max_iter": 50}, gates=[at_least("roc_auc", 0.7)])
    ... def train(data, params):
    ...     from sklearn.ensemble import HistGradientBoostingClassifier
    ...     return HistGradientBoostingClassifier(**params).fit(data.X, data.y)
    >>> train.metrics
    ('roc_auc',)
    """
    if task is not None:
        expect_choice(task, tuple(t.value for t in Task), f"model:{name}", "the task")

    def declare(function: Callable[..., Any]) -> Model:
        return Model(
            name,
            training_set,
            function,
            metric,
            Task(task) if task is not None else None,
            {} if params is None else params,
            tuple_of(gates),
            tuple_of(slices),
            tune,
            seed,
            owner=owner,
            tags=tags,
            deprecated=deprecated,
            description=(function.__doc__ or "").strip(),
        )

    return declare
