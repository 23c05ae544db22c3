"""Who is let in, and what a body must say it is."""

import pytest
from serving_world import PREDICT, ROW, endpoint

TOKEN, OTHER = "a-long-enough-token", "another-long:token"


def test_tokens_guard_everything_but_health_and_readiness(serve):
    with serve(endpoint(), tokens=(TOKEN, OTHER)) as client:
        bare = client.post(PREDICT, json=ROW)
        wrong = client.get("/metrics", headers={"authorization": "Bearer nope"})
        right = client.post(PREDICT, json=ROW, headers={"authorization": f"Bearer {OTHER}"})
        health, ready = client.get("/health"), client.get("/ready")
        near = [client.get(path).status_code for path in ("/health/", "//health", "/metrics", "/endpoints")]
    assert bare.status_code == 401 == wrong.status_code and bare.headers["www-authenticate"] == "Bearer"
    assert right.status_code == health.status_code == ready.status_code == 200
    assert near == [401] * 4


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/swagger/swagger-ui.css"])
def test_a_browser_is_asked_for_the_token_as_a_password(serve, path):
    with serve(endpoint(), tokens=(TOKEN, OTHER)) as client:
        asked = client.get(path)
        shown = [client.get(path, auth=("anybody", token)).status_code for token in (TOKEN, OTHER)]
        wrong = client.get(path, auth=(TOKEN, "a-wrong-token-of-length"))
        torn = client.get(path, headers={"authorization": "Basic %%%"})
    assert asked.status_code == 401 and asked.headers["www-authenticate"].startswith("Basic ")
    assert shown == [200, 200]
    assert (wrong.status_code, torn.status_code) == (401, 401)


def test_what_the_page_tries_out_is_let_in_by_the_same_password(serve):
    with serve(endpoint(), tokens=(TOKEN,)) as client:
        reply = client.post(PREDICT, json=ROW, auth=("anybody", TOKEN))
        document = client.get("/openapi.json", auth=("anybody", TOKEN)).json()
    assert reply.status_code == 200
    assert document["security"] == [{"bearer": []}, {"basic": []}]
    assert document["paths"]["/health"]["get"]["security"] == []


def test_without_tokens_the_page_is_open(serve):
    with serve(endpoint()) as client:
        assert client.get("/docs").status_code == 200
        assert "security" not in client.get("/openapi.json").json()


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/json; charset=latin-1"],
)
@pytest.mark.parametrize("path", [PREDICT, "/outcomes", "/predictions/x/outcome"])
def test_a_body_that_does_not_say_that_it_is_json_is_refused(serve, path, content_type):
    with serve(endpoint()) as client:
        reply = client.post(path, content=b"{}", headers={"content-type": content_type} if content_type else {})
    [problem] = reply.json()["problems"]
    assert reply.status_code == 415
    assert problem["expected"] == "application/json" and problem["found"] == (content_type or "nothing")


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON", 'application/json;charset="UTF-8"', "application/json ; charset=utf-8"],
)
def test_json_by_any_of_its_names_is_read(serve, content_type):
    import json

    with serve(endpoint()) as client:
        reply = client.post(PREDICT, content=json.dumps(ROW), headers={"content-type": content_type})
    assert reply.status_code == 200


def test_a_compressed_body_is_refused_by_its_encoding(serve):
    with serve(endpoint()) as client:
        reply = client.post(PREDICT, json=ROW, headers={"content-encoding": "gzip"})
    assert reply.status_code == 415 and reply.json()["problems"][0]["subject"] == "content-encoding"
