"""An entity is forgotten: none of its bytes is left under the environment's home, and it does not come back."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
from fastapi.testclient import TestClient
from psycopg import sql

from inseam.ir.records import ErasureRecord, LoadRecord, TrainingSetRecord
from inseam.kernel.clock import parse_instant
from inseam.kernel.errors import ConflictError, DataError, NotFoundError
from inseam.run import forgetting, learning
from inseam.run.serving import application
from inseam.run.settings import read_settings
from inseam.run.workspace import Workspace
from inseam.run.workspace import open as open_workspace
from inseam.testing.postgres import postgres_server
from inseam.testing.redis import WHY_NOT, is_installed, redis_server
from inseam.testing.spark import missing

GONE = "zebra-0815"
OTHERS = [f"c-{number:02d}" for number in range(40)]
NOON = "2024-06-30T12:00:00Z"
DEFINITIONS = """
from inseam import Endpoint, Entity, FeatureView, Label, Source, Split, Transform, TrainingSet
from inseam import check, count, last, model, snapshots, sum

customer = Entity("customer", key="customer_id")
visit = Entity("visit", key=("customer_id", "shop"))
shop = Entity("shop", key="shop")
short = check("length(customer_id) < 8", severity="warn")
orders = Source("orders", "orders.csv", timestamp="at", checks=["amount >= 0", short],
                schema={"customer_id": "string", "at": "timestamp", "amount": "float64", "shop": "string"})
clicks = Source("clicks", timestamp="at", stream=True,
                schema={"customer_id": "string", "at": "timestamp", "shop": "string"})
mails = Source("mails", "mails.csv", timestamp="at", schema={"recipient": "string", "at": "timestamp"})
sent = Transform("sent", mails, sql="select recipient as customer_id, at from mails")
spend = FeatureView("spend", orders, customer, every="1d",
                    features={"spend_30d": sum("amount", over="30d"), "last_shop": last("shop")})
visits = FeatureView("visits", orders, visit, every="1d", features={"visits": count(over="30d")})
mailed = FeatureView("mailed", sent, customer, every="1d", features={"mails": count()})
recent = FeatureView("recent", clicks, customer, every="1s", features={"clicks": count(over="1h")})
busy = FeatureView("busy", clicks, shop, every="1s", features={"clicks_there": count(over="1h")})
lapse_rows = TrainingSet("lapse_rows", spine=snapshots(customer, every="7d"), features=[spend],
                         label=Label(count(orders) == 0, ahead="14d"), split=Split(test="40d"))

@model("lapse", lapse_rows, metric="roc_auc", gates=[])
def train(data, params):
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    return make_pipeline(SimpleImputer(), LogisticRegression()).fit(data.X, data.y)

lapse = Endpoint("lapse", train)
"""


def write_project(root: Path) -> Path:
    root.mkdir(parents=True)
    (root / "shop.py").write_text(DEFINITIONS)
    (root / "inseam.toml").write_text('[project]\nname = "shop"\n[environments.default]\nmemory = "512MB"\n')
    lines = ["customer_id,at,amount,shop"]
    for place, customer in enumerate([*OTHERS, GONE]):
        days = range(1 + place % 7, 180 if place % 2 else 120 + place, 3 + place % 11)
        lines += [f"{customer},{instant(day)},{day}.5,s{day % 3}" for day in days]
    lines += [f"{GONE},{instant(7)},-5,s1", f"{GONE},never,1,s1", f"c-01,{instant(8)},-1,s1"]
    (root / "orders.csv").write_text("\n".join(lines) + "\n")
    mails = [f"{customer},{instant(day)}" for day, customer in enumerate([GONE, "c-01", GONE, "c-02"])]
    (root / "mails.csv").write_text("recipient,at\n" + "\n".join(mails) + "\n")
    return root


def instant(day: int) -> str:
    return f"2024-{1 + day // 28:02d}-{1 + day % 28:02d}T09:00:00Z"


def clicks(customer: str, *minutes: int) -> list[dict[str, Any]]:
    return [
        {"customer_id": customer, "at": f"2024-06-30T11:{minute:02d}:00Z", "shop": "s1", "_id": f"{customer}{minute}"}
        for minute in minutes
    ]


def ask(root: Path, workspace: Workspace, *customers: str) -> list[str]:
    with TestClient(application(root, None, None, workspace.project)) as client:
        rows = [{"customer_id": customer} for customer in customers]
        answer = client.post("/endpoints/lapse/predict", json={"rows": rows})
        assert answer.status_code == 200, answer.text
        ids = [prediction["id"] for prediction in answer.json()["predictions"]]
        for id_ in ids:
            assert client.post(f"/predictions/{id_}/outcome", json={"outcome": True}).status_code == 200
    return ids


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which everything was done that leaves something of a customer behind."""
    root = write_project(tmp_path_factory.mktemp("lived") / "project")
    at = parse_instant(NOON)
    with open_workspace(root) as workspace, pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "_track", lambda *_: ())  # MLflow takes longer than all the rest
        workspace.ingest("orders", "mails", is_history=True)
        # Before what takes longest: a step sees what was known at its boundary, a whole second.
        workspace.push("clicks", [*clicks(GONE, *range(1, 9)), *clicks("c-01", 1, 2)])
        workspace.train("lapse")
        workspace.materialize("spend", "visits", "mailed", as_of=at)
        workspace.freshen("recent", "busy", is_once=True)
        workspace.score("lapse", as_of=at)
        ask(root, workspace, GONE, "c-01", "c-02")
        workspace.compact()
        ask(root, workspace, "c-03", GONE)
        workspace.push("clicks", clicks(GONE, 20, 21))
    return root


