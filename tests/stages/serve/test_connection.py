"""Clients that hold a connection, send what is no request, or are too many. Raw sockets against a server process."""

import json
import socket
import time

import pytest
from real_server import PREDICT, prepare, running

PATIENCE = 1.5
BOUND = 12
ROW = json.dumps({"customer_id": "c1", "basket_value": 1.0}).encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("serve")
    prepare(directory)
    told = {"client_timeout_seconds": PATIENCE, "max_connections": BOUND, "max_head_bytes": 4096}
    with running(directory, **told, keep_alive_seconds=60) as started:
        started.await_ready()
        yield started


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def until_closed(client) -> bytes:
    """All that the server says until it closes."""
    said = b""
    try:
        while part := client.recv(65536):
            said += part
    except ConnectionResetError:
        pass
    return said


def answered(client) -> bytes:
    """One answer to a prediction: its head and its body may come apart."""
    said = b""
    while not said.endswith(b"]}") and (part := client.recv(65536)):
        said += part
    return said


def head(*lines: bytes, length: int = len(ROW), path: bytes = PREDICT.encode()) -> bytes:
    first = [b"POST %b HTTP/1.1" % path, b"host: a", b"content-type: application/json", b"content-length: %d" % length]
    return b"\r\n".join([*first, *lines, b"", b""])


def drip(client, data: bytes, seconds: float = 20.0) -> bytes:
    """Send a byte of ``data`` now and then, for ever, until the server has had enough."""
    client.settimeout(0.1)
    deadline = time.monotonic() + seconds
    said, place = b"", 0
    while time.monotonic() < deadline:
        try:
            client.sendall(data[place % len(data) : place % len(data) + 1])
            place += 1
            part = client.recv(65536)
            if not part:
                return said
            said += part
        except TimeoutError:
            continue
        except OSError:
            return said
    raise AssertionError("the server waits for ever")


def test_a_connection_that_says_nothing_is_closed(server):
    with connect(server) as client:
        assert until_closed(client).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("part", [b"POST /endpoints", b"POST / HTTP/1.1\r\nhost: a\r\nx-y: "])
def test_a_head_that_is_never_whole_is_given_up(server, part):
    with connect(server) as client:
        client.sendall(part)
        assert until_closed(client).startswith(b"HTTP/1.1 408")


def test_a_head_that_comes_drop_by_drop_is_given_up(server):
    with connect(server) as client:
        client.sendall(b"POST / HTTP/1.1\r\nhost: a\r\nx-y: ")
        assert b"HTTP/1.1 408" in drip(client, b"a")


def test_a_body_that_comes_drop_by_drop_is_given_up(server):
    with connect(server) as client:
        client.sendall(head(length=5000))
        said = drip(client, b" ")
    assert said.startswith(b"HTTP/1.1 408") and b"slow-body" in said


def test_a_refused_body_does_not_hold_the_connection_either(server):
    with connect(server) as client:
        client.sendall(head(path=b"/nowhere", length=5000))
        assert drip(client, b" ").startswith(b"HTTP/1.1 404")


def test_empty_lines_do_not_keep_a_connection_alive(server):
    with connect(server) as client:
        client.sendall(head() + ROW)
        assert drip(client, b"\r\n").startswith(b"HTTP/1.1 200")


def test_an_answer_that_is_not_taken_is_given_up(server):
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect(("127.0.0.1", server.port))
        # More than the kernel's own buffers hold.
        client.sendall(b"GET /swagger/swagger-ui-bundle.js HTTP/1.1\r\nhost: a\r\n\r\n" * 20)
        time.sleep(PATIENCE * 3)
        assert len(until_closed(client)) < 20 * 1_600_000
    assert b'inseam_shed_total{reason="slow-client"}' in server.get("/metrics")[1]


def test_a_slow_client_within_its_time_is_answered(server):
    with connect(server) as client:
        request = head(b"connection: close") + ROW
        for place in range(0, len(request), 64):
            client.sendall(request[place : place + 64])
            time.sleep(PATIENCE / 20)
        assert until_closed(client).startswith(b"HTTP/1.1 200")


def test_a_connection_may_bring_many_requests_over_a_time_longer_than_one_may_take(server):
    with connect(server) as client:
        for _ in range(6):
            client.sendall(head() + ROW)
            assert answered(client).startswith(b"HTTP/1.1 200")
            time.sleep(PATIENCE / 3)


def test_a_head_without_end_is_refused(server):
    with connect(server) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nx: " + b"a" * 6000)
        assert until_closed(client).startswith(b"HTTP/1.1 431")


def test_a_large_body_is_no_large_head(server):
    many = json.dumps({"rows": [json.loads(ROW)] * 100}).encode() + b" " * 8000
    with connect(server) as client:
        client.sendall((head(length=len(many)) + many) * 2 + head(b"connection: close", length=len(many)) + many)
        assert until_closed(client).count(b"HTTP/1.1 200") == 3


def test_connections_are_bounded_and_room_comes_back(server):
    clients = [connect(server) for _ in range(BOUND)]
    try:
        for client in clients:
            client.sendall(head() + ROW)
            assert answered(client).startswith(b"HTTP/1.1 200")
        with connect(server) as one_more:
            assert until_closed(one_more).startswith(b"HTTP/1.1 503")
    finally:
        for client in clients:
            client.close()
    deadline = time.monotonic() + 20
    while server.get("/health")[0] != 200:
        assert time.monotonic() < deadline


SMUGGLED = b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        head(b"transfer-encoding: chunked") + b"0\r\n\r\n" + SMUGGLED,
        head(b"content-length: 3") + ROW + SMUGGLED,
        head(b"transfer-encoding: xchunked") + ROW,
        head(b"transfer-encoding : chunked") + b"0\r\n\r\n" + SMUGGLED,
        b"POST /outcomes HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\nabc",
        b"POST /outcomes HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n folded\r\n\r\nabc",
        b"POST /outcomes HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc",
        b"GET /health HTTP/1.1\nhost: a\nx: y\n\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"GET /h\xffalth HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
    ],
)
def test_what_two_servers_could_read_differently_is_refused_and_ends_the_connection(server, request_):
    with connect(server) as client:
        client.sendall(request_)
        said = until_closed(client)
    assert said.count(b"HTTP/1.1 ") == 1 and said.startswith(b"HTTP/1.1 400"), said
    assert json.loads(said.partition(b"\r\n\r\n")[2])["problems"]


@pytest.mark.parametrize("target", [b"*", b"http://elsewhere/health", b"//health", b"/%00", b"/%ff%fe", b"/../../etc"])
def test_odd_targets_are_answered(server, target):
    with connect(server) as client:
        client.sendall(b"OPTIONS %b HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n" % target)
        status = int(until_closed(client).split(b" ")[1])
    assert status in (400, 404, 405)


def test_pipelined_requests_are_answered_in_order(server):
    with connect(server) as client:
        client.sendall(SMUGGLED + head() + ROW + head(b"connection: close", path=b"/nowhere") + ROW)
        said = until_closed(client)
    assert [part[:3] for part in said.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"404"]


def test_a_request_to_switch_protocols_is_no_way_around(server):
    with connect(server) as client:
        client.sendall(head(b"connection: upgrade", b"upgrade: h2c") + ROW)
        drip(client, b"a")
    assert server.get("/health")[0] == 200
