"""GET /ws: JSON-RPC and subscriptions over WebSocket (docs/spec/rpc.md).

With node/http.py one of the two importers of aiohttp.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import ClientConnectionResetError, WSCloseCode, WSMsgType, web

from node.config import Rpc
from node.feed import Feed, Notice
from node.jsonrpc import LIMIT, Dispatcher, RpcError
from node.methods.subscription import Filter, Subscribe, current
from node.metrics import Counts

_log = structlog.get_logger("websocket")
HEARTBEAT_SECONDS: Final = 20.0
SLOW_READER: Final = 4_008
CALLS_MAX: Final = 16
"""Calls of one connection under way; more are not read from the socket."""
CHUNK: Final = 50
"""Pushes after which the loop gets a turn."""
SEND_BUFFER_BYTES: Final = 262_144
"""Of the kernel, for one connection: what a reader that went away can hold."""
LAST_WORD_SECONDS: Final = 30.0
"""A slow reader has so long to take what was sent and the close code."""
STOP_SECONDS: Final = 1.0


@dataclass(slots=True)
class Subscription:
    """A place in the chain and what is wanted from there on."""

    id: str
    params: Subscribe
    height: int
    """The next block to tell of."""
    seq: int = 0

    def wants(self, notice: Notice) -> bool:
        """Whether the filter lets a notice through."""
        chosen = self.params.filter or Filter()
        group = chosen.iss or chosen.type
        return (group is None or group == notice.group) and chosen.id in (None, notice.id)

    def push(self, notice: Notice) -> bytes:
        """The next push, JSON."""
        head = (
            '{"jsonrpc":"2.0","method":"subscription","params":'
            f'{{"subscription":"{self.id}","seq":{self.seq},"result":'
        )
        self.seq += 1
        return head.encode("ascii") + notice.result + b"}}"


class WebSockets:
    """All WebSocket connections of a node."""

    def __init__(self, rpc: Rpc, dispatcher: Dispatcher, feed: Feed, counts: Counts) -> None:
        self.rpc = rpc
        self.dispatcher = dispatcher
        self.feed = feed
        self.counts = counts
        self.replaying = 0
        """Connections that read old blocks now."""
        self._open: set[_Connection] = set()

    @property
    def full(self) -> bool:
        """Whether there is no room for another connection."""
        return len(self._open) >= min(self.rpc.websockets_max, self.rpc.connections_max // 2)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One connection from its upgrade to its end. The caller has checked Host, Origin, room."""
        response = web.WebSocketResponse(
            heartbeat=HEARTBEAT_SECONDS,
            max_msg_size=self.rpc.websocket_bytes_max,
            compress=False,  # pushes are small; a compressed message would hide how large it is
            timeout=STOP_SECONDS,
            decode_text=False,
        )
        connection = _Connection(self, response, request.transport)
        self._open.add(connection)
        try:
            await response.prepare(request)
            await connection.serve()
        finally:
            self._open.discard(connection)
        return response

    async def stop(self) -> None:
        """Say goodbye to everyone; who does not answer soon is cut off by the server's end."""
        endings = [asyncio.create_task(one.end(WSCloseCode.GOING_AWAY)) for one in self._open]
        if endings:
            await asyncio.wait(endings, timeout=STOP_SECONDS)


