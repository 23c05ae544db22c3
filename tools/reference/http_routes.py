"""Every route of the server, from the OpenAPI document of a small endpoint."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markdown import code, prose, table

from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.relation import Relation
from inseam.ir.training import EndpointSpec
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import DAY, Step
from inseam.kernel.types import DataType, Field, Schema
from inseam.stages.serve.app import create_app
from inseam.stages.serve.endpoint import ServedEndpoint
from inseam.stages.serve.log import PredictionLog
from inseam.stages.serve.metrics import Metrics
from inseam.stages.serve.push import Pushed
from inseam.stages.serve.reply import Prediction
from inseam.stages.serve.settings import ServeSettings

_INTRO = """
This page shows an endpoint `lapse` whose model reads the view `spend` of a customer, and one input of the request. A
running server describes its own endpoints at `/docs` and `/openapi.json`. With tokens set, every route but `/health`
and `/ready` wants `authorization: Bearer TOKEN`, or the token as the password of HTTP Basic, for which a browser asks
at `/docs`. A body is sent with `content-type: application/json`. Every answer of a route carries `x-request-id`, the
caller's own where it sent one. A refusal's body is `{"problems": [{code, subject, found, expected, mend}],
"request_id"}`; codes: [errors.md](errors.md).

A connection can be answered before there is a route, and is then closed: 400 for what is no HTTP, 408 for a head that
is not whole in time, 431 for one that is too large, 503 where there are too many connections.
"""


def page() -> str:
    document = _document()
    routes = [
        (method.upper(), path, spec) for path, methods in document["paths"].items() for method, spec in methods.items()
    ]
    rows = [(code(f"{method} {path}"), spec["summary"], ", ".join(spec["responses"])) for method, path, spec in routes]
    shapes = document["components"]["schemas"]
    return "\n".join(
        [
            _INTRO.strip() + "\n",
            table(("route", "what it does", "statuses"), rows),
            *(_route(method, path, spec, shapes) for method, path, spec in routes if method == "POST"),
            "## The answer to a prediction\n",
            prose(Prediction.__doc__ or "") + "\n",
            table(("field", "type"), [(code(n), _type(s)) for n, s in shapes["Prediction"]["properties"].items()]),
            "## Metrics\n",
            table(("metric", "labels", "what it counts"), _metrics()),
        ]
    )


def _route(method: str, path: str, spec: dict[str, Any], shapes: dict[str, Any]) -> str:
    parts = [f"## {method} {path}\n", f"{spec['summary']}.\n"]
    content = spec["requestBody"]["content"]["application/json"]
    for name, example in content.get("examples", {}).items():
        parts.append(f"{name.capitalize()}:\n\n```json\n{json.dumps(example['value'])}\n```\n")
    if "$ref" in content["schema"]:
        shape = shapes[_name(content["schema"])]
        rows = [(code(n), _type(s), "yes" if n in shape.get("required", ()) else "") for n, s in _properties(shape)]
        parts += [prose(shape.get("description", "")) + "\n", table(("field", "type", "required"), rows)]
    answers = [(status, answer["description"]) for status, answer in spec["responses"].items()]
    return "\n".join([*parts, table(("status", "meaning"), answers)])


def _properties(shape: dict[str, Any]) -> list[tuple[str, Any]]:
    return list(shape["properties"].items())


def _name(reference: dict[str, Any]) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _type(shape: dict[str, Any]) -> str:
    if "$ref" in shape:
        return _name(shape)
    if "anyOf" in shape:
        return " or ".join(dict.fromkeys(_type(part) for part in shape["anyOf"]))
    if shape.get("type") == "array":
        return f"array of {_type(shape['items'])}"
    if isinstance(shape.get("additionalProperties"), dict):
        return f"object of {_type(shape['additionalProperties'])}"
    return str(shape.get("format") or shape.get("type", "any"))


def _metrics() -> list[tuple[str, str, str]]:
    found = [metric for metric in vars(Metrics()).values() if hasattr(metric, "describe")]
    rows = [(metric.describe()[0], metric._labelnames) for metric in found]
    return [
        (code(f"{m.name}_total" if m.type == "counter" else m.name), ", ".join(labels), m.documentation)
        for m, labels in rows
    ]


class _NoChampion:
    current = None
    problem = None

    def start(self) -> None: ...

    def stop(self) -> None: ...


class _NoStreams:
    def take(self, pushed: Sequence[Pushed]) -> list[int]:
        return [0] * len(pushed)

    def backlog(self) -> dict[str, tuple[int, float]]:
        return {}

    def boundaries(self) -> dict[str, int]:
        return {}


def _document() -> dict[str, Any]:
    orders = Relation("sources/orders", "ordered_at", Schema.of([("customer_id", "int64")]))
    orders_30d = AggregateSpec("orders_30d", AggregateKind.COUNT, DataType.INT64, over=30 * DAY)
    spend = WindowedAggregate("spend", orders, ("customer_id",), Step(DAY), 0, (orders_30d,))
    spec = EndpointSpec(
        name="lapse",
        model="lapse",
        keys=(Field("customer_id", DataType.INT64),),
        views=(spend,),
        on_demand=(),
        features=(Field("orders_30d", DataType.INT64), Field("basket_value", DataType.FLOAT64)),
        inputs=(Field("basket_value", DataType.FLOAT64),),
        unknown="missing",
        defaults={},
        max_rows=1_000,
        max_staleness=None,
        fingerprint="",
    )
    settings = ServeSettings()
    with tempfile.TemporaryDirectory() as directory:
        log = PredictionLog(Path(directory), settings)
        served = [ServedEndpoint(spec, _NoChampion(), None)]
        app = create_app(served, log=log, settings=settings, streams=_NoStreams())
        document: dict[str, Any] = app.openapi()
        log.close()
    return document
