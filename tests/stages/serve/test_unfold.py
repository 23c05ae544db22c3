"""Requests that leave the key of a wildcard out."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from serving_world import BOUNDARY, ORDERS, PREDICT, ROW, Held, MemoryReader, S, bundle, spec

from inseam.adapters.delta.tables import DeltaTables
from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import DAY, Step, format_instant
from inseam.kernel.errors import UnavailableError
from inseam.kernel.types import Field
from inseam.stages.serve.endpoint import Champion, ServedEndpoint
from inseam.stages.serve.find import find_prediction

RANKED = tuple(AggregateSpec(f"seen_{rank}", AggregateKind.LAST_N, S, "store", rank=rank) for rank in (1, 2, 3))
SEEN = WindowedAggregate("viewed", ORDERS, ("customer_id",), Step(DAY), 0, RANKED)
MEMBERS: dict[str, tuple[str | None, ...]] = {
    "c1": ("north", "south", "north"),
    "c2": ("west", None, None),
    "c3": (None,) * 3,
}
KEYS = (Field("customer_id", S), Field("store", S))


class MemberReader:
    """What `MEMBERS` says; stale for c2."""

    is_away = False

    def read(self, entities: Any, *, at: int) -> Any:
        if self.is_away:
            raise UnavailableError("online", "it does not answer")
        found = [MEMBERS.get(customer) for (customer,) in entities]
        cells = [row or (None,) * 3 for row in found]
        return SimpleNamespace(
            values={spec.name: [row[place] for row in cells] for place, spec in enumerate(RANKED)},
            boundaries={"viewed": np.full(len(found), BOUNDARY - DAY)},
            is_stale={"viewed": np.array([customer == "c2" for (customer,) in entities])},
            is_missing={"viewed": np.array([row is None for row in found])},
        )


def endpoint(members: MemberReader | None = None, **changes: Any) -> ServedEndpoint:
    told = spec(keys=KEYS, members=SEEN, fingerprint="unfolds", **changes)
    served = Champion(bundle(), 1, told, MemoryReader(), members or MemberReader())
    return ServedEndpoint(told, Held(served))


def asked(*customers: str, **more: Any) -> dict[str, Any]:
    return {"rows": [ROW | {"customer_id": customer} | more for customer in customers]}


def keys(reply: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["key"]["customer_id"], one["key"]["store"]) for one in reply["predictions"]]


def test_each_member_is_predicted_and_logged_as_if_it_had_been_named(serve: Any, tmp_path: Any) -> None:
    with serve(endpoint()) as client:
        reply = client.post(PREDICT, json=asked("c2", "c1")).json()
        named = client.post(PREDICT, json={"rows": [ROW | {"store": one} for one in ("north", "south")]}).json()
    assert keys(reply) == [("c2", "west"), ("c1", "north"), ("c1", "south")]
    assert keys(named) == keys(reply)[1:]
    assert [one["probability"] for one in named["predictions"]] == [
        one["probability"] for one in reply["predictions"][1:]
    ]
    assert [one["boundaries"].get("viewed") for one in reply["predictions"]] == [format_instant(BOUNDARY - DAY)] * 3
    assert ["viewed" in one["stale"] for one in reply["predictions"]] == [True, False, False]
    assert "viewed" not in named["predictions"][0]["boundaries"]
    tables = DeltaTables(str(tmp_path / "tables"))
    logged = [find_prediction(tmp_path / "log", tables, one["id"]) for one in reply["predictions"]]
    assert [one.keys for one in logged if one is not None] == [one["key"] for one in reply["predictions"]]


def test_rows_with_and_without_the_key_go_together(serve: Any) -> None:
    rows = [ROW | {"store": "east"}, ROW, ROW | {"customer_id": "c3"}]
    with serve(endpoint()) as client:
        assert keys(client.post(PREDICT, json={"rows": rows}).json()) == [
            ("c1", "east"), ("c1", "north"), ("c1", "south")
        ]  # fmt: skip
        nobody = client.post(PREDICT, json=asked("c3", "nobody"))
    assert (nobody.status_code, nobody.json()["predictions"]) == (200, [])


def test_features_that_are_given_need_no_member(serve: Any) -> None:
    features = {"orders_30d": 1, "spend_30d": 2.0, "last_store": None, "last_order": None, "visits_7d": 0}
    with serve(endpoint()) as client:
        reply = client.post(PREDICT, json=ROW | {"features": features}).json()
    assert len(reply["predictions"]) == 1 and "key" not in reply["predictions"][0]


def test_no_request_unfolds_into_more_rows_than_it_may_have(serve: Any) -> None:
    with serve(endpoint(max_rows=3)) as client:
        assert client.post(PREDICT, json=asked("c1", "c2")).status_code == 200
        reply = client.post(PREDICT, json=asked("c1", "c1"))
    (problem,) = reply.json()["problems"]
    assert reply.status_code == 422
    assert (problem["found"], problem["expected"]) == ("4 rows", "1 to 3 rows in one request")


@pytest.mark.parametrize(("customers", "place", "named"), [(("c1", "nobody"), 1, "'nobody'"), (("c1", "c3"), None, "")])
def test_entities_that_nobody_knows_are_rejected_where_such_are(
    serve: Any, customers: tuple[str, ...], place: int | None, named: str
) -> None:
    with serve(endpoint(unknown="reject")) as client:
        reply = client.post(PREDICT, json=asked(*customers))
    if place is None:
        assert reply.status_code == 200, "it has a row, which names no member"
    else:
        (problem,) = reply.json()["problems"]
        assert (reply.status_code, problem["subject"]) == (404, f"rows[{place}]") and named in problem["found"]


def test_while_the_store_is_away_nobody_knows_the_members(serve: Any) -> None:
    reader = MemberReader()
    reader.is_away = True
    with serve(endpoint(reader, unavailable="default")) as client:
        assert client.post(PREDICT, json=ROW).status_code == 503
        assert client.post(PREDICT, json=ROW | {"store": "north"}).status_code == 200


def test_a_model_that_was_trained_without_members_is_asked_with_the_key(serve: Any) -> None:
    served = endpoint()
    champion = served.champion.current
    assert champion is not None
    older = replace(champion, spec=replace(champion.spec, members=None), members=None)
    with serve(ServedEndpoint(served.spec, Held(older))) as client:
        reply = client.post(PREDICT, json=ROW)
        assert client.post(PREDICT, json=ROW | {"store": "north"}).status_code == 200
    assert (reply.status_code, reply.json()["problems"][0]["subject"]) == (422, "store")


def test_the_document_says_what_may_be_left_out(serve: Any) -> None:
    with serve(endpoint()) as client:
        document = client.get("/openapi.json").json()
        examples = document["paths"][PREDICT]["post"]["requestBody"]["content"]["application/json"]["examples"]
        replies = [client.post(PREDICT, json=one["value"]).status_code for one in examples.values()]
        (listed,) = client.get("/endpoints").json()
    row = document["components"]["schemas"]["LapseRow"]
    assert "store" in row["properties"] and "store" not in row["required"]
    assert "store" not in examples["every member"]["value"] and replies == [200] * 4
    assert listed["wildcard"] == "store"