@pytest.fixture
def project(lived: Path, tmp_path: Path) -> Path:
    shutil.copytree(lived, tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def workspace(project: Path) -> Iterator[Workspace]:
    with open_workspace(project) as opened:
        yield opened


def holding(root: Path) -> list[str]:
    """The files under the home that hold the key's bytes."""
    home = root / ".inseam"
    files = (path for path in home.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(home)) for path in files if GONE.encode() in path.read_bytes())


def column(workspace: Workspace, table: str, name: str) -> list[Any]:
    files = workspace.context.tables.snapshot(table).files
    return pa.concat_tables([pq.read_table(file, columns=[name]) for file in files])[name].to_pylist()


def test_nothing_is_left_of_a_forgotten_customer_and_everything_of_the_others(
    lived: Path, project: Path, workspace: Workspace
) -> None:
    before = holding(project)
    for place in ("tables/sources/orders", "tables/quarantine/orders", "tables/predictions", "tables/scores",
                  "predictions/", "training_sets", "online", "stream", "ledger.db"):  # fmt: skip
        assert any(place in file for file in before), place
    kept = sorted(row for row in column(workspace, "sources/orders", "customer_id") if row != GONE)
    digest = workspace.build("lapse_rows").digest
    dry = workspace.forget("customer", GONE, is_dry_run=True)
    assert holding(project) == before

    erasure = workspace.forget("customer", GONE)
    workspace.close()

    assert holding(project) == []
    with open_workspace(project) as after:
        assert sorted(column(after, "sources/orders", "customer_id")) == kept
        assert column(after, "sources/mails", "recipient") == ["c-01", "c-02"]
        assert column(after, "quarantine/orders", "load") == [1]
        assert sorted(column(after, "predictions/lapse", "key:customer_id")) == ["c-01", "c-02", "c-03"]
        assert sorted(column(after, "outcomes/lapse", "id")) == sorted(column(after, "predictions/lapse", "id"))
        erased = dry.erased | {"predictions/lapse": 1, "outcomes/lapse": 1}
        assert {place: erasure.erased.get(place) for place in erased} == erased
        assert {"sources/orders", "sources/clicks", "sources/mails", "quarantine/orders", "scores/lapse"} <= set(erased)
        assert after.build("lapse_rows").digest != digest
        assert {"model:lapse@1", str(lived / "orders.csv"), "sources/mails"} <= set(erasure.left)
        (record,) = after.context.ledger.select(ErasureRecord)
        assert record.status == "committed"
        assert GONE not in json.dumps(record.report)


def test_online_no_row_of_it_is_found_and_others_are_as_they_were(workspace: Workspace) -> None:
    at = parse_instant(NOON)
    others = [{"customer_id": "c-01"}, {"customer_id": "c-02"}]
    before = workspace.fetch(["spend", "mailed"], others, at=at).values
    workspace.forget("customer", GONE)
    read = workspace.fetch(["spend", "mailed"], [{"customer_id": GONE}, *others], at=at)
    assert [read.is_missing[view][0] for view in ("spend", "mailed")] == [True, True]
    assert {view: values[1:] for view, values in read.values.items()} == before
    online = workspace.context.online
    assert workspace.fetch(["visits"], [{"customer_id": GONE, "shop": "s1"}], at=at).is_missing["visits"][0]
    (recent,) = [table for table in online.tables() if table.startswith("recent@")]
    assert online.count(recent) == 2, "one head and what is applied"
    assert not [table for table in online.tables() if table.startswith("busy@")], "to be built anew"
    workspace.freshen("busy", is_once=True)
    assert [table for table in online.tables() if table.startswith("busy@")]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_spark_finds_the_rows_that_duckdb_finds(project: Path) -> None:
    from inseam.adapters.spark.session import close

    with open_workspace(project) as workspace:
        expected = workspace.forget("customer", GONE, is_dry_run=True).erased
    close()
    with Workspace(
        read_settings(project, variables={"INSEAM_ENGINE": "spark", "INSEAM_ENGINE_URL": "local[2]"})
    ) as own:
        dry = own.forget("customer", GONE, is_dry_run=True)
        assert dry.erased == expected
        erased = own.forget("customer", GONE).erased
        others = own.fetch(["spend"], [{"customer_id": "c-01"}], at=parse_instant(NOON))
    close()
    assert holding(project) == []
    assert {place: erased.get(place) for place in expected} == expected | {"predictions/lapse": 1, "outcomes/lapse": 1}
    assert not others.is_missing["spend"][0]


