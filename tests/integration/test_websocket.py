"""GET /ws of a running network: nothing missing under load and reconnects; doors; metrics."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSServerHandshakeError

from tests.integration.load import Load
from tests.integration.network import AGENCIES, Net, document

pytestmark = pytest.mark.process
LOAD_SECONDS = 6.0
CUT_AFTER = 120
"""Messages after which a follower hangs up and goes to another node."""

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
    assert len(places) > 500
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
