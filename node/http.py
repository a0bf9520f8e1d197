"""HTTP: JSON-RPC, health and metrics. With node/websocket.py an importer of aiohttp."""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import urlsplit

import msgspec
import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ledger.store import StoreDamaged
from node import methods
from node.connections import Connections
from node.jsonrpc import Dispatcher
from node.metrics import CONTENT_TYPE
from node.service import NodeService
from node.websocket import WebSockets

_log = structlog.get_logger("http")
_JSON = "application/json"
_IDLE_SECONDS = 75
"""Without a whole request head a connection lives this long; with keep-alive between requests."""
_BODY_SECONDS = 30
_METRICS_CONNECTIONS_MAX = 64
_HEAD_LINE_BYTES = 4_096
_HEADERS_MAX = 64
"""A head of 256 KiB at most for each connection."""


class _OursOnly(logging.Filter):
    """Keeps tracebacks of our own faults; a flood of bad requests must not flood the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """False for what the other side did wrong."""
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError | web.RequestPayloadError)


_server_log = logging.getLogger("muniment.http")
_server_log.addFilter(_OursOnly())


class HttpDoor:
    """The client port and the metrics port of one node."""

    def __init__(self, service: NodeService) -> None:
        self._service = service
        self._dispatcher = Dispatcher(
            methods.all_methods(service), service.config.rpc.batch_max, self._count, self._failed
        )
        self._sockets = WebSockets(
            service.config.rpc, self._dispatcher, service.feed, service.counts
        )
        self._runners: list[web.AppRunner] = []
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        """Listen. Raises OSError when a port is taken."""
        config = self._service.config
        app = web.Application(client_max_size=config.rpc.body_bytes_max)
        for path in ("/", "/rpc/v1"):
            app.router.add_post(path, self._rpc)
        app.router.add_get("/ws", self._ws)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/openrpc.json", self._openrpc)
        self._clients = await self._listen(app, config.rpc.listen, config.rpc.connections_max)
        if config.metrics.listen:
            metrics = web.Application()
            metrics.router.add_get("/metrics", self._metrics)
            await self._listen(metrics, config.metrics.listen, _METRICS_CONNECTIONS_MAX)

    async def _listen(self, app: web.Application, address: str, limit: int) -> Connections:
        # A client that hung up waits for nothing: its batch of waits must not go on without it.
        runner = web.AppRunner(
            app,
            access_log=None,
            logger=_server_log,
            keepalive_timeout=_IDLE_SECONDS,
            shutdown_timeout=2.0,
            lingering_time=1.0,
            handler_cancellation=True,
            # Calls are small; a compressed body would only hide how large it is.
            auto_decompress=False,
            max_line_size=_HEAD_LINE_BYTES,
            max_field_size=_HEAD_LINE_BYTES,
            max_headers=_HEADERS_MAX,
        )
        await runner.setup()
        self._runners.append(runner)
        assert runner.server is not None
        connections = Connections(runner.server, limit)
        host, _, port = address.rpartition(":")
        server = await asyncio.get_running_loop().create_server(
            connections, host.strip("[]"), int(port), backlog=256
        )
        self._servers.append(server)
        return connections

    async def stop(self) -> None:
        """Close the ports; requests under way get two seconds."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        await self._sockets.stop()
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()

    # ----- JSON-RPC

    async def _rpc(self, request: web.Request) -> web.StreamResponse:
        config = self._service.config.rpc
        if request.content_type != _JSON:
            return _refusal(415, "send Content-Type: application/json")
        if request.headers.get("Content-Encoding", "identity") != "identity":
            return _refusal(415, "send the body without Content-Encoding")
        if not self._host_allowed(request.host):
            return _refusal(403, "this Host is not in rpc.allowed_hosts")
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _refusal(413, f"want at most {config.body_bytes_max} bytes")
        except web.RequestPayloadError:
            return _refusal(400, "the body is not as the head says")
        except TimeoutError:
            return _refusal(408, f"the body did not come within {_BODY_SECONDS} s")
        with self._clients.answering(request.transport):
            answer = await self._dispatcher.answer(body)
        if answer is None:
            return web.Response(status=204)
        return web.Response(body=answer, content_type=_JSON)

    async def _ws(self, request: web.Request) -> web.StreamResponse:
        if not self._host_allowed(request.host):
            return _refusal(403, "this Host is not in rpc.allowed_hosts")
        # A browser lets any page open a WebSocket to this machine, but says which page it was.
        origin = request.headers.get("Origin")
        if origin is not None and not self._host_allowed(_host_of(origin)):
            return _refusal(403, "this Origin is not in rpc.allowed_hosts")
        if not web.WebSocketResponse().can_prepare(request):
            return _refusal(426, "this is a WebSocket")
        if self._sockets.full:
            return _refusal(503, "too many WebSocket connections")
        with self._clients.answering(request.transport):
            return await self._sockets.serve(request)

    def _host_allowed(self, host: str) -> bool:
        allowed = self._service.config.rpc.allowed_hosts
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        return not allowed or name in allowed or host in allowed

    def _count(self, method: str, code: str) -> None:
        counts = self._service.counts.rpc
        counts[(method, code)] = counts.get((method, code), 0) + 1

    def _failed(self, method: str, error: Exception) -> None:
        _log.error("method failed", method=method, exc_info=error)
        runtime = self._service.runtime
        if isinstance(error, StoreDamaged) and runtime is not None:
            runtime.fail(error)  # who reads a damaged store must not go on voting by it

    # ----- health, metrics, document

    async def _livez(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        reasons = self._service.readiness()
        body = msgspec.json.encode({"ready": not reasons, "reasons": reasons})
        return web.Response(status=503 if reasons else 200, body=body, content_type=_JSON)

    async def _openrpc(self, request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(methods.document()), content_type=_JSON)

    async def _metrics(self, request: web.Request) -> web.Response:
        response = web.Response(body=self._service.metrics.render())
        response.headers["Content-Type"] = CONTENT_TYPE
        return response


def _refusal(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text + "\n")


def _host_of(origin: str) -> str:
    """host:port of an Origin; empty when it has none ("null", or no URL)."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
