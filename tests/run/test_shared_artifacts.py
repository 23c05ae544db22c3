"""Two machines that share a ledger, tables and artifacts: what one trains the other asks, and erases for both."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inseam.ir.records import ModelVersionRecord
from inseam.kernel.clock import parse_instant
from inseam.kernel.errors import DataError, UnsafeArtifactError
from inseam.ports.object_store import ObjectUrl
from inseam.ports.training_rows import read_training_rows, training_schema
from inseam.run import learning
from inseam.run.settings import read_settings
from inseam.run.workspace import Workspace
from inseam.testing.s3 import BUCKET, CREDENTIALS, s3_server

URL = f"s3://{BUCKET}/shop"
YEAR_END = parse_instant("2024-12-31")


@pytest.fixture
def machines(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Workspace, Workspace]]:
    shared = {
        "INSEAM_LEDGER": f"sqlite:///{tmp_path / 'ledger.db'}",
        "INSEAM_TABLES_URL": f"{URL}/tables",
        "INSEAM_ARTIFACTS_URL": URL,
    }
    monkeypatch.setattr(learning, "_track", lambda *_: ())  # MLflow takes longer than all the rest
    with s3_server() as endpoint:
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}.items():
            monkeypatch.setenv(name, value)
        settings = [read_settings(project, variables={**shared, "INSEAM_HOME": name}) for name in ("one", "other")]
        with Workspace(settings[0]) as one, Workspace(settings[1]) as other:
            yield one, other


@pytest.mark.slow
def test_what_one_machine_makes_the_others_read_and_erase(
    machines: tuple[Workspace, Workspace], tmp_path: Path
) -> None:
    one, other = machines
    one.ingest(is_history=True)
    trained = one.train("lapse")
    version, built = trained.version, trained.training_set
    assert built.path == f"{URL}/training_sets/will_lapse/{built.fingerprint}.parquet"
    assert not list((one.settings.directory).rglob("*.parquet")), "no copy of a training set stays"

    assert other.build("will_lapse") == built, "it is there"
    scores = [machine.score("lapse", out=tmp_path / machine.settings.home, as_of=YEAR_END).rows for machine in machines]
    assert scores[0] == scores[1] > 0
    copy = other.settings.directory / "model_copies" / version.path
    _damage(copy / "manifest.json")
    assert other.score("lapse", out=tmp_path / "again", as_of=YEAR_END).rows == scores[0], "it was fetched anew"
    _break_store(other, version, copy)

    erasure = other.forget("customer", "7")
    assert erasure.erased[f"training_sets/will_lapse/{built.fingerprint}.parquet"] > 0
    again = one.build("will_lapse")
    assert again.fingerprint == built.fingerprint
    assert again.rows < built.rows
    _damage_object("training_sets", again.path)
    with pytest.raises(DataError, match=r"will_lapse.*cannot be read"):
        read_training_rows(again.path, "train", training_schema(again.path).names)


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _damage_object(kind: str, address: str) -> None:
    store: Any = ObjectUrl(f"{URL}/{kind}").store()
    name = address.removeprefix(f"{URL}/{kind}/")
    content = bytearray(bytes(store.get(name).bytes()))
    content[1_000] ^= 1
    store.put(name, bytes(content))


def _break_store(machine: Workspace, version: ModelVersionRecord, copy: Path) -> None:
    """A machine that has a whole copy goes on while the store's is damaged; one that has none says so."""
    _damage_object("models", f"{URL}/models/{version.path}/model.ubj")
    assert machine.score("lapse", out=copy.parents[3] / "still", as_of=YEAR_END).rows > 0
    shutil.rmtree(copy)
    with pytest.raises(UnsafeArtifactError, match="digest"):
        machine.score("lapse", out=copy.parents[3] / "no", as_of=YEAR_END)
