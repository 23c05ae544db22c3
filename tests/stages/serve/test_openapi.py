"""The document and its page."""

import re
import warnings

import pytest
from serving_world import PREDICT, ROW, Held, endpoint, spec

from inseam.stages.serve.endpoint import ServedEndpoint

JSON = {"content-type": "application/json"}


def test_each_endpoint_has_types_and_examples_that_work(serve):
    with serve(endpoint()) as client:
        document = client.get("/openapi.json").json()
        body = document["paths"][PREDICT]["post"]["requestBody"]["content"]["application/json"]
        replies = {name: client.post(PREDICT, json=one["value"]) for name, one in body["examples"].items()}
        listed = client.get("/endpoints").json()
    row = document["components"]["schemas"]["LapseRow"]
    assert row["properties"]["customer_id"] == {"type": "string"}
    assert row["required"] == ["customer_id", "basket_value", "coupon", "first_seen"]
    assert row["additionalProperties"] is False
    assert {name: reply.status_code for name, reply in replies.items()} == dict.fromkeys(replies, 200)
    assert len(replies) == 3
    assert listed[0]["inputs"] == {"basket_value": "float64", "coupon": "string", "first_seen": "date"}


def test_the_page_shows_itself_with_nothing_from_elsewhere_and_without_a_warning(serve):
    with serve(endpoint()) as client, warnings.catch_warnings():
        warnings.simplefilter("error")
        docs = client.get("/docs")
        assets = [client.get(url) for url in re.findall(r'(?:href|src)="(.+?)"', docs.text)]
        other = [
            client.get(f"/swagger/{name}").status_code for name in ("__init__.py", "../main.py", "%2e%2e%2fmain.py")
        ]
    assert docs.status_code == 200 and len(assets) == 3
    assert all(asset.status_code == 200 and asset.url.host == docs.url.host for asset in assets)
    assert [asset.headers["content-type"].partition(";")[0] for asset in assets] == [
        "text/css",
        "image/png",
        "text/javascript",
    ]
    assert other == [404] * 3


@pytest.mark.parametrize(
    ("told", "sent", "status"),
    [
        ({}, {"headers": JSON, "content": b"{"}, 422),
        ({}, {"content": b"{}"}, 415),
        ({"max_body_bytes": 10}, {"json": ROW}, 413),
        ({"tokens": ("a-long-enough-token",)}, {"json": ROW}, 401),
        ({"log_limit_bytes": 0}, {"json": ROW}, 503),
        ({}, {"json": ROW | {"customer_id": "nobody"}}, 404),
        ({}, {"json": ROW}, 200),
    ],
)
def test_what_is_answered_is_documented(serve, told, sent, status):
    with serve(endpoint(unknown="reject"), **told) as client:
        document = client.get("/openapi.json", auth=("me", "a-long-enough-token")).json()
        reply = client.post(PREDICT, **sent)
    documented = document["paths"][PREDICT]["post"]["responses"]
    assert reply.status_code == status and str(status) in documented
    assert {"408", "500"} <= set(documented)


def test_an_id_is_documented_as_what_is_taken_for_one(serve):
    with serve(endpoint()) as client:
        document = client.get("/openapi.json").json()
        made = client.post(PREDICT, json=ROW).json()["predictions"][0]["id"]
    shapes = [
        document["paths"]["/predictions/{id}/outcome"]["post"]["parameters"][0]["schema"],
        document["components"]["schemas"]["NamedOutcome"]["properties"]["prediction"],
    ]
    for shape in shapes:
        assert shape["type"] == "string" and re.match(shape["pattern"], made)
        assert not re.match(shape["pattern"], "e3e70682-c209-1cac-a29f-6fbed82c07cd")


def test_every_route_documents_all_that_it_returns(serve):
    empty = ServedEndpoint(spec(), Held(None, "nothing is promoted"))
    with serve(empty) as client:
        document = client.get("/openapi.json").json()
        ready = client.get("/ready")
    statuses = {path: set(route["get"]["responses"]) for path, route in document["paths"].items() if "get" in route}
    assert ready.status_code == 503
    assert statuses == {
        "/health": {"200"},
        "/ready": {"200", "503"},
        "/metrics": {"200", "401"},
        "/endpoints": {"200", "401"},
    }
    refused = document["paths"]["/ready"]["get"]["responses"]["503"]
    assert refused["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Readiness"}
