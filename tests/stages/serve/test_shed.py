"""Many requests at once: batched by tick, shed beyond the bound, never mixed up."""

import asyncio
import json

import pytest
from serving_world import PREDICT, ROW, bundle, endpoint

from inseam.stages.serve.app import create_app
from inseam.stages.serve.log import PredictionLog
from inseam.stages.serve.settings import ServeSettings
from inseam.stages.serve.shed import Shedder


async def ask(app, body, *, path=PREDICT):
    sent = []

    async def receive():
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    async def send(message):
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    await app({"type": "http", "method": "POST", "path": path, "headers": headers}, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), json.loads(sent[1]["body"])


def run(app, *bodies):
    async def all_at_once():
        async with app.router.lifespan_context(app):
            first = await asyncio.gather(*(ask(app, body) for body in bodies))
            return first, await ask(app, ROW)

    return asyncio.run(all_at_once())


def application(tmp_path, served, **settings):
    told = ServeSettings(**settings)
    return create_app([served], log=PredictionLog(tmp_path / "log", told), settings=told)


def test_requests_of_one_tick_share_a_batch_and_each_gets_its_own_answer(tmp_path):
    champion = bundle()
    bodies = [ROW | {"basket_value": float(place)} for place in range(30)]
    answers, _ = run(application(tmp_path, endpoint(champion)), *bodies)
    assert max(champion.predictor.batches) == 30
    alone = [run(application(tmp_path, endpoint()), body)[0][0][2] for body in bodies[:5]]
    expected = [one["predictions"][0]["probability"] for one in alone]
    assert [reply["predictions"][0]["probability"] for _, _, reply in answers[:5]] == expected
    assert len({reply["predictions"][0]["id"] for _, _, reply in answers}) == 30


def test_beyond_the_bound_requests_are_shed_at_once_and_the_rest_are_answered(tmp_path):
    answers, later = run(application(tmp_path, endpoint(), max_in_flight=8), *[ROW] * 50)
    statuses = [status for status, _, _ in answers]
    assert statuses.count(200) == 8 and statuses.count(503) == 42
    refused = next(answer for answer in answers if answer[0] == 503)
    assert refused[1][b"retry-after"] == b"1" and refused[2]["problems"][0]["code"] == "overloaded"
    assert later[0] == 200


def test_rows_in_flight_are_bounded_too(tmp_path):
    answers, _ = run(application(tmp_path, endpoint(), max_in_flight_rows=60), *[{"rows": [ROW] * 25}] * 4)
    assert sorted(status for status, _, _ in answers) == [200, 200, 503, 503]


def test_one_bad_row_of_a_tick_spoils_nobody_elses(tmp_path):
    served = endpoint(unknown="reject")
    answers, _ = run(application(tmp_path, served), ROW, ROW | {"customer_id": "nobody"}, ROW)
    assert [status for status, _, _ in answers] == [200, 404, 200]


def test_a_late_event_loop_sheds_unless_nothing_is_in_flight():
    shedder = Shedder(ServeSettings(max_lag_seconds=1.0))
    shedder.lag = 5.0
    assert shedder.reason(1) is None
    shedder.enter(1)
    assert shedder.reason(1) == "lag"
    shedder.leave(1)
    assert shedder.reason(1) is None


@pytest.mark.parametrize("path", ["/endpoints/lapse/predict/", "/endpoints//predict", "/endpoints/a/b/predict"])
def test_odd_paths_are_not_found(tmp_path, path):
    app = application(tmp_path, endpoint())

    async def once():
        async with app.router.lifespan_context(app):
            return await ask(app, ROW, path=path)

    assert asyncio.run(once())[0] == 404
