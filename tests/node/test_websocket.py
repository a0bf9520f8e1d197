"""GET /ws on a chain that the test grows by hand: order, filters, limits, slow and rude clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError, web

from node import websocket
from node.config import Rpc
from node.feed import Feed
from node.jsonrpc import Dispatcher, Method
from node.methods import subscription
from node.methods.parameters import Nothing
from node.metrics import Counts
from node.websocket import WebSockets
from tests.node.chains import Grown
from tests.node.rude import HANDSHAKE, closing, frame


class Served:
    """A chain behind a WebSocket door."""

    def __init__(self, rpc: Rpc) -> None:
        self.grown = Grown()
        self.feed = Feed(self.grown.chain)
        self.counts = Counts()
        self.faults: list[Exception] = []
        methods = [*subscription.methods(), Method("sleep", Nothing, self._sleep, "")]
        dispatcher = Dispatcher(methods, 10, lambda *_: None, self._failed)
        self.sockets = WebSockets(rpc, dispatcher, self.feed, self.counts)
        self.session = ClientSession()
        self.port = 0

    def _failed(self, method: str, error: Exception) -> None:
        self.faults.append(error)

    async def _sleep(self, params: Nothing) -> dict[str, Any]:
        await asyncio.sleep(0.3)
        return {}

    async def handler(self, request: web.Request) -> web.StreamResponse:
        if self.sockets.full:
            return web.Response(status=503)
        return await self.sockets.serve(request)

    def grow(self, transactions: int = 1) -> int:
        """Commit a block; its height."""
        raws = [self.grown.tx() for _ in range(transactions)]
        height = self.grown.block(*raws).header.height
        self.feed.wake()
        return height

    async def connect(self) -> ClientWebSocketResponse:
        return await self.session.ws_connect(f"http://127.0.0.1:{self.port}/ws", max_msg_size=0)


@contextlib.asynccontextmanager
async def serving(**limits: Any) -> AsyncIterator[Served]:
    """A door that is closed at the end."""
    served = Served(Rpc(**limits))
    app = web.Application()
    app.router.add_get("/ws", served.handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.port = runner.addresses[0][1]
    try:
        yield served
        assert served.faults == []
    finally:
        await served.session.close()
        await served.sockets.stop()
        await runner.cleanup()
    assert served.feed.listeners == set()
    assert served.feed.subscriptions == 0


def run(test: Callable[[], Coroutine[Any, Any, None]], seconds: float = 30) -> None:
    """An asynchronous test to its end."""
    asyncio.run(asyncio.wait_for(test(), seconds))


async def call(ws: ClientWebSocketResponse, method: str, **params: Any) -> Any:
    """The result, or the error's data; pushes that come first are not expected."""
    await ws.send_str(
        json.dumps({"jsonrpc": "2.0", "id": method, "method": method, "params": params})
    )
    answer = await ws.receive_json(timeout=5)
    assert answer["id"] == method
    return answer["result"] if "result" in answer else answer["error"]


async def pushes(ws: ClientWebSocketResponse, count: int) -> list[dict[str, Any]]:
    """The next pushes' params."""
    found = []
    for _ in range(count):
        message = await ws.receive_json(timeout=5)
        assert message["method"] == "subscription"
        found.append(message["params"])
    return found


async def silent(ws: ClientWebSocketResponse) -> None:
    """Nothing comes."""
    with pytest.raises(TimeoutError):
        await ws.receive(timeout=0.1)


def test_live_blocks_come_in_order_from_the_next_one_on() -> None:
    async def test() -> None:
        async with serving() as served:
            served.grow()
            ws = await served.connect()
            assert await call(ws, "subscribe", topic="blocks") == {"subscription": "1"}
            await silent(ws)
            for _ in range(5):
                served.grow()
            found = await pushes(ws, 5)
            assert [(p["seq"], p["result"]["height"]) for p in found] == [
                (n, n + 2) for n in range(5)
            ]
            chain = served.grown.chain
            assert found[-1]["result"]["block_hash"] == chain.block_hash.hex()
            assert found[-1]["result"]["header"]["state_root"] == chain.state.root.hex()
            assert found[-1]["result"]["transactions"] == 1

    run(test)


