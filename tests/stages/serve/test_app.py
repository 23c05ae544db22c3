"""The HTTP surface in one process."""

import json
import math
from dataclasses import replace

import pytest
from serving_world import BOUNDARY, CUSTOMERS, DAY, ROW, Held, bundle, endpoint, spec

from inseam.adapters.delta.tables import DeltaTables
from inseam.ir.training import Task
from inseam.kernel.clock import format_instant
from inseam.kernel.errors import DataError, DefinitionError
from inseam.stages.serve.app import create_app
from inseam.stages.serve.compact import compact
from inseam.stages.serve.endpoint import ServedEndpoint
from inseam.stages.serve.find import find_prediction
from inseam.stages.serve.log import PredictionLog
from inseam.stages.serve.settings import ServeSettings

PREDICT = "/endpoints/lapse/predict"
JSON = {"content-type": "application/json"}


def test_one_row_and_many_rows_give_the_same_prediction(serve):
    with serve(endpoint()) as client:
        one = client.post(PREDICT, json=ROW).json()
        many = client.post(PREDICT, json={"rows": [ROW, ROW | {"customer_id": "c2"}]}).json()
    assert one["endpoint"] == "lapse" and one["model_version"] == 1
    assert one["predictions"][0]["probability"] == many["predictions"][0]["probability"]
    assert many["predictions"][0]["probability"] != many["predictions"][1]["probability"]
    assert one["predictions"][0]["boundaries"] == {v: format_instant(BOUNDARY) for v in ("spend", "visits")}
    assert one["predictions"][0]["missing"] == [] == one["predictions"][0]["stale"]
    assert many["predictions"][1]["stale"] == ["spend", "visits"]


def test_prediction_is_logged_with_what_it_was_made_from_and_survives_compaction(serve, tmp_path):
    tables = DeltaTables(str(tmp_path / "tables"))
    with serve(endpoint()) as client:
        reply = client.post(PREDICT, json={"rows": [ROW, ROW | {"customer_id": "c3", "coupon": "spring"}]}).json()
        ids = [one["id"] for one in reply["predictions"]]
        live = [find_prediction(tmp_path / "log", tables, one) for one in ids]
    sealed = [find_prediction(tmp_path / "log", tables, one) for one in ids]
    assert compact(tmp_path / "log", tables) == {"predictions/lapse": 2}
    assert not list((tmp_path / "log").glob("*.seg")) and not list((tmp_path / "log").glob("*.open"))
    stored = [find_prediction(tmp_path / "log", tables, one) for one in ids]
    assert live == sealed == stored
    first, second = stored
    assert first.keys == {"customer_id": "c1"}
    assert first.inputs == {"basket_value": 12.5, "coupon": None, "first_seen": 20484}
    assert first.features == CUSTOMERS["c1"]
    assert first.derived == {"basket_ratio": 12.5 / 42.25}
    assert first.output == (reply["predictions"][0]["probability"],)
    assert (first.views["spend"].boundary, first.views["spend"].version) == (BOUNDARY, 7)
    assert (first.model, first.model_version, first.model_digest) == ("lapse", 1, "digest-0.0")
    assert second.views["visits"].is_missing and second.views["visits"].boundary is None
    assert second.features["visits_7d"] == 0.0 and second.inputs["coupon"] == "spring"
    assert compact(tmp_path / "log", tables) == {}


def test_features_given_by_the_caller_are_used_and_logged_as_given(serve, tmp_path):
    given = {"orders_30d": 3, "spend_30d": 41.25, "last_store": "north", "visits_7d": 5}
    given["last_order"] = format_instant(BOUNDARY - DAY)
    row = {key: value for key, value in ROW.items() if key != "customer_id"}
    tables = DeltaTables(str(tmp_path / "tables"))
    with serve(endpoint()) as client:
        looked = client.post(PREDICT, json=ROW).json()["predictions"][0]
        reply = client.post(PREDICT, json={"rows": [row | {"features": given}]}).json()["predictions"][0]
    assert reply["probability"] == looked["probability"]
    assert reply["boundaries"] == {}
    for where in ("segment", "table"):
        record = find_prediction(tmp_path / "log", tables, reply["id"])
        assert record.views == {} and record.keys == {"customer_id": None}, where
        assert record.features == CUSTOMERS["c1"]
        compact(tmp_path / "log", tables)


