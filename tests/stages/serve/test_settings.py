import pytest

from inseam.kernel.errors import SettingError
from inseam.stages.serve.settings import (
    CHOICES,
    TOKENS,
    TOKENS_FILE,
    Durability,
    ServeSettings,
    changed,
    check_host,
    from_variables,
    read_tokens,
)


def test_tokens_come_from_the_environment_and_a_file(tmp_path):
    file = tmp_path / "tokens"
    file.write_text("third-token-of-enough\n\nfirst-token-of-enough\n")
    found = read_tokens({TOKENS: "first-token-of-enough, second-token-of-enough", TOKENS_FILE: str(file)})
    assert found == ("first-token-of-enough", "second-token-of-enough", "third-token-of-enough")
    assert read_tokens({}) == ()


def test_short_tokens_and_unreadable_files_are_refused(tmp_path):
    with pytest.raises(SettingError, match="too short"):
        read_tokens({TOKENS: "secret"})
    with pytest.raises(SettingError, match="cannot be read"):
        read_tokens({TOKENS_FILE: str(tmp_path / "none")})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.3.2.1"])
def test_loopback_needs_no_token(host):
    check_host(ServeSettings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "models.example.org"])
def test_other_hosts_need_a_token_or_an_explicit_word(host):
    with pytest.raises(SettingError, match="no token"):
        check_host(ServeSettings(host=host))
    check_host(ServeSettings(host=host, tokens=("a-token-of-enough-length",)))
    check_host(ServeSettings(host=host, is_open_allowed=True))


def test_settings_come_as_toml_gives_them_and_as_text():
    plain = {"max_in_flight": 64, "client_timeout_seconds": 3, "durability": "disk", "is_access_logged": False}
    text = {"max_in_flight": "64", "client_timeout_seconds": "3", "durability": "disk", "is_access_logged": "FALSE"}
    expected = ServeSettings(
        max_in_flight=64, client_timeout_seconds=3.0, durability=Durability.DISK, is_access_logged=False
    )
    assert changed(ServeSettings(), plain, "") == changed(ServeSettings(), text, "") == expected


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("max_inflight", 3, "did you mean 'max_in_flight'"),
        ("max_in_flight", 0, "1 or more"),
        ("max_in_flight", 2.5, "a whole number"),
        ("max_in_flight", True, "a whole number"),
        ("max_in_flight", "many", "a whole number"),
        ("client_timeout_seconds", 0, "more than 0"),
        ("client_timeout_seconds", "nan", "more than 0"),
        ("client_timeout_seconds", float("inf"), "more than 0"),
        ("port", 65_536, "0 to 65535"),
        ("durability", "ssd", "process or disk"),
        ("durability", 1, "process or disk"),
        ("is_access_logged", 1, "false or true"),
        ("host", 1, "text in quotes"),
        ("host", "", "text in quotes"),
        ("tokens", ["a-long-enough-token"], "set INSEAM_SERVE_TOKENS"),
        ("is_open_allowed", True, "there is no setting"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(name, value, told):
    with pytest.raises(SettingError, match=told):
        changed(ServeSettings(), {name: value}, "here")


def test_every_setting_but_secrets_has_a_variable():
    variables = {f"INSEAM_SERVE_{name.upper()}": "1" for name in CHOICES} | {TOKENS: "t", "INSEAM_SERVE_X": "1"}
    assert set(from_variables(variables)) == set(CHOICES)
