"""Models and training sets in an object store: whole or not there, whatever breaks off, and copies that stay small."""

from __future__ import annotations

import os
import pickle
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inseam.ir.training import PART
from inseam.kernel.errors import InseamError, NotFoundError, SettingError, UnavailableError, UnsafeArtifactError
from inseam.ports import artifacts as module
from inseam.ports import object_store
from inseam.ports.artifacts import Artifacts, SharedArtifacts
from inseam.ports.bundle import digest
from inseam.ports.training_rows import read_training_rows
from inseam.testing import azure
from inseam.testing.proxy import Proxy
from inseam.testing.s3 import BUCKET, CREDENTIALS, as_google, be_busy, s3_server

CONTENT = os.urandom(300_000)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def url(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture
def proxy(endpoint: str, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """On the way to the server, to which an impatient client speaks."""
    monkeypatch.setattr(object_store, "_REQUEST_SECONDS", 2)
    monkeypatch.setattr(object_store, "_RETRIES", 1)
    with Proxy(urlsplit(endpoint).port or 0) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        yield proxy


def made(artifacts: Artifacts, content: bytes = CONTENT) -> str:
    """A bundle, written and kept."""
    draft = artifacts.directory / "lapse" / "draft"
    (draft / "model").mkdir(parents=True)
    (draft / "manifest.json").write_bytes(b"{}")
    (draft / "model" / "weights").write_bytes(content)
    name = f"lapse/{digest(draft)}"
    draft.rename(artifacts.directory / name)
    artifacts.keep(name)
    return name


def is_whole(artifacts: Artifacts, name: str) -> bool:
    return digest(artifacts.here(name)) == name.partition("/")[2]


def check_shared(url: str, tmp_path: Path) -> None:
    """What any store must do: one machine keeps, others read, remove, and miss what is not there."""
    writer, reader = SharedArtifacts(tmp_path / "a", url), SharedArtifacts(tmp_path / "b", url)
    name = made(writer)
    (writer.directory / "set").write_bytes(b"rows")
    writer.keep("set")

    pq.write_table(pa.table({"n": [1, 2], PART: ["train", "test"]}), writer.directory / "rows.parquet")
    writer.keep("rows.parquet")

    assert list(reader.names()) == [f"{name}/manifest.json", f"{name}/model/weights", "rows.parquet", "set"]
    assert read_training_rows(reader.address("rows.parquet"), "test", ["n"]).columns["n"].tolist() == [2.0]
    assert is_whole(pickle.loads(pickle.dumps(reader)), name)
    assert reader.has("set") and reader.address("set") == f"{url}/set"
    reader.remove("set")
    reader.remove("set")
    assert not writer.has("set")
    with pytest.raises(NotFoundError, match="lapse/other"):
        reader.here("lapse/other")
    assert not list(reader.directory.rglob(".draft-*"))


def test_what_one_machine_keeps_in_s3_others_read(url: str, tmp_path: Path) -> None:
    check_shared(url, tmp_path)


def test_what_one_machine_keeps_at_google_others_read(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in as_google(endpoint).items():
        monkeypatch.setenv(name, value)
    check_shared(f"gs://{BUCKET}/{uuid.uuid4().hex}", tmp_path)


@pytest.mark.skipif(not azure.is_installed(), reason=azure.WHY_NOT)
def test_what_one_machine_keeps_in_azure_others_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with azure.azure_server() as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        check_shared(f"az://{azure.CONTAINER}/shop", tmp_path)


def test_a_directory_and_a_store_have_the_same_names(url: str, tmp_path: Path) -> None:
    local, shared = Artifacts(tmp_path / "a"), SharedArtifacts(tmp_path / "b", url)
    names = {artifacts: made(artifacts) for artifacts in (local, shared)}

    assert names[local] == names[shared] and list(local.names()) == list(shared.names())
    assert not local.leave(names[local]) and is_whole(local, names[local])


def test_many_who_keep_and_read_the_same_at_once_see_nothing_half_written(url: str, tmp_path: Path) -> None:
    name = made(SharedArtifacts(tmp_path / "first", url))
    machines = [SharedArtifacts(tmp_path / str(number), url) for number in range(3)]
    found: list[bool] = []

    def act(machine: SharedArtifacts) -> None:
        found.append(is_whole(machine, name))
        machine.keep(name)

    threads = [threading.Thread(target=act, args=(machine,)) for machine in (*machines, *machines)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 6
    assert not list(tmp_path.rglob(".draft-*"))


def test_an_answer_that_breaks_off_leaves_no_copy(proxy: Proxy, url: str, tmp_path: Path) -> None:
    name = made(SharedArtifacts(tmp_path / "a", url))
    reader = SharedArtifacts(tmp_path / "b", url)
    list(reader.names())
    proxy.cut_after = 100_000
    with pytest.raises(UnavailableError, match=f"{url}/{name}.*does not answer") as failed:
        reader.here(name)
    assert "try again" in str(failed.value)
    assert not [path for path in reader.directory.rglob("*") if path.is_file()]
    proxy.cut_after = None
    assert is_whole(reader, name)


def test_what_breaks_off_while_it_is_kept_is_not_there(proxy: Proxy, url: str, tmp_path: Path) -> None:
    writer, reader = SharedArtifacts(tmp_path / "a", url), SharedArtifacts(tmp_path / "b", url)
    proxy.is_stalled = True
    with pytest.raises(UnavailableError, match="does not answer"):
        made(writer)
    proxy.is_stalled = False
    (name,) = (f"lapse/{path.name}" for path in (writer.directory / "lapse").iterdir())
    writer.keep(name)
    assert is_whole(reader, name)


def test_a_store_that_is_busy_is_asked_again(endpoint: str, url: str, tmp_path: Path) -> None:
    be_busy(endpoint, 2)
    name = made(SharedArtifacts(tmp_path / "a", url))
    be_busy(endpoint, 2)
    assert is_whole(SharedArtifacts(tmp_path / "b", url), name)


def test_one_that_stays_busy_is_said(endpoint: str, proxy: Proxy, url: str, tmp_path: Path) -> None:
    be_busy(endpoint, 4)
    with pytest.raises(UnavailableError, match="SlowDown"):
        list(SharedArtifacts(tmp_path, url).names())
    be_busy(endpoint, 0)


def test_buckets_and_credentials_that_are_not_there_are_said(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotFoundError, match=r"s3://elsewhere/x/lapse/.*no such bucket"):
        made(SharedArtifacts(tmp_path / "a", "s3://elsewhere/x"))
    with s3_server(takes_anybody=False) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(SettingError, match="refuses the credentials") as failed:
            made(SharedArtifacts(tmp_path / "b", url))
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in str(failed.value)


def test_copies_that_nobody_asked_for_lately_go_first(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SharedArtifacts(tmp_path / "a", url)
    names = [made(writer, CONTENT + bytes([number])) for number in range(3)]
    reader = SharedArtifacts(tmp_path / "b", url, copies_bytes=700_000)
    monkeypatch.setattr(module, "_IN_USE_SECONDS", 0.0)
    for age, name in enumerate(names[:2]):
        os.utime(reader.here(name), (age, age))

    reader.here(names[0])
    reader.here(names[2])
    assert {path.name for path in (reader.directory / "lapse").iterdir()} == {
        name.partition("/")[2] for name in (names[0], names[2])
    }
    monkeypatch.setattr(module, "_IN_USE_SECONDS", 3600.0)
    replace(reader, copies_bytes=0).here(names[1])
    assert all((reader.directory / name).is_dir() for name in names), "they may be open"


def test_a_name_that_leads_out_of_the_copy_is_refused(url: str, tmp_path: Path) -> None:
    artifacts = SharedArtifacts(tmp_path, url)
    with pytest.raises(UnsafeArtifactError, match="plain files"):
        artifacts._within("lapse/d/../../x", "lapse/d")


def test_a_place_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(InseamError, match="no place"):
        SharedArtifacts(tmp_path, "s3://").has("x")
