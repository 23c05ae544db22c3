from __future__ import annotations

from pathlib import Path

import pytest

from inseam.kernel.errors import NotFoundError, SettingError
from inseam.run.settings import find_root, read_settings
from inseam.stages.serve.settings import Durability, ServeSettings


def write(root: Path, text: str) -> Path:
    (root / "inseam.toml").write_text(text)
    return root


def test_everything_lives_under_one_directory_by_default(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, '[project]\nname = "shop"\n'), variables={})

    assert settings.directory == (tmp_path / ".inseam").resolve()
    assert settings.ledger_url == f"sqlite:///{settings.directory / 'ledger.db'}"
    assert settings.definitions == "shop"


def test_environment_variables_override_the_file(tmp_path: Path) -> None:
    root = write(tmp_path, '[project]\nname = "shop"\n[environments.prod]\nmemory = "8GB"\nhome = "there"\n')

    settings = read_settings(
        root, variables={"INSEAM_ENVIRONMENT": "prod", "INSEAM_MEMORY": "1GB", "INSEAM_THREADS": "3"}
    )

    assert (settings.environment, settings.home, settings.memory, settings.threads) == ("prod", "there", "1GB", 3)


@pytest.mark.parametrize(
    ("text", "environment", "told"),
    [
        ('[project]\nname = "Shop!"\n', None, "project.name"),
        ('[project]\nname = "shop"\n', "prd", "does not name it"),
        ('[project]\nname = "shop"\n[environments.default]\nmemry = "1GB"\n', None, "memory"),
        ('[project]\nname = "shop"\n[environments.default]\nmemory = 1\n', None, "text in quotes"),
        ('[project]\nname = "shop"\n[environments.default]\nthreads = "many"\n', None, "whole number"),
        ('[project]\nname = "shop"\n[environments.default]\nthreads = -3\n', None, "whole number"),
        ("[project\n", None, "not valid TOML"),
        ('[projct]\nname = "shop"\n', None, "did you mean 'project'"),
        ('[project]\nname = "shop"\ndefinition = "shop"\n', None, "did you mean 'definitions'"),
        ('[project]\nname = "shop"\ndefinitions = 5\n', None, "a package's name"),
        ("project = 3\n", None, "a table"),
        ('environments = 3\n[project]\nname = "shop"\n', None, "a table"),
        ('[project]\nname = "shop"\n[environments]\ndefault = 3\n', None, "a table"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, environment: str | None, told: str) -> None:
    with pytest.raises(SettingError, match=told):
        read_settings(write(tmp_path, text), environment, variables={})


def test_an_environment_says_how_its_server_is_bounded_and_variables_override(tmp_path: Path) -> None:
    text = '[project]\nname = "shop"\n[environments.prod.serve]\nmax_in_flight = 64\ndurability = "disk"\nport = 80\n'
    root = write(tmp_path, text)

    bare = read_settings(root, variables={})
    prod = read_settings(root, "prod", {"INSEAM_SERVE_MAX_IN_FLIGHT": "8"})

    assert bare.serve == ServeSettings()
    assert prod.serve == ServeSettings(max_in_flight=8, durability=Durability.DISK, port=80)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("serve = 3", "a table"),
        ("[environments.default.serve]\nmax_inflight = 3", r"default\.serve.*\n?.*did you mean 'max_in_flight'"),
        ('[environments.default.serve]\ntokens = ["secret"]', "secrets"),
        ("[environments.default.serv]\nport = 3", "did you mean 'serve'"),
    ],
)
def test_a_wrong_setting_of_a_server_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingError, match=f"(?s){told}"):
        read_settings(write(tmp_path, f'[project]\nname = "shop"\n[environments.default]\n{text}\n'), variables={})


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "inseam.toml").write_bytes(b"\xff\xfe")

    with pytest.raises(SettingError, match="not valid TOML"):
        read_settings(tmp_path, variables={})


