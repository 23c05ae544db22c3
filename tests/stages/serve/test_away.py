"""What an endpoint answers while its online store is away, by its declared policy; on a real Redis that is killed."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from serving_world import BOUNDARY, CUSTOMERS, KEYS, PREDICT, SPEND, VISITS, Held, bundle, spec

from inseam.adapters.redis.store import RedisStore
from inseam.ir.online_key import KeyCodec
from inseam.ir.online_row import RowCodec
from inseam.kernel.types import Schema
from inseam.stages.features.fetch import FeatureReader
from inseam.stages.features.mark import Mark, online_table
from inseam.stages.serve.breaker import Breaker
from inseam.stages.serve.endpoint import Champion, ServedEndpoint
from inseam.stages.serve.guarded_store import GuardedStore
from inseam.stages.serve.recent import RecentRows
from inseam.testing.redis import WHY_NOT, RedisServer, is_installed, redis_server

pytestmark = pytest.mark.skipif(not is_installed(), reason=WHY_NOT)
VIEWS = ((SPEND, "f1"), (VISITS, "f2"))


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server("--appendonly", "yes", "--appendfsync", "always") as server:
        fill(RedisStore(server.url, namespace="n"))
        yield server


def fill(store: RedisStore) -> None:
    for view, fingerprint in VIEWS:
        known = {key: row for key, row in CUSTOMERS.items() if view.schema.names[0] in row}
        columns = [pa.array([row[f.name] for row in known.values()], f.type) for f in view.schema.to_arrow()]
        batch = pa.record_batch([pa.array(list(known)), *columns], names=["customer_id", *view.schema.names])
        rows = zip(KeyCodec(Schema(KEYS)).batch(batch), RowCodec(view.schema).encode(batch, BOUNDARY, 7), strict=True)
        store.write(online_table(view.name, fingerprint), list(rows), Mark.start(view, BOUNDARY, 7).encode())


def served(server: RedisServer, timeout: str = "10s", **changes: Any) -> ServedEndpoint:
    """A server that was killed is away at once: the timeout counts for one that is paused, and for a busy machine."""
    told = spec(**changes)
    store = RedisStore(f"{server.url}?timeout={timeout}", namespace="n")
    recent = RecentRows() if told.unavailable == "stale" else None
    guard = GuardedStore(store, breaker=Breaker(failures=3, pause_seconds=0.1), recent=recent)
    reader = FeatureReader(guard, VIEWS, Schema(KEYS))
    return ServedEndpoint(told, Held(Champion(bundle(), 1, told, reader)), guard)


def ask(client: Any, *customers: str) -> Any:
    rest = {"basket_value": 12.5, "coupon": None, "first_seen": "2026-01-31"}
    return client.post(PREDICT, json={"rows": [{"customer_id": customer, **rest} for customer in customers]})


def ask_until_answered(client: Any, *customers: str) -> Any:
    for _ in range(2000):
        found = ask(client, *customers)
        if found.status_code == 200 and not found.json()["predictions"][0]["missing"]:
            return found
    raise AssertionError("it did not recover")


def metric(client: Any, line: str) -> float:
    found = [text for text in client.get("/metrics").text.splitlines() if text.startswith(line)]
    return float(found[0].split()[-1])


def test_by_default_requests_fail_at_once_and_are_answered_again_when_it_is_back(serve, server: RedisServer):
    with serve(served(server)) as client:
        before = ask(client, "c1").json()["predictions"][0]
        server.kill()
        for _ in range(20):
            refused = ask(client, "c1")
            assert refused.status_code == 503
            assert refused.headers["retry-after"]
            assert "unavailable" in refused.text
            assert str(server.port) not in refused.text
        assert metric(client, 'inseam_online_open{endpoint="lapse"}') == 1
        assert metric(client, 'inseam_online_reads_total{endpoint="lapse",outcome="refused"}') > 0
        assert client.get("/ready").status_code == 200
        server.start()
        after = ask_until_answered(client, "c1").json()["predictions"][0]
        assert {**after, "id": ""} == {**before, "id": ""}
        assert metric(client, 'inseam_online_open{endpoint="lapse"}') == 0


def test_what_was_read_lately_answers_with_its_own_boundaries(serve, server: RedisServer):
    with serve(served(server, unavailable="stale")) as client:
        before = ask(client, "c1", "c3", "nobody").json()["predictions"]
        server.kill()
        for _ in range(5):
            after = ask(client, "c1", "c3", "nobody").json()["predictions"]
            assert [{**one, "id": ""} for one in after] == [{**one, "id": ""} for one in before]
        assert ask(client, "c2").status_code == 503
        assert ask(client, "c1", "c2").status_code == 503
        assert metric(client, 'inseam_online_reads_total{endpoint="lapse",outcome="stale"}') >= 5


def test_defaults_stand_in_and_null_for_the_rest(serve, server: RedisServer):
    """NULL and not 0 for counts: nothing is known of these entities."""
    with serve(served(server, unavailable="default", defaults={"spend_30d": 40.0})) as client:
        assert ask(client, "c1").json()["predictions"][0]["missing"] == []
        server.kill()
        away = ask(client, "c1", "nobody")
        assert away.status_code == 200
        predictions = away.json()["predictions"]
        assert [one["missing"] for one in predictions] == [["spend", "visits"]] * 2
        assert [one["boundaries"] for one in predictions] == [{}, {}]
        assert predictions[0]["probability"] == predictions[1]["probability"]
        given = {"orders_30d": None, "spend_30d": 40.0, "last_store": None, "last_order": None, "visits_7d": None}
        row = {"customer_id": "c1", "basket_value": 12.5, "coupon": None, "first_seen": "2026-01-31"}
        same = client.post(PREDICT, json={**row, "features": given}).json()["predictions"][0]
        assert same["probability"] == predictions[0]["probability"]
        server.start()
        ask_until_answered(client, "c1")


def test_an_unknown_entity_is_not_rejected_because_the_store_is_away(serve, server: RedisServer):
    with serve(served(server, unavailable="default", unknown="reject")) as client:
        assert ask(client, "nobody").status_code == 404
        server.kill()
        assert ask(client, "nobody").status_code == 200


def test_a_paused_store_delays_a_few_requests_and_no_more(serve, server: RedisServer):
    with serve(served(server, "500ms", unavailable="default")) as client:
        ask(client, "c1")
        server.pause()
        while not ask(client, "c1").json()["predictions"][0]["missing"]:
            pass  # a store may remember for a second what it has read
        assert {ask(client, "c1").status_code for _ in range(99)} == {200}
        failed = metric(client, 'inseam_online_reads_total{endpoint="lapse",outcome="failed"}')
        assert metric(client, 'inseam_online_reads_total{endpoint="lapse",outcome="refused"}') + failed == 100
        server.resume()
        ask_until_answered(client, "c1")


def test_a_store_that_comes_back_empty_is_away(serve, server: RedisServer):
    with serve(served(server)) as client:
        ask(client, "c1")
        server.client().flushall()
        assert ask(client, "nobody", "c1").status_code == 503
        assert metric(client, 'inseam_online_reads_total{endpoint="lapse",outcome="lost"}') > 0
        fill(RedisStore(server.url, namespace="n"))
        ask_until_answered(client, "c1")
