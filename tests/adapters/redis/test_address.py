"""Passwords, users, TLS, Unix sockets, and URLs that are wrong: nothing of a secret is ever shown."""

import subprocess
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from inseam.adapters.redis.store import RedisStore
from inseam.kernel.errors import InseamError, SettingError, UnavailableError
from inseam.testing.redis import RedisServer, free_port, redis_server

SECRET = "s3cret:/@ü"
QUOTED = "s3cret%3A%2F%40%C3%BC"


@pytest.fixture(scope="module")
def guarded() -> Iterator[RedisServer]:
    fleet = ("--user", "fleet", "on", f">{SECRET}", "~inseam:shop:*", "+@all", "-@admin", "-info")
    with redis_server("--requirepass", SECRET, *fleet) as server:
        yield server


def works(url: str) -> bool:
    store = RedisStore(url, namespace="shop:default")
    store.write("a", [(b"k", b"v")], b"m")
    found = (store.read(["a"], [[b"k"]]), store.mark("a"), store.count("a"), set(store.tables()))
    again = (store.read(["a"], [[b"k"]]), store.read(["a"], [[b"k"]]))  # the last is remembered
    store.drop("a")
    store.close()
    return found == ([[b"v"]], b"m", 1, {"a"}) and again == ([[b"v"]], [[b"v"]])


def refusal(url: str, namespace: str = "shop:default") -> str:
    """The whole story of a failure, as a log would have it."""
    with pytest.raises(InseamError) as caught:
        RedisStore(url, namespace=namespace).write("a", [(b"k", b"v")])
    assert isinstance(caught.value, SettingError | UnavailableError)
    return "".join(traceback.format_exception(caught.value))


def test_a_password_and_a_user_of_few_rights_are_enough(guarded: RedisServer):
    assert works(f"redis://:{QUOTED}@127.0.0.1:{guarded.port}/0")
    assert works(f"redis://fleet:{QUOTED}@127.0.0.1:{guarded.port}/0")


@pytest.mark.parametrize("user", ["", ":wr0ng@", "nobody:wr0ng@"])
def test_a_wrong_password_is_a_setting_and_not_shown(guarded: RedisServer, user: str):
    story = refusal(f"redis://{user}127.0.0.1:{guarded.port}/0")
    assert "it refuses us" in story
    assert "wr0ng" not in story


def test_a_user_without_rights_to_our_keys_is_told(guarded: RedisServer):
    story = refusal(f"redis://fleet:{QUOTED}@127.0.0.1:{guarded.port}/0", namespace="other:default")
    assert "NOPERM" in story
    assert SECRET not in story


def test_a_unix_socket(guarded: RedisServer):
    assert works(f"unix://:{QUOTED}@{guarded.socket}?db=1")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority of our own, and a server and a client that it vouches for."""
    home = tmp_path_factory.mktemp("certificates")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=home, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca")
    (home / "san").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    for name in ("server", "client"):
        openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=x"
        )
        signing = ("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial")
        openssl(*signing, "-out", f"{name}.crt", "-extfile", "san")
    return home


@pytest.fixture(scope="module")
def encrypted(certificates: Path) -> Iterator[int]:
    """The TLS port of a server that wants a client's certificate too."""
    port = free_port()
    files = {"--tls-cert-file": "server.crt", "--tls-key-file": "server.key", "--tls-ca-cert-file": "ca.crt"}
    words = [word for option, name in files.items() for word in (option, str(certificates / name))]
    with redis_server("--tls-port", str(port), *words, "--requirepass", SECRET):
        yield port


def test_tls_both_ways(encrypted: int, certificates: Path):
    client = f"ssl_certfile={certificates}/client.crt&ssl_keyfile={certificates}/client.key"
    assert works(f"rediss://:{QUOTED}@localhost:{encrypted}/0?ssl_ca_certs={certificates}/ca.crt&{client}")


def test_a_server_that_nobody_vouches_for_is_not_spoken_to(encrypted: int, certificates: Path):
    client = f"ssl_certfile={certificates}/client.crt&ssl_keyfile={certificates}/client.key"
    story = refusal(f"rediss://:{QUOTED}@localhost:{encrypted}/0?{client}")
    assert "certificate verify failed" in story
    assert SECRET not in story


@pytest.mark.parametrize(
    "url",
    [
        f"http://:{QUOTED}@localhost/0",
        f"redis://:{QUOTED}@localhost/0?no_such_option=1",
        f"redis://:{QUOTED}@localhost/0?timeout=soon",
        f"redis://:{QUOTED}@localhost/0?connections=0",
        f"redis://:{QUOTED}@localhost/0?cache=much",
        f"redis://:{QUOTED}@localhost:notaport/0",
        f"redis://:{QUOTED}@localhost/0?socket_timeout=never",
    ],
)
def test_a_url_that_names_no_redis_is_a_setting_and_not_shown(url: str):
    with pytest.raises(SettingError) as caught:
        RedisStore(url, namespace="n")
    story = "".join(traceback.format_exception(caught.value))
    assert "s3cret" not in story


def test_nobody_there(guarded: RedisServer):
    url = f"redis://:{QUOTED}@127.0.0.1:{free_port()}/0"
    story = refusal(url)
    assert "it cannot be used now" in story
    assert "s3cret" not in story
    assert "s3cret" not in repr(RedisStore(url, namespace="n"))