def test_replay_goes_over_into_live_while_blocks_commit_without_gap_or_double() -> None:
    async def test() -> None:
        async with serving() as served:
            for _ in range(60):
                served.grow()
            ws = await served.connect()
            await ws.send_str(
                '{"jsonrpc":"2.0","id":1,"method":"subscribe",'
                '"params":{"topic":"transactions","from_height":7}}'
            )
            assert (await ws.receive_json())["result"] == {"subscription": "1"}

            async def commit() -> None:
                for _ in range(60):
                    served.grow(3)
                    await asyncio.sleep(0)

            found, _ = await asyncio.gather(pushes(ws, 54 + 180), commit())
            assert [p["seq"] for p in found] == list(range(234))
            places = [(p["result"]["height"], p["result"]["index"]) for p in found]
            assert places == [(h, 0) for h in range(7, 61)] + [
                (h, i) for h in range(61, 121) for i in range(3)
            ]
            await silent(ws)

    run(test)


def test_replay_may_begin_at_genesis_and_above_the_head() -> None:
    async def test() -> None:
        async with serving() as served:
            served.grow()
            ws = await served.connect()
            await call(ws, "subscribe", topic="blocks", from_height=3)
            await silent(ws)
            for _ in range(3):
                served.grow()
            assert [p["result"]["height"] for p in await pushes(ws, 2)] == [3, 4]
            await call(ws, "unsubscribe", subscription="1")
            await call(ws, "subscribe", topic="blocks", from_height=0)
            assert [p["result"]["height"] for p in await pushes(ws, 5)] == [0, 1, 2, 3, 4]

    run(test)


def test_filters() -> None:
    async def test() -> None:
        async with serving() as served:
            ws = await served.connect()
            first = served.grown.tx(party="agency-1", jti="a")
            second = served.grown.tx(party="agency-2", jti="b")
            served.grown.block(first, second)
            await call(
                ws, "subscribe", topic="transactions", filter={"iss": "agency-2"}, from_height=0
            )
            (push,) = await pushes(ws, 1)
            result = push["result"]
            assert (result["iss"], result["index"], result["status"]) == (
                "agency-2",
                1,
                "committed",
            )
            record = result["results"][0]["record"]
            await call(ws, "unsubscribe", subscription="1")
            await call(
                ws, "subscribe", topic="transactions", filter={"id": result["id"]}, from_height=0
            )
            assert (await pushes(ws, 1))[0]["result"] == result
            await call(ws, "unsubscribe", subscription="2")
            await call(ws, "subscribe", topic="records", filter={"id": record}, from_height=0)
            (push,) = await pushes(ws, 1)
            assert push["result"] == {
                "record": record,
                "type": "deed",
                "seq": 0,
                "state": None,
                "height": 1,
                "index": 1,
                "tx": result["id"],
                "timer": None,
                "status": "committed",
                "reason": "",
            }
            await call(ws, "unsubscribe", subscription="3")
            await call(ws, "subscribe", topic="records", filter={"type": "deed"}, from_height=0)
            assert len(await pushes(ws, 2)) == 2
            await call(ws, "subscribe", topic="records", filter={"type": "other"}, from_height=0)
            await silent(ws)

    run(test)


BAD: list[dict[str, Any]] = [
    {"topic": "weather"},
    {},
    {"topic": "blocks", "filter": {"iss": "agency-1"}},
    {"topic": "transactions", "filter": {"type": "deed"}},
    {"topic": "transactions", "filter": {"id": "xyz"}},
    {"topic": "transactions", "filter": {"id": "0" * 64, "iss": "agency-1"}},
    {"topic": "records", "filter": {"id": "0" * 64}},
    {"topic": "records", "filter": {"iss": "agency-1"}},
    {"topic": "records", "filter": {"name": "x"}},
    {"topic": "blocks", "from_height": -1},
    {"topic": "blocks", "from_height": 1.5},
    {"topic": "blocks", "more": 1},
]


def test_bad_parameters_and_garbage_are_answered_and_the_connection_lives() -> None:
    async def test() -> None:
        async with serving(websocket_bytes_max=10_000) as served:
            ws = await served.connect()
            for params in BAD:
                assert (await call(ws, "subscribe", **params))["code"] == -32602, params
            for text in ("", "{", "[" * 5_000, "nonsense", '"x"', "[]"):
                await ws.send_str(text)
                assert (await ws.receive_json())["error"]["code"] in (-32700, -32600), text
            await ws.send_frame(b"\xff\xfe", WSMsgType.TEXT)
            assert (await ws.receive_json())["error"]["code"] == -32700
            assert (await call(ws, "unsubscribe", subscription="9")) == {"removed": False}
            await call(ws, "subscribe", topic="blocks")
            served.grow()
            assert len(await pushes(ws, 1)) == 1

    run(test)


