"""Open connections of one port: bounded in number, and whoever idles longest makes room.

A client that needs an answer holds its connection for a moment; a loris or a forgotten keep-alive
holds it for minutes. So a full house turns out the one that has been idle longest, and says no to
the newcomer only when every connection is being answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, cast

_REFUSAL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 42\r\nConnection: close\r\n\r\ntoo many requests are under way; try later"
)


class Connections:
    """The factory of a server's protocols, around the protocols of another factory."""

    def __init__(self, factory: Callable[[], asyncio.Protocol], limit: int) -> None:
        """At most `limit` connections are open at once."""
        self._factory = factory
        self._limit = limit
        self._open: dict[asyncio.BaseTransport, bool] = {}
        """Transport -> whether a request of it is being answered; longest idle first."""
        self.evicted = 0
        self.refused = 0

    def __call__(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        return _Connection(self._factory(), self)

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def answering(self, transport: asyncio.BaseTransport | None) -> Iterator[None]:
        """A whole request came on `transport`: it is not turned out until it is answered."""
        known = transport is not None and transport in self._open
        if known:
            assert transport is not None
            self._open[transport] = True
        try:
            yield
        finally:
            if transport is not None and self._open.pop(transport, None) is not None:
                self._open[transport] = False

    def opened(self, transport: asyncio.Transport) -> bool:
        """Whether there is room, made where it must be, for this connection."""
        if len(self._open) >= self._limit:
            idle = next((other for other, busy in self._open.items() if not busy), None)
            if idle is None:
                self.refused += 1
                return False
            self.evicted += 1
            del self._open[idle]
            cast("asyncio.Transport", idle).abort()
        self._open[transport] = False
        return True

    def closed(self, transport: asyncio.BaseTransport) -> None:
        """The connection is gone."""
        self._open.pop(transport, None)


class _Connection(asyncio.Protocol):
    """Passes everything on; what was refused is never seen by the inner protocol."""

    def __init__(self, inner: asyncio.Protocol, connections: Connections) -> None:
        self._inner = inner
        self._connections = connections
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)
        if not self._connections.opened(stream):
            stream.write(_REFUSAL)
            stream.close()
            return
        self._transport = stream
        self._inner.connection_made(stream)

    def data_received(self, data: bytes) -> None:
        if self._transport is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._transport is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        if self._transport is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._transport is not None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._connections.closed(self._transport)
            self._inner.connection_lost(exc)
