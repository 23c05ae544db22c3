"""A project whose online rows are on Redis or PostgreSQL: the same values as in LMDB, resumed after a kill, shared."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from inseam.kernel.errors import SettingError, UnavailableError
from inseam.run.context import Context
from inseam.run.settings import read_settings
from inseam.run.workspace import Workspace
from inseam.run.workspace import open as open_workspace
from inseam.testing.postgres import postgres_server
from inseam.testing.redis import WHY_NOT, free_port, is_installed, redis_server

ENTITIES = [{"customer_id": number} for number in range(320)]


@pytest.fixture(scope="module", params=["redis", "postgres"])
def variables(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """What the environment says of a started server."""
    if request.param == "redis" and not is_installed():
        pytest.skip(WHY_NOT)
    with redis_server() if request.param == "redis" else postgres_server() as server:
        url = server if isinstance(server, str) else server.url
        url += f"{'&' if '?' in url else '?'}timeout=10s"
        yield {"INSEAM_ONLINE": request.param, "INSEAM_ONLINE_URL": url}


@pytest.fixture
def copied(served_project: Path, tmp_path: Path) -> Path:
    root = tmp_path / "copied"
    shutil.copytree(served_project, root)
    return root


def on_server(root: Path, variables: dict[str, str]) -> Workspace:
    return Workspace(read_settings(root, variables=variables))


def test_values_are_those_of_lmdb(copied: Path, variables: dict[str, str]) -> None:
    with open_workspace(copied) as workspace:
        record = workspace.status().views[0]
        expected = workspace.fetch(["spend"], ENTITIES)
    shutil.rmtree(copied / ".inseam" / "online")
    with on_server(copied, variables) as workspace:
        assert workspace.materialize("spend")["spend"].rows == record.rows
        found = workspace.fetch(["spend"], ENTITIES)
        assert found.values == expected.values
        assert found.boundaries["spend"].tolist() == expected.boundaries["spend"].tolist()
        assert found.is_missing["spend"].tolist() == expected.is_missing["spend"].tolist()
        again = workspace.materialize("spend")["spend"]
        assert (again.rows, again.status) == (record.rows, "committed")
    assert not (copied / ".inseam" / "online").exists()


KILLED = """
import sys
from pathlib import Path
from inseam.run.settings import read_settings
from inseam.run.workspace import Workspace
from inseam.stages.features import materialize
workspace = Workspace(read_settings(Path(sys.argv[1])))
store = type(workspace.context.online)
write = store.write
def slow(self, table, rows, mark=None, **over):
    write(self, table, rows, mark, **over)
    if rows:
        print("wrote", len(rows), file=sys.stderr, flush=True)
        sys.stdin.readline()
store.write = slow
materialize.materialize.__kwdefaults__["batch_rows"] = 50
workspace.materialize("spend")
"""


def test_a_killed_materialization_goes_on_after_its_last_batch(copied: Path, variables: dict[str, str]) -> None:
    with open_workspace(copied) as workspace:
        expected = workspace.fetch(["spend"], ENTITIES)
        whole = workspace.status().views[0].rows
    with on_server(copied, variables) as workspace:
        workspace.context.online.drop(_table(copied))
    command = [sys.executable, "-c", KILLED, str(copied)]
    environment = {**os.environ, **variables}
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    assert process.stdin is not None
    for _ in range(2):
        assert b"wrote 50\n" in process.stderr
        process.stdin.write(b"\n")
        process.stdin.flush()
    process.send_signal(signal.SIGKILL)
    process.wait()
    _await_lease(copied)
    written: list[int] = []
    with on_server(copied, variables) as workspace:
        count = workspace.context.online.count(_table(copied))
        assert 100 <= count <= 150
        record = workspace.materialize("spend", progress=lambda _, rows: written.append(rows))["spend"]
        assert record.rows == whole
        assert written[0] >= 100, "what was durable is not written again"
        assert workspace.fetch(["spend"], ENTITIES).values == expected.values


def _table(root: Path) -> str:
    with open_workspace(root) as workspace:
        _, fingerprint = workspace.context.view("spend", workspace.context.checked())
    return f"spend@{fingerprint}"


def _await_lease(root: Path) -> None:
    """Until the ledger knows that the holder is dead."""
    deadline = time.monotonic() + 60
    with open_workspace(root) as workspace:
        while time.monotonic() < deadline:
            try:
                with workspace.context.ledger.lease("materialize:spend"):
                    return
            except Exception:  # noqa: BLE001 - held still
                time.sleep(0.1)


def test_two_projects_share_a_server(copied: Path, variables: dict[str, str]) -> None:
    text = (copied / "inseam.toml").read_text()
    with on_server(copied, variables) as workspace:
        workspace.materialize("spend")
    (copied / "inseam.toml").write_text(text + '\n[environments.staging]\nhome = ".inseam"\n')
    staging = Context(read_settings(copied, "staging", variables))
    assert dict(staging.online.tables()) == {}
    staging.close()


@pytest.mark.parametrize(("online", "scheme"), [("redis", "redis"), ("postgres", "postgresql")])
def test_a_server_without_an_address_or_that_is_away_is_told(copied: Path, online: str, scheme: str) -> None:
    with pytest.raises(SettingError, match="online_url"):
        Context(read_settings(copied, variables={"INSEAM_ONLINE": online})).online  # noqa: B018
    environment = {**os.environ, "INSEAM_ONLINE": online}
    environment["INSEAM_ONLINE_URL"] = f"{scheme}://user:hush@127.0.0.1:{free_port()}/0"
    command = [sys.executable, "-m", "inseam", "materialize", "spend"]
    done = subprocess.run(command, cwd=copied, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == UnavailableError.exit_code
    assert "it cannot be used now" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "hush" not in done.stdout + done.stderr