@pytest.mark.parametrize(
    ("body", "subject", "found", "expected"),
    [
        ({"rows": [ROW, ROW | {"basket_value": "much"}]}, "rows[1].basket_value", "str", "float | null"),
        (
            {"rows": [{k: v for k, v in ROW.items() if k != "customer_id"}]},
            "rows[0].customer_id",
            "nothing",
            "required",
        ),
        (ROW | {"basket_valu": 1}, "basket_valu", "not known", "basket_value"),
        (ROW | {"customer_id": 7}, "customer_id", "int", "str"),
        (ROW | {"customer_id": None}, "customer_id", "null", "str"),
        (ROW | {"first_seen": "yesterday"}, "first_seen", "RFC3339", ""),
        (ROW | {"features": {"orders_30d": "x"}}, "features.orders_30d", "str", "int"),
        (ROW | {"features": {"orders": 1}}, "features.orders", "not known", "orders_30d"),
        ({"rows": []}, "rows", "0 rows", "1 to 50"),
        ({"rows": [ROW] * 51}, "rows", "51 rows", "1 to 50"),
        ([ROW], "body", "array", "object"),
    ],
)
def test_bad_input_names_the_field_what_was_found_and_what_was_expected(serve, body, subject, found, expected):
    with serve(endpoint()) as client:
        reply = client.post(PREDICT, json=body)
    assert reply.status_code == 422
    [problem] = reply.json()["problems"]
    assert problem["subject"] == subject
    assert found in problem["found"] and expected in problem.get("expected", "")


def test_body_that_is_no_json_is_refused(serve):
    with serve(endpoint()) as client:
        reply = client.post(PREDICT, content=b'{"customer_id": "c1"', headers=JSON)
        wide = client.post(PREDICT, content=json.dumps(ROW).replace("12.5", "1e999"), headers=JSON)
        torn = [client.post(path, content=b'{"outcome": "\xff"}', headers=JSON) for path in (PREDICT, "/outcomes")]
    assert reply.status_code == 422 and "not JSON" in reply.json()["problems"][0]["found"]
    assert wide.status_code == 422 and "out of range" in wide.json()["problems"][0]["found"]
    assert [one.status_code for one in torn] == [422, 422]


def test_a_text_that_reads_features_brings_none(serve):
    with serve(endpoint()) as client:
        reply = client.post(PREDICT, json=ROW | {"coupon": "features"})
    assert reply.status_code == 200
    assert reply.json()["predictions"][0]["boundaries"]


def test_missing_features_are_shown_by_an_example_that_has_them(serve):
    with serve(endpoint()) as client:
        reply = client.post(PREDICT, json=ROW | {"features": {"orders_30d": 1}})
        example = json.loads(reply.json()["problems"][0]["mend"].removeprefix("for example "))
        again = client.post(PREDICT, json=example)
    assert (reply.status_code, again.status_code) == (422, 200)


def test_unknown_entities_by_policy(serve):
    nobody = ROW | {"customer_id": "nobody"}
    filled = {"orders_30d": 3, "spend_30d": 41.25, "last_store": "north", "last_order": BOUNDARY - DAY, "visits_7d": 5}
    with serve(
        endpoint(),
        endpoint(name="filled", unknown="default", defaults=filled),
        endpoint(name="strict", unknown="reject"),
    ) as client:
        missing = client.post(PREDICT, json=nobody).json()["predictions"][0]
        default = client.post("/endpoints/filled/predict", json=nobody).json()["predictions"][0]
        known = client.post(PREDICT, json=ROW).json()["predictions"][0]
        refused = client.post("/endpoints/strict/predict", json={"rows": [ROW, nobody]})
        partly = client.post("/endpoints/strict/predict", json=ROW | {"customer_id": "c3"})
    assert missing["missing"] == ["spend", "visits"] and missing["boundaries"] == {}
    assert default["probability"] == known["probability"] != missing["probability"]
    assert refused.status_code == 404
    assert refused.json()["problems"][0]["subject"] == "rows[1]" and "nobody" in refused.json()["problems"][0]["found"]
    assert partly.status_code == 200 and partly.json()["predictions"][0]["missing"] == ["visits"]


def test_max_staleness_of_the_endpoint_decides_what_is_stale(serve):
    with serve(endpoint(max_staleness=1), endpoint(name="patient", max_staleness=10_000 * DAY)) as client:
        old = client.post(PREDICT, json=ROW).json()["predictions"][0]
        fine = client.post("/endpoints/patient/predict", json=ROW | {"customer_id": "c2"}).json()["predictions"][0]
    assert old["stale"] == ["spend", "visits"] and fine["stale"] == []


