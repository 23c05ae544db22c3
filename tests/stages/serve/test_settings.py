import pytest

from inseam.kernel.errors import SettingError
from inseam.stages.serve.settings import TOKENS, TOKENS_FILE, ServeSettings, check_host, read_tokens


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
    check_host(host, ServeSettings())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "models.example.org"])
def test_other_hosts_need_a_token_or_an_explicit_word(host):
    with pytest.raises(SettingError, match="no token"):
        check_host(host, ServeSettings())
    check_host(host, ServeSettings(tokens=("a-token-of-enough-length",)))
    check_host(host, ServeSettings(is_open_allowed=True))