class _Connection:
    """One client: its calls and its subscriptions."""

    def __init__(
        self,
        door: WebSockets,
        response: web.WebSocketResponse,
        transport: asyncio.Transport | None,
    ) -> None:
        self._door = door
        self._response = response
        self._transport = transport
        self._calls: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(CALLS_MAX)
        self._sending = asyncio.Lock()
        self._subscriptions: dict[str, Subscription] = {}
        self._fresh: set[str] = set()
        """Subscriptions whose ids the client has not been told yet."""
        self._made = 0
        self._wake = asyncio.Event()

    # ----- life

    async def serve(self) -> None:
        """Until either side ends it."""
        known = None if self._transport is None else self._transport.get_extra_info("socket")
        if known is not None:
            known.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        listener: Callable[[], None] = self._wake.set
        feed = self._door.feed
        feed.listeners.add(listener)
        pump = asyncio.create_task(self._pump())
        try:
            await self._read()
        finally:
            feed.listeners.discard(listener)
            feed.subscriptions -= len(self._subscriptions)
            self._subscriptions.clear()
            for task in (pump, *self._calls):
                task.cancel()

    async def end(self, code: int, reason: bytes = b"") -> None:
        """Close with a code; what the kernel holds may still be read."""
        with suppress(ConnectionError, RuntimeError):
            await self._response.close(code=code, message=reason, drain=False)

    async def _slow(self) -> None:
        """The client took nothing for too long."""
        if self._response.closed:
            return
        self._door.counts.slow_readers += 1
        seconds = self._door.rpc.slow_reader_ms / 1000
        transport = self._transport
        if transport is not None:
            asyncio.get_running_loop().call_later(LAST_WORD_SECONDS, transport.abort)
        await self.end(SLOW_READER, f"slow reader: nothing taken for {seconds:g} s".encode())

    # ----- calls

    async def _read(self) -> None:
        async for message in self._response:
            if message.type is not WSMsgType.TEXT:
                if message.type is WSMsgType.BINARY:
                    await self.end(WSCloseCode.UNSUPPORTED_DATA, b"send text messages")
                return
            await self._slots.acquire()
            task = asyncio.create_task(self._answer(message.data))
            self._calls.add(task)
            task.add_done_callback(self._called)

    def _called(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._slots.release()

    async def _answer(self, body: bytes) -> None:
        made: set[str] = set()
        current.set(_Call(self, made))
        answer = await self._door.dispatcher.answer(body)
        if answer is not None:
            await self._send(answer)
        # Only now may pushes begin: the client knows the id that they carry.
        self._fresh -= made
        self._wake.set()

    async def _send(self, data: bytes) -> bool:
        """Write one message; False when the connection is over."""
        try:
            async with asyncio.timeout(self._door.rpc.slow_reader_ms / 1000), self._sending:
                await self._response.send_frame(data, WSMsgType.TEXT)
        except TimeoutError:
            await self._slow()
            return False
        except (ClientConnectionResetError, ConnectionError, RuntimeError):
            return False
        return True

    # ----- subscriptions

    def subscribe(self, params: Subscribe) -> str:
        """Id of a new subscription, which is silent until its caller was answered."""
        most = self._door.rpc.subscriptions_max
        if len(self._subscriptions) >= most:
            detail = f"want at most {most} subscriptions on a connection"
            raise RpcError(LIMIT, "SUBSCRIPTIONS_FULL", detail)
        self._made += 1
        name = str(self._made)
        start = self._door.feed.head + 1 if params.from_height is None else params.from_height
        self._subscriptions[name] = Subscription(name, params, start)
        self._door.feed.subscriptions += 1
        self._fresh.add(name)
        return name

    def unsubscribe(self, subscription: str) -> bool:
        """Whether there was one."""
        self._fresh.discard(subscription)
        found = self._subscriptions.pop(subscription, None) is not None
        self._door.feed.subscriptions -= found
        return found

    async def _pump(self) -> None:
        try:
            await self._follow()
        except Exception as error:  # our fault: tell the client so, and tell the operator why
            _log.error("subscription failed", exc_info=error)
            await self.end(WSCloseCode.INTERNAL_ERROR)

    async def _follow(self) -> None:
        """Tell of blocks: each subscription one block in turn, while there are any."""
        while True:
            self._wake.clear()
            head = self._door.feed.head
            due = [
                one
                for one in self._subscriptions.values()
                if one.height <= head and one.id not in self._fresh
            ]
            if not due:
                await self._wake.wait()
            for one in due:
                if not await self._tell(one):
                    return

    async def _tell(self, one: Subscription) -> bool:
        """Tell of one block; False when the connection is over."""
        door, loop = self._door, asyncio.get_running_loop()
        old = one.height < door.feed.head
        door.replaying += old
        try:
            began = loop.time()
            for number, notice in enumerate(door.feed.notices(one.height, one.params.topic), 1):
                if one.id not in self._subscriptions:
                    return True
                if one.wants(notice) and not await self._send(one.push(notice)):
                    return False
                if number % CHUNK == 0:
                    await asyncio.sleep(0)
            one.height += 1
            # Old blocks can wait: all who replay get half of the loop's time together.
            worked = min(loop.time() - began, 0.1)
            await asyncio.sleep(2 * worked * door.replaying if old else 0)
        finally:
            door.replaying -= old
        return True


class _Call:
    """The connection as one call sees it: it notes what the call made."""

    def __init__(self, connection: _Connection, made: set[str]) -> None:
        self._connection = connection
        self._made = made

    def subscribe(self, params: Subscribe) -> str:
        """As the connection does."""
        name = self._connection.subscribe(params)
        self._made.add(name)
        return name

    def unsubscribe(self, subscription: str) -> bool:
        """As the connection does."""
        return self._connection.unsubscribe(subscription)