def test_answers_of_each_task(serve):
    with serve(endpoint(bundle(task=Task.MULTICLASS)), endpoint(bundle(task=Task.REGRESSION), name="amount")) as client:
        many = client.post(PREDICT, json=ROW).json()["predictions"][0]
        value = client.post("/endpoints/amount/predict", json=ROW).json()["predictions"][0]
    assert many["class"] == max(many["probabilities"], key=many["probabilities"].get)
    assert math.isclose(sum(many["probabilities"].values()), 1.0)
    assert isinstance(value["prediction"], float) and "probability" not in value


def test_a_model_whose_rows_depend_on_their_company_is_asked_row_by_row(serve):
    champion = bundle(is_row_independent=False)
    with serve(endpoint(champion)) as client:
        client.post(PREDICT, json={"rows": [ROW] * 3})
    assert champion.predictor.batches == [1, 1, 1]


def test_unknown_paths_and_methods(serve):
    with serve(endpoint()) as client:
        wrong = client.post("/endpoints/laps/predict", json=ROW)
        method = client.get(PREDICT)
        nowhere = client.get("/nowhere")
    assert wrong.status_code == 404 and "lapse" in wrong.json()["problems"][0]["mend"]
    assert method.status_code == 405 and method.headers["allow"] == "POST"
    assert nowhere.status_code == 404 and nowhere.json()["problems"]
    assert nowhere.json()["request_id"] == nowhere.headers["x-request-id"]


def test_bodies_over_the_bound_are_refused_with_and_without_a_length(serve):
    with serve(endpoint(), max_body_bytes=300) as client:
        body = json.dumps({"rows": [ROW] * 10}).encode()
        told = client.post(PREDICT, content=body, headers=JSON)
        parts = (body[i : i + 50] for i in range(0, len(body), 50))
        streamed = client.post(PREDICT, content=parts, headers=JSON)
        small = client.post(PREDICT, json=ROW)
    assert (told.status_code, streamed.status_code, small.status_code) == (413, 413, 200)


def test_request_ids_are_kept_when_harmless_and_made_otherwise(serve):
    with serve(endpoint()) as client:
        kept = client.post(PREDICT, json=ROW, headers={"x-request-id": "abc-1"})
        other = client.get("/health", headers={"x-request-id": "abc-2"})
        made = client.post(PREDICT, json=ROW, headers={"x-request-id": 'x" evil'})
    assert kept.headers["x-request-id"] == "abc-1" and other.headers["x-request-id"] == "abc-2"
    assert made.headers["x-request-id"] not in ("", 'x" evil')


def test_a_failure_inside_answers_500_without_its_text_and_spares_the_others(serve):
    broken = endpoint(name="broken")
    broken.champion.current.bundle.predictor.predict = lambda matrix: 1 / 0
    with serve(endpoint(), broken) as client:
        bad = client.post("/endpoints/broken/predict", json=ROW)
        good = client.post(PREDICT, json=ROW)
        metrics = client.get("/metrics").text
    assert bad.status_code == 500 and "division" not in bad.text and "ZeroDivision" not in bad.text
    assert good.status_code == 200
    assert 'inseam_failures_total{endpoint="broken"} 1.0' in metrics


def test_what_a_model_has_no_answer_to_is_the_requests_fault(serve):
    def predict(matrix):
        raise DataError("model input", "infinite as float32: amount")

    strict = endpoint()
    strict.champion.current.bundle.predictor.predict = predict
    with serve(strict) as client:
        told = client.post(PREDICT, json=ROW)
    assert told.status_code == 422 and "amount" in told.text


def test_readiness_waits_for_a_model_and_names_what_is_wrong(serve):
    empty = ServedEndpoint(spec(), Held(None, "no version of lapse has been promoted to champion"))
    with serve(empty) as client:
        ready, predict = client.get("/ready"), client.post(PREDICT, json=ROW)
    assert ready.status_code == 503 and "promoted" in ready.json()["endpoints"]["lapse"]["problem"]
    assert predict.status_code == 503 and predict.headers["retry-after"] == "1"


def test_a_full_log_refuses_predictions_and_is_not_ready(serve, tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "old.seg").write_bytes(b"x" * 2000)
    with serve(endpoint(), log_limit_bytes=1000) as client:
        predict, ready = client.post(PREDICT, json=ROW), client.get("/ready")
    assert predict.status_code == 503 and predict.json()["problems"][0]["code"] == "log-full"
    assert ready.status_code == 503


