"""What the server says of itself: whether it is ready, and what it serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from inseam.kernel.types import Field
from inseam.stages.serve.endpoint import ServedEndpoint
from inseam.stages.serve.log import PredictionLog


class Health(BaseModel):
    status: str = "ok"


class EndpointState(BaseModel):
    """``problem``: why the newest promotion is not being served, null when it is."""

    model_version: int | None
    problem: str | None


class LogState(BaseModel):
    """``problem``: why predictions cannot be logged, null when they can."""

    problem: str | None


class Readiness(BaseModel):
    ready: bool
    endpoints: dict[str, EndpointState]
    prediction_log: LogState


class Listing(BaseModel):
    """One endpoint. ``model_version``, ``task`` and ``classes`` are null while no version is promoted.

    ``wildcard``: the key that a request may leave out.
    """

    name: str
    predict: str
    model: str
    model_version: int | None
    task: str | None
    classes: list[Any] | None
    keys: dict[str, str]
    wildcard: str | None
    inputs: dict[str, str]
    features: dict[str, str]
    unknown: str
    max_rows: int


def readiness(endpoints: Mapping[str, ServedEndpoint], log: PredictionLog) -> Readiness:
    states = {
        name: EndpointState(
            model_version=one.champion.current.version if one.champion.current is not None else None,
            problem=one.champion.problem,
        )
        for name, one in sorted(endpoints.items())
    }
    is_loaded = all(state.model_version is not None for state in states.values())
    return Readiness(
        ready=is_loaded and log.problem is None, endpoints=states, prediction_log=LogState(problem=log.problem)
    )


def listing(one: ServedEndpoint) -> Listing:
    spec, champion = one.spec, one.champion.current
    manifest = champion.bundle.manifest if champion is not None else None
    return Listing(
        name=spec.name,
        predict=f"/endpoints/{spec.name}/predict",
        model=spec.model,
        model_version=champion.version if champion is not None else None,
        task=manifest.task.value if manifest is not None else None,
        classes=list(manifest.classes) if manifest is not None else None,
        keys=_types(spec.keys),
        wildcard=spec.keys[-1].name if spec.members is not None else None,
        inputs=_types(spec.inputs),
        features=_types(tuple(field for view in spec.views for field in view.schema)),
        unknown=spec.unknown,
        max_rows=spec.max_rows,
    )


def _types(fields: Sequence[Field]) -> dict[str, str]:
    return {field.name: field.type.value for field in fields}
