"""The OpenAPI document: each endpoint's own request and answer, from the structs that decode and encode them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from inseam.stages.serve.http import OPEN_PATHS
from inseam.stages.serve.ids import ID_SCHEMA
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
_UNAUTHORIZED = "tokens are set and none came with the request"
_REFUSALS = {
    "401": _UNAUTHORIZED,
    "408": "the body did not arrive in time",
    "413": "the body is too large",
    "415": "the content type is not application/json",
    "422": "a field is wrong: its path, what was found and what was expected",
    "500": "it failed inside; the server's log has the request id",
    "503": "overloaded, not ready, not able to log or to read features: try again after `Retry-After` seconds",
}
_UNKNOWN_ENTITY = "an entity that the endpoint rejects"
_UNKNOWN_ID = "no endpoint here has made a prediction with this id"


def document(
    plain: dict[str, Any], schemas: Sequence[RequestSchema], *, is_guarded: bool, takes_rows: bool = False
) -> dict[str, Any]:
    """``plain`` is FastAPI's own document of the other routes; it gains the endpoints, outcomes and security."""
    rows = [
        one for schema in schemas for one in ((schema.row, schema.given_row) if schema.view_features else (schema.row,))
    ]
    _, components = msgspec.json.schema_components(
        [*rows, Reply, OutcomeRequest, OutcomesRequest], ref_template=_TEMPLATE
    )
    own = plain.setdefault("components", {}).setdefault("schemas", {})
    own.update(components | {"Problems": _PROBLEMS})
    for path, route in plain.get("paths", {}).items():
        if path not in OPEN_PATHS:
            route["get"]["responses"] |= _refused({"401": _UNAUTHORIZED})
    paths: dict[str, Any] = {f"/endpoints/{schema.endpoint}/predict": {"post": _predict(schema)} for schema in schemas}
    paths["/predictions/{id}/outcome"] = {"post": _outcome("Tell what became true of one prediction", "OutcomeRequest")}
    paths["/predictions/{id}/outcome"]["post"]["parameters"] = [
        {"name": "id", "in": "path", "required": True, "schema": ID_SCHEMA}
    ]
    paths["/outcomes"] = {"post": _outcome("Tell what became true of many predictions", "OutcomesRequest")}
    if takes_rows:
        paths["/sources/{name}/rows"] = {"post": _push()}
    plain["paths"] = paths | plain.get("paths", {})
    if is_guarded:
        _guard(plain)
    return plain


def _guard(plain: dict[str, Any]) -> None:
    """Either scheme opens a route: a program sends the token, a browser sends it as a password."""
    schemes = ("bearer", "basic")
    plain["components"]["securitySchemes"] = {name: {"type": "http", "scheme": name} for name in schemes}
    plain["security"] = [{name: []} for name in schemes]
    for path in OPEN_PATHS:
        plain["paths"][path]["get"]["security"] = []


def _predict(schema: RequestSchema) -> dict[str, Any]:
    shapes = [schema.row, schema.given_row] if schema.view_features else [schema.row]
    references = [_reference(shape.__name__) for shape in shapes]
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
    if schema.wildcard is not None:
        examples["every member"] = {"value": {k: v for k, v in schema.example.items() if k != schema.wildcard}}
    if schema.view_features:
        given: Mapping[str, Any] = schema.example | {FEATURES: schema.example_features}
        examples["features given"] = {"value": given}
    return {
        "tags": ["predict"],
        "summary": f"Predict with {schema.endpoint}",
        "operationId": f"predict_{schema.endpoint}",
        "requestBody": _body({"anyOf": [*references, many]}, examples),
        "responses": _responses("logged durably and answered", _reference("Reply"), _UNKNOWN_ENTITY),
    }


def _outcome(summary: str, request: str) -> dict[str, Any]:
    accepted = {"type": "object", "properties": {"accepted": {"type": "integer"}}, "required": ["accepted"]}
    responses = _responses("stored durably", accepted, _UNKNOWN_ID)
    return {
        "tags": ["outcomes"],
        "summary": summary,
        "requestBody": _body(_reference(request), None),
        "responses": responses,
    }


def _push() -> dict[str, Any]:
    row = {"type": "object", "properties": {"_id": {"type": "string", "minLength": 1, "maxLength": 512}}}
    accepted = {"type": "object", "properties": {"accepted": {"type": "integer"}}, "required": ["accepted"]}
    body = _body({"anyOf": [row, {"type": "array", "items": row}]}, None)
    body["content"]["application/x-ndjson"] = {"schema": {"type": "string"}}
    responses = _responses("kept durably, each id once", accepted, "there is no such source")
    return {
        "tags": ["streams"],
        "summary": "Push rows to a stream: one object, an array of them, or JSON lines",
        "parameters": [
            {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}},
            {"name": "Idempotency-Key", "in": "header", "required": False, "schema": {"type": "string"}},
        ],
        "requestBody": body,
        "responses": responses | _refused({"409": "rows are not pushed to this source"}),
    }


def _body(schema: Mapping[str, Any], examples: Mapping[str, Any] | None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schema}
    if examples is not None:
        content["examples"] = examples
    return {"required": True, "content": {"application/json": content}}


def _responses(done: str, schema: Mapping[str, Any], not_found: str) -> dict[str, Any]:
    answered = {"200": {"description": done, "content": {"application/json": {"schema": schema}}}}
    return answered | dict(sorted(_refused(_REFUSALS | {"404": not_found}).items()))


def _refused(statuses: Mapping[str, str]) -> dict[str, Any]:
    content = {"application/json": {"schema": _reference("Problems")}}
    return {status: {"description": text, "content": content} for status, text in statuses.items()}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": _TEMPLATE.format(name=name)}
