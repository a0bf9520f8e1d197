"""GET /ws of a running network: nothing missing under load and reconnects; doors; metrics."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSServerHandshakeError

from tests.integration.load import Load
from tests.integration.network import AGENCIES, Net, document, network, until
from tests.node.rude import HANDSHAKE, closing, frame

pytestmark = pytest.mark.process
LOAD_SECONDS = 6.0
CUT_AFTER = 120
"""Messages after which a follower hangs up and goes to another node."""

SLOW_MS = 1_000


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    """Four validators that soon lose patience with slow readers."""
    environment = {"MUNIMENT_RPC__SLOW_READER_MS": str(SLOW_MS)}
    with network(tmp_path_factory.mktemp("websocket"), environment=environment) as running:
        yield running


Place = tuple[int, int]


def url(net: Net, index: int) -> str:
    """The WebSocket address of a node."""
    return net.info.nodes[index].rpc.replace("http", "ws", 1) + "/ws"


async def ask(ws: ClientWebSocketResponse, method: str, **params: Any) -> Any:
    """One call; its result."""
    await ws.send_json({"jsonrpc": "2.0", "id": method, "method": method, "params": params})
    while True:
        message = await ws.receive_json(timeout=20)
        if message.get("id") == method:
            return message["result"]


async def follow(net: Net, start: int, end: asyncio.Event, final: list[int]) -> list[Place]:
    """Every (height, index) from `start` on as one client sees it that reconnects all the time."""
    seen: list[Place] = []
    node = 0
    async with ClientSession() as session:
        while True:
            node = (node + 1) % 4
            async with session.ws_connect(url(net, node)) as ws:
                height = seen[-1][0] if seen else start
                await ask(ws, "subscribe", topic="transactions", from_height=height)
                for number in range(CUT_AFTER):
                    try:
                        params = (await ws.receive_json(timeout=1))["params"]
                    except TimeoutError:
                        break
                    assert params["seq"] == number
                    place = (params["result"]["height"], params["result"]["index"])
                    if not seen or place > seen[-1]:
                        seen.append(place)
            if end.is_set() and seen and seen[-1][0] >= final[0]:
                return seen


def test_followers_that_reconnect_miss_nothing_under_load(net: Net) -> None:
    start = int(net.status(0)["height"]) + 1

    async def test() -> list[list[Place]]:
        end, final = asyncio.Event(), [0]
        followers = [asyncio.create_task(follow(net, start, end, final)) for _ in range(4)]
        load = await asyncio.to_thread(Load(net, rate=300).__enter__)
        await asyncio.sleep(LOAD_SECONDS)
        await asyncio.to_thread(load.__exit__, None, None, None)
        height = await asyncio.to_thread(net.wait_equal)
        blocks = await asyncio.to_thread(
            net.batch, 0, "chain_getBlock", [{"height": h} for h in range(start, height + 1)]
        )
        places = [
            (entry["height"], entry["index"])
            for block in blocks
            for entry in block["entries"]
            if entry["kind"] == "tx"
        ]
        final[0] = places[-1][0]
        end.set()
        return [places, *(await asyncio.wait_for(asyncio.gather(*followers), 60))]

    places, *followers = asyncio.run(test())
    assert len(places) > 200
    for seen in followers:
        assert seen == places


def test_a_client_submits_and_sees_its_own_transaction_committed(net: Net) -> None:
    async def test() -> None:
        async with ClientSession() as session, session.ws_connect(url(net, 2)) as ws:
            compact = net.sign(AGENCIES[0], document("ab"))
            await ask(ws, "subscribe", topic="transactions", filter={"iss": AGENCIES[0]})
            txid = (await ask(ws, "tx_submit", tx=compact))["id"]
            push = (await ws.receive_json(timeout=20))["params"]["result"]
            assert (push["id"], push["status"]) == (txid, "committed")
            assert net.metric(2, "muniment_rpc_websockets") == 1
            assert net.metric(2, "muniment_rpc_subscriptions") == 1
            assert net.metric(2, "muniment_rpc_slow_readers_closed_total") == 0

    asyncio.run(test())
    answer = net.refusal(0, "subscribe", topic="blocks")
    assert (answer.code, answer.reason) == (-32601, "WEBSOCKET_ONLY")


def test_a_slow_reader_is_closed_and_costs_nobody_else(net: Net) -> None:
    subscribe = '{"jsonrpc":"2.0","id":1,"method":"subscribe","params":["transactions",null,0]}'
    # Enough to tell that no buffer on the way holds it all.
    for _ in range(6):
        net.call(1, "tx_submitMany", txs=[net.sign(AGENCIES[0], document(n)) for n in range(100)])
    net.wait_equal()
    with socket.socket() as rude:
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        rude.settimeout(20)
        rude.connect(("127.0.0.1", net.port(1)))
        rude.sendall(HANDSHAKE + frame(subscribe) * 16)
        until(lambda: net.metric(1, "muniment_rpc_slow_readers_closed_total") == 1, "closed")
        assert net.commit(net.sign(AGENCIES[1], document("cd")), 1)["status"] == "committed"
        said = bytearray()
        while part := rude.recv(65_536):
            said += part
    assert said.endswith(closing(4008, "slow reader: nothing taken for 1 s"))
    until(lambda: net.metric(1, "muniment_rpc_websockets") == 0, "gone")
    assert net.metric(1, "muniment_rpc_subscriptions") == 0


GARBAGE = {
    "no frames": b"GET / HTTP/1.1\r\n\r\n",
    "zeros": bytes(200_000),
    "ones": b"\xff" * 200_000,
    "reserved bits": b"\xf1\x80\x00\x00\x00\x00",
    "compressed though not agreed": b"\xc1\x82\x00\x00\x00\x00{}",
    "a continuation of nothing": b"\x80\x80\x00\x00\x00\x00",
    "a fragmented ping": b"\x09\x80\x00\x00\x00\x00",
    "a ping of 126 bytes": b"\x89\xfe\x00\x7e" + bytes(130),
    "a message of 2^63 bytes": b"\x81\xff\x80" + bytes(11),
    "a message of 2 MB": b"\x81\xff" + (2_000_000).to_bytes(8, "big") + bytes(2_000_004),
    "an endless message": b"\x01\xfe\xff\xff"
    + bytes(65_539)
    + (b"\x00\xfe\xff\xff" + bytes(65_539)) * 30,
    "unknown opcode": b"\x83\x80\x00\x00\x00\x00",
    "close of one byte": b"\x88\x81\x00\x00\x00\x00x",
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_ends_its_connection_and_nothing_else(net: Net, what: str) -> None:
    with socket.socket() as rude:
        rude.settimeout(5)
        rude.connect(("127.0.0.1", net.port(2)))
        rude.sendall(HANDSHAKE)
        assert rude.recv(4_096).startswith(b"HTTP/1.1 101 ")
        with contextlib.suppress(ConnectionError):
            rude.sendall(GARBAGE[what])
            while rude.recv(65_536):
                pass
    until(lambda: net.metric(2, "muniment_rpc_websockets") == 0, "gone", 5)
    assert "Traceback" not in net.logs()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:8080"}, 101),
        ({"Host": "localhost"}, 101),
    ],
)
def test_the_door_checks_host_and_origin(net: Net, headers: dict[str, str], status: int) -> None:
    async def test() -> int:
        async with ClientSession() as session:
            try:
                async with session.ws_connect(url(net, 0), headers=headers):
                    return 101
            except WSServerHandshakeError as refused:
                return refused.status

    assert asyncio.run(test()) == status


def test_get_without_an_upgrade_is_told_so(net: Net) -> None:
    async def test() -> int:
        async with ClientSession() as session, session.get(url(net, 0)) as response:
            return response.status

    assert asyncio.run(test()) == 426
    assert "Traceback" not in net.logs()