def test_binary_and_huge_messages_close_the_connection() -> None:
    async def test() -> None:
        async with serving(websocket_bytes_max=1_000) as served:
            ws = await served.connect()
            await ws.send_bytes(b"{}")
            assert (await ws.receive(timeout=5)).data == 1003
            ws = await served.connect()
            await ws.send_str(" " * 1_001)
            assert (await ws.receive(timeout=5)).data == 1009

    run(test)


def test_limits_on_connections_and_subscriptions() -> None:
    async def test() -> None:
        async with serving(websockets_max=2, subscriptions_max=3) as served:
            one, _ = await served.connect(), await served.connect()
            with pytest.raises(WSServerHandshakeError) as refused:
                await served.connect()
            assert refused.value.status == 503
            for _ in range(3):
                await call(one, "subscribe", topic="blocks")
            full = await call(one, "subscribe", topic="blocks")
            assert (full["code"], full["data"]["reason"]) == (-32005, "SUBSCRIPTIONS_FULL")
            await call(one, "unsubscribe", subscription="1")
            assert await call(one, "subscribe", topic="blocks") == {"subscription": "4"}
            await one.close()
            await asyncio.sleep(0.1)
            assert served.feed.subscriptions == 0
            await served.connect()

    run(test)


def test_a_long_call_does_not_hold_up_others_nor_pushes() -> None:
    async def test() -> None:
        async with serving() as served:
            ws = await served.connect()
            await ws.send_str('{"jsonrpc":"2.0","id":"slow","method":"sleep"}')
            await call(ws, "subscribe", topic="blocks")
            served.grow()
            assert len(await pushes(ws, 1)) == 1
            assert (await ws.receive_json())["id"] == "slow"

    run(test)


def test_no_push_precedes_the_answer_that_names_its_subscription() -> None:
    async def test() -> None:
        async with serving() as served:
            for _ in range(3):
                served.grow()
            ws = await served.connect()
            subscribe = {"method": "subscribe", "params": {"topic": "blocks", "from_height": 0}}
            batch: list[dict[str, Any]] = [
                {"jsonrpc": "2.0", "id": n, **subscribe} for n in range(3)
            ]
            batch.append({"jsonrpc": "2.0", "id": 3, "method": "sleep"})
            await ws.send_str(json.dumps(batch))
            answers = await ws.receive_json(timeout=5)
            assert [a["result"].get("subscription") for a in answers] == ["1", "2", "3", None]
            found = await pushes(ws, 12)
            for name in ("1", "2", "3"):
                mine = [p for p in found if p["subscription"] == name]
                assert [p["result"]["height"] for p in mine] == [0, 1, 2, 3]

    run(test)


def test_a_slow_reader_is_closed_with_4008_and_others_are_not() -> None:
    async def test() -> None:
        async with serving(slow_reader_ms=400) as served:
            for _ in range(150):
                served.grow()
            with socket.socket() as rude:
                rude.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                rude.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(rude, ("127.0.0.1", served.port))
                subscribe = (
                    '{"jsonrpc":"2.0","id":1,"method":"subscribe","params":["blocks",null,0]}'
                )
                await loop.sock_sendall(rude, HANDSHAKE + frame(subscribe) * 10)
                good = await served.connect()
                await call(good, "subscribe", topic="blocks", from_height=0)
                assert len(await pushes(good, 151)) == 151
                for _ in range(200):
                    await asyncio.sleep(0.05)
                    if served.counts.slow_readers:
                        break
                # What the kernel held is still there, and the close frame after it.
                said = b""
                with contextlib.suppress(OSError):
                    while part := await loop.sock_recv(rude, 65_536):
                        said += part
            assert said.endswith(closing(4008, "slow reader: nothing taken for 0.4 s"))
            assert served.counts.slow_readers == 1
            served.grow()
            assert len(await pushes(good, 1)) == 1

    run(test)


def test_clients_are_told_when_the_node_stops() -> None:
    async def test() -> None:
        async with serving() as served:
            ws = await served.connect()
            await call(ws, "subscribe", topic="blocks")
            stopping = asyncio.create_task(served.sockets.stop())
            assert (await ws.receive(timeout=5)).data == 1001
            await stopping

    run(test)


def test_a_client_that_went_away_without_a_word_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(websocket, "HEARTBEAT_SECONDS", 0.2)

    async def test() -> None:
        async with serving() as served:
            await served.session.ws_connect(f"http://127.0.0.1:{served.port}/ws", autoping=False)
            assert len(served.feed.listeners) == 1
            for _ in range(40):
                await asyncio.sleep(0.05)
                if not served.feed.listeners:
                    break
            assert not served.feed.listeners

    run(test)
