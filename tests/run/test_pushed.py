"""Rows pushed over HTTP and from the command line, into a project on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from inseam.kernel.clock import SECOND, frozen_at, parse_instant
from inseam.run.serving import application
from inseam.run.workspace import open as open_workspace
from inseam.stages.serve.settings import ServeSettings
from inseam.surface.cli.main import app as command_line

DEFINITIONS = """
from inseam import Entity, FeatureView, Source, count
schema = {"at": "timestamp", "number": "int64", "amount": "float64"}
orders = Source("orders", timestamp="at", schema=schema, stream=True, checks=["amount >= 0"])
spend = FeatureView("spend", orders, Entity("customer", key="number"), every="1s", features={"n": count(over="1h")})
files = Source("files", "files.csv", timestamp="at", schema=schema)
"""
NOON = parse_instant("2040-01-01T12:00:00Z")
ROWS = "/sources/orders/rows"
LINES = {"content-type": "application/x-ndjson"}


def row(number: int, **more: object) -> dict[str, object]:
    return {"at": "2024-06-01T12:00:00Z", "number": number, "amount": 1.5} | more


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(DEFINITIONS)
    (tmp_path / "inseam.toml").write_text('[project]\nname = "shop"\n')
    return tmp_path


@pytest.fixture
def client(root: Path) -> Iterator[TestClient]:
    with TestClient(application(root, "default"), raise_server_exceptions=False) as client:
        yield client


def numbers(root: Path) -> list[int]:
    import pyarrow.parquet as pq

    with open_workspace(root) as workspace:
        workspace.ingest("orders")
        files = workspace.context.tables.snapshot("sources/orders").files
    tables = [pq.read_table(file, columns=["_seq", "number"]) for file in files]
    return [number for table in tables for number in table.sort_by("_seq")["number"].to_pylist()]


def test_an_acknowledged_row_is_kept_once(client: TestClient, root: Path) -> None:
    reply = client.post(ROWS, json=row(1, _id="a"))
    assert (reply.status_code, reply.json()) == (200, {"accepted": 1})
    assert client.post(ROWS, json=[row(1, _id="a"), row(2, _id="b")]).json() == {"accepted": 2}
    for _ in range(2):
        reply = client.post(ROWS, json=[row(3), row(4)], headers={"idempotency-key": "k"})
        assert reply.json() == {"accepted": 2}
    text = "\n\n".join(json.dumps(row(number, _id=f"line {number}")) for number in (5, 6))
    assert client.post(ROWS, content=text, headers=LINES).json() == {"accepted": 2}
    assert numbers(root) == [1, 2, 3, 4, 5, 6]


def test_many_at_once_share_transactions_and_lose_nothing(client: TestClient, root: Path) -> None:
    def push(number: int) -> int:
        # Each number is pushed twice.
        return client.post(ROWS, json=row(number // 2, _id=str(number // 2))).status_code

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(push, range(200))) == {200}
    assert sorted(numbers(root)) == list(range(100))


@pytest.mark.parametrize(
    ("path", "rows", "status", "told"),
    [
        (
            ROWS,
            [row(1, _id="a"), row(2, _id="b", amount="x")],
            422,
            "row 1, amount: Expected `float | null`, got `str`",
        ),
        (
            ROWS,
            row(1, _id="a", amount=-1),
            422,
            "row 0: check amount >= 0: amount >= 0 does not hold for amount = -1.0",
        ),
        (ROWS, row(1), 422, "row 0: it has no id"),
        ("/sources/files/rows", row(1, _id="a"), 409, "rows are not pushed to it"),
        ("/sources/ordres/rows", row(1, _id="a"), 404, ""),
    ],
)
def test_a_push_that_is_refused_says_why_and_keeps_nothing(
    client: TestClient, root: Path, path: str, rows: object, status: int, told: str
) -> None:
    reply = client.post(path, json=rows)
    assert reply.status_code == status
    assert reply.json()["problems"][0]["found"].startswith(told)
    client.post(ROWS, json=row(9, _id="z"))
    assert numbers(root) == [9]


def test_bodies_are_bounded_and_say_what_they_are(root: Path) -> None:
    settings = ServeSettings(max_body_bytes=200, tokens=("a-long-enough-token",))
    bearer = {"authorization": "Bearer a-long-enough-token"}
    with TestClient(application(root, "default", settings)) as client:
        assert client.post(ROWS, json=row(1, _id="a")).status_code == 401
        assert client.post(ROWS, json=row(1, _id="a"), headers=bearer).status_code == 200
        assert client.post(ROWS, json=[row(1, _id="a")] * 9, headers=bearer).status_code == 413
        assert client.post(ROWS, content=b"a=1", headers=bearer).status_code == 415
        assert client.get(ROWS, headers=bearer).status_code == 405
        long = bearer | {"idempotency-key": "k" * 201}
        assert client.post(ROWS, json=row(1), headers=long).status_code == 422


def test_how_far_tables_are_behind_is_measured_and_the_route_is_documented(client: TestClient, root: Path) -> None:
    client.post(ROWS, json=[row(1, _id="a"), row(2, _id="b")])
    text = client.get("/metrics").text
    assert 'inseam_pushed_rows_total{source="orders"} 2.0' in text
    assert 'inseam_stream_behind_rows{source="orders"} 2.0' in text
    assert "inseam_view_boundary_timestamp_seconds{" not in text
    assert numbers(root) == [1, 2]
    with open_workspace(root) as workspace, frozen_at(NOON):
        workspace.freshen("spend", is_once=True)
        assert workspace.status().views[0].age_seconds == 0.0
    text = client.get("/metrics").text
    assert 'inseam_stream_behind_rows{source="orders"} 0.0' in text
    assert f'inseam_view_boundary_timestamp_seconds{{view="spend"}} {NOON / SECOND:.6e}' in text
    assert "409" in client.get("/openapi.json").json()["paths"]["/sources/{name}/rows"]["post"]["responses"]


def test_a_file_is_pushed_from_the_command_line_once(root: Path) -> None:
    (root / "rows.csv").write_text("at,number,amount\n2024-06-01T12:00:00Z,1,\n2024-06-01T12:00:00Z,2,2.5\n")
    (root / "rows.jsonl").write_text('{"at": "2024-06-01T12:00:00Z", "number": 3}\n')

    def push(*arguments: str, text: str = "") -> str:
        result = CliRunner().invoke(command_line, ["push", "orders", *arguments, "--project", str(root)], input=text)
        return f"{result.exit_code} {result.output}"

    for _ in range(2):
        assert push(str(root / "rows.csv"), "--json").startswith("0 ")
        assert push(str(root / "rows.jsonl")).startswith("0 ")
    assert push(text='{"at": "2024-06-01T12:00:00Z", "number": 4, "_id": "x"}\n').startswith("0 ")
    assert push("--csv", "--key", "k", text="at,number\n2024-06-01T12:00:00Z,5\n").startswith("0 ")
    assert "row 0: it has no id" in push(text='{"at": "2024-06-01T12:00:00Z", "number": 6}\n')
    assert numbers(root) == [1, 2, 3, 4, 5]