def test_a_log_that_cannot_be_written_answers_503(serve, monkeypatch):
    from inseam.stages.serve import segment

    def no_space(descriptor, data, *, at):
        raise OSError(28, "No space left on device")

    with serve(endpoint()) as client:
        monkeypatch.setattr(segment, "write_all", no_space)
        refused = client.post(PREDICT, json=ROW)
        monkeypatch.undo()
        again = client.post(PREDICT, json=ROW)
    assert refused.status_code == 503 and again.status_code == 200


def test_outcomes_are_kept_under_the_endpoint_of_their_prediction(serve, tmp_path):
    import pyarrow.dataset as ds

    with serve(endpoint()) as client:
        ids = [one["id"] for one in client.post(PREDICT, json={"rows": [ROW] * 3}).json()["predictions"]]
        one = client.post(f"/predictions/{ids[0]}/outcome", json={"outcome": True})
        many = client.post(
            "/outcomes",
            json={
                "outcomes": [
                    {"prediction": ids[1], "outcome": 0.5, "observed_at": "2026-02-01T00:00:00+01:00"},
                    {"prediction": ids[2], "outcome": "late"},
                ]
            },
        )
        malformed = client.post("/predictions/123/outcome", json={"outcome": 1})
        foreign = client.post("/predictions/01900000-0000-7000-8000-000000000000/outcome", json={"outcome": 1})
        untyped = client.post(f"/predictions/{ids[0]}/outcome", json={"outcome": [1]})
    assert one.json() == {"accepted": 1} and many.json() == {"accepted": 2}
    assert (malformed.status_code, foreign.status_code, untyped.status_code) == (422, 404, 422)
    tables = DeltaTables(str(tmp_path / "tables"))
    assert compact(tmp_path / "log", tables) == {"predictions/lapse": 3, "outcomes/lapse": 3}
    snapshot = tables.snapshot("outcomes/lapse")
    rows = ds.dataset(list(snapshot.files), format="parquet").to_table().to_pylist()
    assert [(row["id"], row["number"], row["text"]) for row in rows] == [
        (ids[0], 1.0, None),
        (ids[1], 0.5, None),
        (ids[2], None, "late"),
    ]
    assert format_instant(int(rows[1]["observed_at"].timestamp() * 1e6)) == "2026-01-31T23:00:00Z"


def test_metrics_count_requests_rows_missing_and_versions(serve):
    with serve(endpoint()) as client:
        client.post(PREDICT, json={"rows": [ROW, ROW | {"customer_id": "nobody"}]})
        client.post(PREDICT, json={"rows": []})
        text = client.get("/metrics").text
    assert 'inseam_requests_total{endpoint="lapse",route="predict",status="200"} 1.0' in text
    assert 'inseam_requests_total{endpoint="lapse",route="predict",status="422"} 1.0' in text
    assert 'inseam_rows_total{endpoint="lapse"} 2.0' in text
    assert 'inseam_rows_missing_total{endpoint="lapse",view="visits"} 1.0' in text
    assert 'inseam_model_version{endpoint="lapse",model="lapse"} 1.0' in text
    assert "inseam_log_bytes_total" in text and "inseam_prediction_seconds_bucket" in text


def test_durability_on_disk_answers_after_the_sync(serve, tmp_path):
    with serve(endpoint(), durability="disk") as client:
        ids = [client.post(PREDICT, json=ROW).json()["predictions"][0]["id"] for _ in range(3)]
    assert all(find_prediction(tmp_path / "log", DeltaTables(str(tmp_path / "tables")), one) for one in ids)


def test_a_swapped_champion_answers_the_next_request(serve):
    served = endpoint()
    with serve(served) as client:
        before = client.post(PREDICT, json=ROW).json()
        served.champion.current = replace(served.champion.current, bundle=bundle(1.0), version=2)
        after = client.post(PREDICT, json=ROW).json()
    assert (before["model_version"], after["model_version"]) == (1, 2)
    assert before["predictions"][0]["probability"] != after["predictions"][0]["probability"]


def test_two_endpoints_of_one_name_are_refused(tmp_path):
    with pytest.raises(DefinitionError):
        create_app([endpoint(), endpoint()], log=PredictionLog(tmp_path), settings=ServeSettings())