def test_the_root_is_the_nearest_directory_above(tmp_path: Path) -> None:
    root = write(tmp_path, '[project]\nname = "shop"\n')
    deep = root / "a" / "b"
    deep.mkdir(parents=True)

    assert find_root(deep) == root.resolve()
    with pytest.raises(NotFoundError, match=r"inseam\.toml"):
        find_root(tmp_path.parent.parent)


def test_all_unknown_settings_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "inseam.toml").write_text('[environments.default]\nmemry = "1GB"\nhom = "x"\n')
    with pytest.raises(SettingError) as caught:
        read_settings(tmp_path, variables={})
    assert [problem.mend for problem in caught.value.problems] == ["did you mean 'memory'?", "did you mean 'home'?"]


class TestOnlineUrl:
    URL = "redis://cache.internal:6379/2?ttl=30d"

    def read(self, root: Path, url: str = URL, online: str = "redis", **variables: str) -> str:
        text = f'[project]\nname = "shop"\n[environments.default]\nonline = "{online}"\nonline_url = "{url}"\n'
        return read_settings(write(root, text), variables=variables).online_url

    def test_the_file_may_say_where_and_the_environment_overrides_it(self, tmp_path: Path) -> None:
        assert self.read(tmp_path) == self.URL
        assert self.read(tmp_path, INSEAM_ONLINE_URL="redis://:pw@b/0") == "redis://:pw@b/0"

    @pytest.mark.parametrize("url", ["redis://:hush@b/0", "redis://u:hush@b/0", "redis://b/0?password=hush"])
    def test_the_file_may_hold_no_password(self, tmp_path: Path, url: str) -> None:
        with pytest.raises(SettingError, match="holds a password") as caught:
            self.read(tmp_path, url, INSEAM_ONLINE_URL="redis://b/0")
        assert "hush" not in str(caught.value)

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("redis://b:1/0?ttl=1d", "redis://:p%2Fw%40%C3%BC@b:1/0?ttl=1d"),
            ("rediss://fleet@b/0", "rediss://fleet:p%2Fw%40%C3%BC@b/0"),
            ("unix:///run/redis.sock?db=1", "unix://:p%2Fw%40%C3%BC@/run/redis.sock?db=1"),
        ],
    )
    def test_the_password_may_come_from_a_file_of_its_own(self, tmp_path: Path, url: str, expected: str) -> None:
        secret = tmp_path / "password"
        secret.write_text("p/w@ü\n")
        assert self.read(tmp_path, url, INSEAM_ONLINE_PASSWORD_FILE=str(secret)) == expected

    def test_two_passwords_or_a_file_that_is_not_there_are_told(self, tmp_path: Path) -> None:
        missing = str(tmp_path / "nothing")
        with pytest.raises(SettingError, match="a password too"):
            self.read(tmp_path, INSEAM_ONLINE_URL="redis://:pw@b/0", INSEAM_ONLINE_PASSWORD_FILE=missing)
        with pytest.raises(SettingError, match="cannot be read"):
            self.read(tmp_path, INSEAM_ONLINE_PASSWORD_FILE=missing)

    def test_a_url_for_a_directory_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(SettingError, match="online is lmdb"):
            self.read(tmp_path, online="lmdb")

    def test_settings_that_are_shown_hide_it(self, tmp_path: Path) -> None:
        root = write(tmp_path, '[project]\nname = "shop"\n[environments.default]\nonline = "redis"\n')
        assert "hush" not in repr(read_settings(root, variables={"INSEAM_ONLINE_URL": "redis://:hush@b/0"}))


def test_an_address_belongs_to_an_engine_that_has_one(tmp_path: Path) -> None:
    text = '[project]\nname = "shop"\n[environments.default]\nengine_url = "spark://host:7077"\n'
    with pytest.raises(SettingError, match='engine = "spark"'):
        read_settings(write(tmp_path, text), variables={})
    assert read_settings(tmp_path, variables={"INSEAM_ENGINE": "spark"}).engine_url == "spark://host:7077"
