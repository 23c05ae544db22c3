"""What models and endpoints ask of their training sets: metrics that judge the label, columns, online features."""

from __future__ import annotations

from collections.abc import Iterator

from inseam.define.aggregate import Aggregate
from inseam.define.endpoint import Endpoint
from inseam.define.model import METRICS, Model
from inseam.define.training_set import TrainingSet
from inseam.ir.training import Task
from inseam.kernel.errors import Problem
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import DataType
from inseam.plan.lower import label_type, task_of
from inseam.plan.schemas import Schemas, value_type


def model_problems(item: Model, schemas: Schemas) -> Iterator[Problem]:
    yield from _task_problems(item, schemas)
    columns = _columns(item.training_set)
    asked = [(name, "it is sliced by") for name in item.slices]
    asked += [(gate.options["column"], "a gate slices it by") for gate in item.gates if "column" in gate.options]
    for name, what in asked:
        if name not in columns:
            yield item.problem(
                "column-unknown",
                f"{what} {name!r}",
                expected=f"a column of {item.training_set.ref}",
                mend=did_you_mean(str(name), columns),
            )


def _task_problems(item: Model, schemas: Schemas) -> Iterator[Problem]:
    type_ = label_type(item.training_set, schemas)
    if type_ in (DataType.TIMESTAMP, DataType.DATE) or (type_ is DataType.STRING and item.task is Task.REGRESSION):
        yield item.problem(
            "type-clash",
            f"it is to predict {item.training_set.ref}'s label, a {type_}",
            expected="a number, or true or false" if item.task else "a number, a text, or true or false",
        )
        return
    task = task_of(item, schemas)
    known = {name for names in METRICS.values() for name in names}
    for metric in item.metrics:
        if task is not None and metric in known and metric not in METRICS[task]:
            yield item.problem(
                "metric-unknown",
                f"the metric {metric!r} does not judge a {task.value} model",
                expected=", ".join(METRICS[task]),
            )
    if task is Task.REGRESSION and any(gate.kind == "calibration" for gate in item.gates):
        yield item.problem("gate-invalid", "a regression has no calibration to gate", mend="take the gate out")


def _columns(item: TrainingSet) -> set[str]:
    """What a model can be sliced by: everything that stands in a row beside the label."""
    features = {name for use in item.uses for name in use.features} | {feature.name for feature in item.on_demand}
    return {*item.carried, *item.keys, *features}


def endpoint_problems(item: Endpoint, schemas: Schemas) -> Iterator[Problem]:
    for use in item.model.training_set.reads:
        if use.view.is_continuous and not use.view.is_fresh:
            yield item.problem(
                "view-continuous",
                f"{use.view.ref} steps continuously, so that it has no materialized rows",
                expected="views with every of 1s or more, or over a source with stream=True",
            )
        if use.view.is_fresh and item.unavailable == "stale":
            yield item.problem(
                "choice-unclear",
                f"{use.view.ref} is kept in tiles, and tiles that were read at different instants don't go together",
                expected="unavailable='fail' or 'default'",
            )
        for name in use.features:
            aggregate = use.view.features.get(name)
            if name not in item.defaults or not isinstance(aggregate, Aggregate):
                continue
            value, type_ = item.defaults[name], value_type(aggregate, schemas.of(use.view.rows))
            if type_ is not None and value is not None and isinstance(value, str) == type_.is_numeric:
                yield item.problem(
                    "type-clash", f"the default of {name!r}, a {type_.value}, is {value!r}", expected=f"a {type_.value}"
                )
