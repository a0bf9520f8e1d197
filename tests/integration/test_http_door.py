"""Strangers at the RPC port: garbage, lorises, idlers, huge and broken bodies; commits go on."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.network import AGENCIES, Net, document, network, rpc_bytes

pytestmark = pytest.mark.process
CONNECTIONS_MAX = 40
BODY_MAX = 100_000


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    """Four validators with few connections and small bodies."""
    environment = {
        "MUNIMENT_RPC__CONNECTIONS_MAX": str(CONNECTIONS_MAX),
        "MUNIMENT_RPC__BODY_BYTES_MAX": str(BODY_MAX),
        "MUNIMENT_RPC__BATCH_MAX": "10",
    }
    with network(tmp_path_factory.mktemp("http"), environment=environment) as running:
        yield running


def commits(net: Net) -> None:
    """A client gets its transaction committed through node 0, promptly."""
    started = time.monotonic()
    assert net.commit(net.sign(AGENCIES[0], document(1)))["status"] == "committed"
    assert time.monotonic() - started < 10


def sockets_of(net: Net, index: int) -> int:
    """Open sockets of a node's process."""
    links = Path(f"/proc/{net.pid(index)}/fd").iterdir()
    count = 0
    for link in links:
        with contextlib.suppress(OSError):
            count += link.readlink().name.startswith("socket:")
    return count


@contextlib.contextmanager
def crowd(port: int, count: int, first: bytes) -> Iterator[list[socket.socket]]:
    """Many connections that say the same and then stay."""
    with contextlib.ExitStack() as stack:
        sockets = []
        for _ in range(count):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            with contextlib.suppress(OSError):
                one.sendall(first)
            sockets.append(one)
        yield sockets


HEAD = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "first",
    [b"", b"POST / HT", HEAD, HEAD + b"Content-Length: 5000\r\n\r\n{", b"\x16\x03\x01\x00\xa5\x01"],
    ids=["idle", "half a line", "half a head", "half a body", "TLS"],
)
def test_a_crowd_that_stays_is_bounded_and_clients_are_served(net: Net, first: bytes) -> None:
    before = sockets_of(net, 0)
    with crowd(net.port(0), 300, first) as sockets:
        commits(net)
        assert sockets_of(net, 0) <= before + CONNECTIONS_MAX + 2
        # Lorises go on trickling; it buys them nothing.
        for one in sockets:
            with contextlib.suppress(OSError):
                one.sendall(b"X")
        commits(net)


def test_waits_of_clients_that_hung_up_hold_nothing(net: Net) -> None:
    waits = [
        {"jsonrpc": "2.0", "id": n, "method": "tx_wait", "params": ["0" * 64, 60_000]}
        for n in range(10)
    ]
    body = json.dumps(waits).encode()
    head = HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode()
    for _ in range(3):
        with crowd(net.port(0), CONNECTIONS_MAX - 5, head + body):
            time.sleep(0.3)
    commits(net)


def test_when_all_are_being_answered_a_newcomer_is_told_503(net: Net) -> None:
    wait = {"jsonrpc": "2.0", "id": 1, "method": "tx_wait", "params": ["0" * 64, 8_000]}
    body = json.dumps(wait).encode()
    head = HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode()
    with crowd(net.port(0), CONNECTIONS_MAX, head + body):
        time.sleep(0.5)
        with crowd(net.port(0), 1, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n") as (late,):
            assert late.recv(100).startswith(b"HTTP/1.1 503 ")
    time.sleep(0.2)
    commits(net)


def post(
    net: Net, body: bytes, *, path: str = "/", method: str = "POST", **headers: str
) -> tuple[int, bytes]:
    """Status and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", net.port(0), timeout=10)
    with contextlib.closing(connection):
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        connection.request(method, path, body, {"Content-Type": "application/json", **named})
        response = connection.getresponse()
        return response.status, response.read()


def test_statuses(net: Net) -> None:
    call = b'{"jsonrpc":"2.0","id":1,"method":"node_version"}'
    assert post(net, call)[0] == 200
    assert post(net, call, path="/rpc/v1")[0] == 200
    assert post(net, call, Content_Type="application/json; charset=utf-8")[0] == 200
    assert post(net, call, Content_Type="text/plain")[0] == 415
    assert post(net, call, Host="evil.example")[0] == 403
    assert post(net, call, Host="localhost:1")[0] == 200
    assert post(net, b" " * (BODY_MAX + 1))[0] == 413
    assert post(net, b'{"jsonrpc":"2.0","method":"node_version"}') == (204, b"")
    assert post(net, call, path="/other")[0] == 404
    assert post(net, call, method="PUT")[0] == 405
    assert post(net, b"", method="GET", path="/livez") == (200, b"ok\n")
    status, body = post(net, b"", method="GET", path="/readyz")
    assert (status, json.loads(body)) == (200, {"ready": True, "reasons": []})
    status, body = post(net, b"", method="GET", path="/openrpc.json")
    assert json.loads(body)["openrpc"] == "1.3.2"


def test_broken_and_bloated_bodies(net: Net) -> None:
    bomb = gzip.compress(b" " * (20 * BODY_MAX))
    assert post(net, bomb, Content_Encoding="gzip")[0] == 415
    assert post(net, b"not gzip", Content_Encoding="gzip")[0] == 415
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    for body in (b"ZZ\r\nxx\r\n", b"2\r\n[]XX", b"fffffffffffffffff\r\n"):
        with crowd(net.port(0), 1, chunked + body) as (one,):
            assert one.recv(100).split()[1] == b"400"
    for body in (b"\xff", b"[" * 50_000, b'{"a":' * 10_000, b"", b"\x00" * 1000):
        status, answer = post(net, body)
        assert status == 200
        assert json.loads(answer)["error"]["code"] in (-32700, -32600), body[:20]
    too_many = b"[" + b",".join([b"1"] * 11) + b"]"
    assert json.loads(post(net, too_many)[1])["error"]["data"]["reason"] == "BATCH_TOO_LARGE"
    headers = {f"X-{n}": "y" * 4000 for n in range(100)}
    with contextlib.suppress(OSError):
        assert post(net, b"{}", **headers)[0] == 400
    commits(net)


def test_garbage_is_refused_and_costs_nothing(net: Net) -> None:
    for first in (b"\x00" * 200_000, b"GET " + b"/" * 100_000, b"\r\n" * 1000, b"SSH-2.0-x\r\n"):
        with crowd(net.port(0), 3, first):
            commits(net)
    assert b'"result"' in rpc_bytes(
        net.info.nodes[0].rpc, b'{"jsonrpc":"2.0","id":1,"method":"node_version"}'
    )


def test_the_metrics_port_is_bounded_too(net: Net) -> None:
    port = int(net.info.nodes[1].metrics.split(":")[2].split("/")[0])
    before = sockets_of(net, 1)
    with crowd(port, 200, b"GET /met"):
        assert net.metric(1, "muniment_build_info") == 1
        assert sockets_of(net, 1) <= before + 66


def test_no_stranger_made_the_node_log_a_traceback(net: Net) -> None:
    assert "Traceback" not in net.logs()
