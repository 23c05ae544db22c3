"""The OpenAPI document: each endpoint's own request and answer, from the structs that decode and encode them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from inseam.stages.serve.outcomes import OutcomeRequest, OutcomesRequest
from inseam.stages.serve.reply import Reply
from inseam.stages.serve.request import FEATURES, ROWS, RequestSchema

_TEMPLATE = "#/components/schemas/{name}"
_PROBLEMS = {
    "type": "object",
    "properties": {
        "problems": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("code", "subject", "found", "expected", "mend")},
                "required": ["code", "subject", "found"],
            },
        },
        "request_id": {"type": "string"},
    },
}
_REFUSALS = {
    "401": "a bearer token is missing or wrong",
    "404": "no such endpoint, or an entity that the endpoint rejects",
    "413": "the body is too large",
    "422": "a field is wrong: its path, what was found and what was expected",
    "503": "overloaded or not ready: try again after `Retry-After` seconds",
}


def document(plain: dict[str, Any], schemas: Sequence[RequestSchema], *, is_guarded: bool) -> dict[str, Any]:
    """``plain`` is FastAPI's own document of the other routes; it gains the endpoints, outcomes and security."""
    rows = [
        one for schema in schemas for one in ((schema.row, schema.given_row) if schema.view_features else (schema.row,))
    ]
    _, components = msgspec.json.schema_components(
        [*rows, Reply, OutcomeRequest, OutcomesRequest], ref_template=_TEMPLATE
    )
    own = plain.setdefault("components", {}).setdefault("schemas", {})
    own.update(components | {"Problems": _PROBLEMS})
    paths: dict[str, Any] = {f"/endpoints/{schema.endpoint}/predict": {"post": _predict(schema)} for schema in schemas}
    paths["/predictions/{id}/outcome"] = {"post": _outcome("Tell what became true of one prediction", "OutcomeRequest")}
    paths["/predictions/{id}/outcome"]["post"]["parameters"] = [
        {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
    ]
    paths["/outcomes"] = {"post": _outcome("Tell what became true of many predictions", "OutcomesRequest")}
    plain["paths"] = paths | plain.get("paths", {})
    if is_guarded:
        plain["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        plain["security"] = [{"bearer": []}]
    return plain


def _predict(schema: RequestSchema) -> dict[str, Any]:
    shapes = [schema.row, schema.given_row] if schema.view_features else [schema.row]
    references = [{"$ref": _TEMPLATE.format(name=shape.__name__)} for shape in shapes]
    # A request brings features for all of its rows or for none.
    arrays = [{"type": "array", "minItems": 1, "maxItems": schema.max_rows, "items": row} for row in references]
    many = {
        "type": "object",
        "properties": {ROWS: {"anyOf": arrays}},
        "required": [ROWS],
        "additionalProperties": False,
    }
    examples: dict[str, Any] = {
        "one row": {"value": schema.example},
        "many rows": {"value": {ROWS: [schema.example, schema.example]}},
    }
    if schema.view_features:
        given: Mapping[str, Any] = schema.example | {FEATURES: schema.example_features}
        examples["features given"] = {"value": given}
    return {
        "tags": ["predict"],
        "summary": f"Predict with {schema.endpoint}",
        "operationId": f"predict_{schema.endpoint}",
        "requestBody": _body({"anyOf": [*references, many]}, examples),
        "responses": _responses("Reply"),
    }


def _outcome(summary: str, request: str) -> dict[str, Any]:
    accepted = {"type": "object", "properties": {"accepted": {"type": "integer"}}, "required": ["accepted"]}
    responses = _responses("Reply")
    responses["200"] = {"description": "stored durably", "content": {"application/json": {"schema": accepted}}}
    reference = {"$ref": _TEMPLATE.format(name=request)}
    return {"tags": ["outcomes"], "summary": summary, "requestBody": _body(reference, None), "responses": responses}


def _body(schema: Mapping[str, Any], examples: Mapping[str, Any] | None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schema}
    if examples is not None:
        content["examples"] = examples
    return {"required": True, "content": {"application/json": content}}


def _responses(name: str) -> dict[str, Any]:
    problems = {"application/json": {"schema": {"$ref": _TEMPLATE.format(name="Problems")}}}
    refused = {status: {"description": text, "content": problems} for status, text in _REFUSALS.items()}
    content = {"application/json": {"schema": {"$ref": _TEMPLATE.format(name=name)}}}
    return {"200": {"description": "logged durably and answered", "content": content}, **refused}