@pytest.fixture(params=["redis", "postgres"])
def server(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """What the environment says of an empty online store on a server."""
    if request.param == "redis" and not is_installed():
        pytest.skip(WHY_NOT)
    with redis_server() if request.param == "redis" else postgres_server() as started:
        url = started if isinstance(started, str) else started.url
        url += f"{'&' if '?' in url else '?'}timeout=10s"
        yield {"INSEAM_ONLINE": request.param, "INSEAM_ONLINE_URL": url}


def returned(server: dict[str, str]) -> bytes:
    """All that a server has to give: keys, rows, tiles and marks."""
    url = server["INSEAM_ONLINE_URL"].removesuffix("timeout=10s").rstrip("?&")
    found: list[bytes] = []
    if server["INSEAM_ONLINE"] == "redis":
        with redis.Redis.from_url(url) as client:
            for key in client.scan_iter():
                found += [key, client.type(key)]
                if found[-1] == b"hash":
                    found += [cell for pair in client.hgetall(key).items() for cell in pair]
                else:
                    found += client.smembers(key) if found[-1] == b"set" else [client.get(key)]
    else:
        with psycopg.connect(url) as connection:
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'inseam_online'").fetchall()
            for (table,) in tables:
                rows = connection.execute(sql.SQL("SELECT * FROM inseam_online.{}").format(sql.Identifier(table)))
                found += [cell if isinstance(cell, bytes) else str(cell).encode() for row in rows for cell in row]
    return b"\n".join(found)


def test_a_server_gives_nothing_of_a_forgotten_customer_and_all_of_the_others(
    project: Path, server: dict[str, str]
) -> None:
    at, others = parse_instant(NOON), [{"customer_id": "c-01"}, {"customer_id": "c-02"}]
    with Workspace(read_settings(project, variables=server)) as workspace:
        workspace.materialize("spend", "visits", "mailed", as_of=at)
        workspace.freshen("recent", "busy", is_once=True)
        before = workspace.fetch(["spend", "mailed"], others, at=at).values
        online = workspace.context.online
        counts = {table.partition("@")[0]: online.count(table) for table in online.tables()}
        assert GONE.encode() in returned(server)

        erasure = workspace.forget("customer", GONE)

        assert GONE.encode() not in returned(server)
        assert b"c-01" in returned(server)
        gone = {place.partition("@")[0]: rows for place, rows in erasure.erased.items() if place.startswith("online ")}
        assert gone == {"online spend": 1, "online visits": 3, "online mailed": 1, "online recent": 1}
        assert {table.partition("@")[0]: online.count(table) for table in online.tables()} == {
            "spend": counts["spend"] - 1,
            "visits": counts["visits"] - 3,
            "mailed": counts["mailed"] - 1,
            "recent": 2,
        }, "one head of another and what is applied; busy counted its clicks, and is built anew"
        read = workspace.fetch(["spend", "mailed"], [{"customer_id": GONE}, *others], at=at)
        assert [read.is_missing[view][0] for view in ("spend", "mailed")] == [True, True]
        assert {view: values[1:] for view, values in read.values.items()} == before
        assert f"online {server['INSEAM_ONLINE']}" in erasure.left, "its own files and backups are its own"


def test_what_comes_later_is_dropped_and_counted(project: Path, workspace: Workspace) -> None:
    workspace.forget("customer", GONE)
    (project / "orders.csv").rename(project / "old.csv")
    (project / "orders.csv").write_text(
        f"customer_id,at,amount,shop\n{GONE},2024-07-01,1,s1\nc-01,2024-07-01,1,s1\n{GONE},never,1,s1\n"
    )
    load = workspace.ingest("orders")["orders"]
    assert load is not None
    assert (load.rows_in, load.rows_accepted, load.rows_quarantined, load.rows_forgotten) == (3, 1, 0, 2)
    workspace.push("clicks", [*clicks(GONE, 30), *clicks("c-05", 30)])
    pushed = workspace.ingest("clicks")["clicks"]
    assert pushed is not None
    assert (pushed.rows_accepted, pushed.rows_forgotten) == (1, 1)
    ask(project, workspace, GONE, "c-04")
    workspace.compact()
    assert sorted(column(workspace, "predictions/lapse", "key:customer_id")) == ["c-01", "c-02", "c-03", "c-04"]
    assert len(column(workspace, "outcomes/lapse", "id")) == 4


def test_predictions_for_others_are_replayed_from_their_old_snapshots(project: Path, workspace: Workspace) -> None:
    mine, theirs = ask(project, workspace, GONE, "c-07")
    workspace.forget("customer", GONE)
    assert workspace.replay(theirs).is_equal
    with pytest.raises(NotFoundError, match="forgotten"):
        workspace.replay(mine)


class KilledError(BaseException):
    """As if the process had been killed."""


def test_an_erasure_that_breaks_off_after_any_step_is_finished_by_the_same_call(
    lived: Path, project: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = workspace.forget("customer", GONE, is_dry_run=True).erased
    steps = ["_shut_out", *(name for name in vars(forgetting._Forgetting) if name.startswith("_forget")), "_wipe"]
    for name in steps:
        with monkeypatch.context() as patch:
            step = getattr(forgetting._Forgetting, name)

            def dying(self: Any, step: Any = step) -> None:
                step(self)
                raise KilledError

            patch.setattr(forgetting._Forgetting, name, dying)
            with pytest.raises(KilledError):
                workspace.forget("customer", GONE)
    done = workspace.forget("customer", GONE)
    workspace.close()
    assert holding(project) == []
    assert {place: done.erased.get(place) for place in whole} == whole
    assert str(lived / "orders.csv") in done.left


def test_an_erasure_that_is_killed_is_finished_by_the_same_call(project: Path, workspace: Workspace) -> None:
    script = textwrap.dedent("""
        import os, signal, sys
        from inseam.adapters.delta.erase import Erasure
        from inseam.run.workspace import open as open_workspace
        left = int(sys.argv[2])
        rewritten = Erasure._rewritten
        def dying(self, name):
            global left
            left -= 1
            made = rewritten(self, name)
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return made
        Erasure._rewritten = dying
        open_workspace(sys.argv[1]).forget("customer", sys.argv[3])
    """)
    killed = subprocess.run([sys.executable, "-c", script, str(project), "3", GONE], check=False)
    assert killed.returncode == -signal.SIGKILL
    (record,) = workspace.context.ledger.select(ErasureRecord)
    assert record.status == "begun"
    workspace.forget("customer", GONE)
    workspace.close()
    assert holding(project) == []


def test_a_composite_key_erases_that_pair_only(workspace: Workspace) -> None:
    rows = pa.table({name: column(workspace, "sources/orders", name) for name in ("customer_id", "shop")}).to_pylist()
    pair = {"customer_id": GONE, "shop": "s1"}
    erasure = workspace.forget("visit", pair)
    assert erasure.erased["sources/orders"] == rows.count(pair) > 0
    left = pa.table({name: column(workspace, "sources/orders", name) for name in ("customer_id", "shop")}).to_pylist()
    assert left == [row for row in rows if row != pair]


def test_mistakes_are_told_and_do_not_repeat_the_key(workspace: Workspace) -> None:
    with pytest.raises(DataError, match=r"--key customer_id=.*--key shop="):
        workspace.forget("visit", GONE)
    with pytest.raises(DataError, match="customer_id"):
        workspace.forget("customer", {"customer": GONE})
    with pytest.raises(NotFoundError):
        workspace.forget("customers", GONE)
    with workspace.context.ledger.lease("freshen:recent"), pytest.raises(ConflictError, match="freshen:recent"):
        workspace.forget("customer", GONE)
    assert [record.status for record in workspace.context.ledger.select(ErasureRecord)] == ["begun"]
    assert not [load for load in workspace.context.ledger.select(LoadRecord) if load.status == "begun"]


def test_a_training_set_that_was_erased_says_so(project: Path, workspace: Workspace) -> None:
    workspace.forget("customer", GONE)
    (record,) = workspace.context.ledger.select(TrainingSetRecord)
    assert record.erased_at is not None
    assert not list((project / ".inseam" / "training_sets").rglob(f"{record.fingerprint}*"))
    again = workspace.build("lapse_rows")
    assert (again.fingerprint, again.erased_at) == (record.fingerprint, None)
    assert again.digest != record.digest
