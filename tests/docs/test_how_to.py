"""Every how-to guide, followed to the letter on the project that it starts from."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from page import DOCS, Reader

from inseam.run.workspace import open as open_workspace
from inseam.testing.postgres import postgres_server
from inseam.testing.redis import WHY_NOT, is_installed, redis_server
from inseam.testing.s3 import CREDENTIALS, s3_server

Follow = Callable[..., Reader]
FROM_NOTHING = (
    "load-dirty-data",
    "choose-an-environment",
    "streams",
    "save-a-model",
    "test-features",
    "share-features",
    "fresh-features",
    "aggregates",
    "join",
    "candidates",
    "forget",
)
ON_DATA = ("write-an-on-demand-feature", "find-features", "tune-a-model")
ON_A_MODEL = ("gates-and-promotion", "score-a-batch", "read-the-prediction-log", "audit")
WITH_TESTS_OF_THEIR_OWN = (
    "use-postgresql",
    "add-a-model-format",
    "change-a-feature",
    "serve-beyond-this-machine",
    "spark",
    "online-stores",
    "object-stores",
)


def test_every_guide_has_a_test() -> None:
    guides = {path.stem for path in (DOCS / "how-to").glob("*.md")}

    assert guides == {*FROM_NOTHING, *ON_DATA, *ON_A_MODEL, *WITH_TESTS_OF_THEIR_OWN}


@pytest.fixture(scope="module")
def data(commands: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tutorial's project with its data loaded."""
    root = tmp_path_factory.mktemp("data")
    with Reader(root, commands=commands) as reader:
        for command in ("inseam init shop", "cd shop", "inseam ingest --history"):
            reader._command(command)
    return root / "shop"


@pytest.fixture(scope="module")
def trained(data: Path, commands: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tutorial's project with a champion and online rows."""
    root = shutil.copytree(data, tmp_path_factory.mktemp("trained") / "shop")
    with Reader(root, commands=commands) as reader:
        for command in ("inseam apply", "inseam train lapse", "inseam materialize"):
            reader._command(command)
    return root


@pytest.fixture
def follow(commands: Path) -> Follow:
    """Follows a guide in a directory, with environment variables."""

    def follow(guide: str, cwd: Path, **variables: str) -> Reader:
        with Reader(cwd, variables, commands=commands) as reader:
            reader.follow(f"how-to/{guide}.md")
        assert reader.ran > 0
        return reader

    return follow


@pytest.mark.parametrize("guide", FROM_NOTHING)
def test_a_guide_that_starts_from_nothing(follow: Follow, guide: str, tmp_path: Path) -> None:
    follow(guide, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("guide", ON_DATA)
def test_a_guide_on_the_tutorials_data(follow: Follow, guide: str, data: Path, tmp_path: Path) -> None:
    follow(guide, shutil.copytree(data, tmp_path / "shop"))


@pytest.mark.slow
@pytest.mark.parametrize("guide", ON_A_MODEL)
def test_a_guide_on_the_tutorials_model(follow: Follow, guide: str, trained: Path, tmp_path: Path) -> None:
    follow(guide, shutil.copytree(trained, tmp_path / "shop"))


@pytest.mark.slow
def test_the_architecture_names_what_lies_under_home(trained: Path) -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"\| place \| what it holds .*?\n\n", text, flags=re.DOTALL)
    places = {path.name for path in (trained / ".inseam").iterdir() if not re.search(r"-(wal|shm)$", path.name)}

    assert {"ledger.db", "models"} <= places
    assert [place for place in places if f"`{place}`" not in table] == []


@pytest.fixture
def database() -> Iterator[str]:
    """A PostgreSQL with the table that the guide reads."""
    import sqlalchemy as sa

    with postgres_server() as url:
        engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.execute(
                sa.text(
                    "CREATE TABLE orders AS SELECT n AS order_id, n AS customer_id, 10.0::float8 * n AS amount, "
                    "timestamptz '2024-06-01' + n * interval '1 day' AS ordered_at FROM generate_series(1, 3) AS n"
                )
            )
        yield url


def test_postgresql(follow: Follow, database: str, tmp_path: Path) -> None:
    follow("use-postgresql", tmp_path, DATABASE_URL=database)

    assert not (tmp_path / ".inseam" / "ledger.db").exists()


@pytest.mark.slow
@pytest.mark.skipif(not is_installed(), reason=WHY_NOT)
def test_online_stores(follow: Follow, data: Path, tmp_path: Path) -> None:
    root = shutil.copytree(data, tmp_path / "shop")
    with redis_server() as server:
        follow("online-stores", root, REDIS_URL=server.url)
        names = {name.decode() for name in server.client().smembers("inseam:shop:fleet:tables")}

    assert {name.partition("@")[0] for name in names} == {"spend", "browsing"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_object_stores(follow: Follow, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = shutil.copytree(data, tmp_path / "shop")
    shutil.rmtree(root / ".inseam")
    with s3_server() as endpoint:
        follow("object-stores", root, AWS_ENDPOINT_URL=endpoint, **CREDENTIALS)

        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}.items():
            monkeypatch.setenv(name, value)
        with open_workspace(root, environment="lake") as workspace:
            kept = [*workspace.context.models.names(), *workspace.context.training_sets.names()]
    assert any(name.startswith("lapse/") for name in kept) and any(name.endswith(".parquet") for name in kept)
    home = {path.name for path in (root / ".inseam").iterdir()}
    assert not {"models", "training_sets", "tables"} & home
    assert not list((root / ".inseam" / "training_set_drafts").rglob("*.parquet"))


@pytest.mark.slow
def test_a_model_format(follow: Follow, tmp_path: Path) -> None:
    reader = follow("add-a-model-format", tmp_path)

    assert "failed" not in reader.printed


@pytest.mark.slow
def test_change_a_feature(follow: Follow, trained: Path, tmp_path: Path) -> None:
    root = shutil.copytree(trained, tmp_path / "shop")
    definitions = root / "shop" / "definitions.py"
    definitions.write_text(definitions.read_text().replace('sum("amount", over="30d")', 'sum("amount", over="60d")'))
    reader = follow("change-a-feature", root)

    assert "champion lapse@2" in reader.printed


@pytest.mark.slow
def test_serve_beyond_this_machine(follow: Follow, trained: Path, tmp_path: Path) -> None:
    follow("serve-beyond-this-machine", shutil.copytree(trained, tmp_path / "shop"))
