"""Real transports on loopback, and a hand-driven member that may misbehave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import cast

from ledger.ids import ChainId
from p2p import framing, wire
from p2p.framing import Frame, FrameDecoder
from p2p.peers import Backoff, PeerMember
from p2p.session import Timing
from p2p.tls import TlsContexts, make_certificate
from p2p.transport import Handlers, Identity, Transport, TransportOptions

CHAIN = ChainId("test:" + "0" * 32)
FAST = TransportOptions(backoff=Backoff(ms_min=20, ms_max=100), timing=Timing(linger_ms=50))
NAMES = "abcd"
KEYS = {name: make_certificate(name, name.encode() * 32) for name in NAMES}


def members(ports: dict[str, int]) -> list[PeerMember]:
    """The members of `ports`, in order of name."""
    return [
        PeerMember(name, f"127.0.0.1:{port}", KEYS[name][1]) for name, port in sorted(ports.items())
    ]


def timing(**changes: int) -> TransportOptions:
    """FAST with other deadlines."""
    return replace(FAST, timing=replace(FAST.timing, **changes))


async def until(condition: Callable[[], object], what: str = "", seconds: float = 8) -> None:
    """Wait until `condition` holds. AssertionError after `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"never: {what or condition}"
        await asyncio.sleep(0.002)


@dataclass
class Node:
    """A transport and what it told."""

    name: str
    transport: Transport = field(init=False)
    frames: list[tuple[str, Frame]] = field(default_factory=list)
    reads: int = 0
    events: list[str] = field(default_factory=list)
    ups: set[str] = field(default_factory=set)

    async def start(self, options: TransportOptions = FAST, chain: ChainId = CHAIN) -> Node:
        """Listen, knowing nobody yet."""
        key, certificate = KEYS[self.name]
        identity = Identity(self.name, chain, f"node-{self.name}", "test/1", key, certificate)
        handlers = Handlers(self._on_frames, self._on_up, self._on_down)
        self.transport = Transport(identity, [], "127.0.0.1:0", handlers, options)
        await self.transport.start()
        return self

    def _on_frames(self, member: str, frames: list[Frame]) -> None:
        assert frames
        self.reads += 1
        self.frames.extend((member, frame) for frame in frames)

    def _on_up(self, member: str) -> None:
        assert member not in self.ups
        self.ups.add(member)
        self.events.append(f"up {member}")

    def _on_down(self, member: str, reason: str) -> None:
        self.ups.remove(member)
        self.events.append(f"down {member} {reason}")

    @property
    def sockets(self) -> int:
        """Open connections, of whatever state."""
        return len(self.transport._sessions)


@contextlib.asynccontextmanager
async def network(
    names: str, options: TransportOptions = FAST, *, absent: str = ""
) -> AsyncIterator[list[Node]]:
    """Nodes that know each other, all sessions up; `absent` members are known but do not run."""
    nodes = [await Node(name).start(options) for name in names]
    try:
        ports = {node.name: node.transport.port for node in nodes}
        for name in absent:
            ports[name] = 1
        for node in nodes:
            node.transport.update_members(members(ports))
        await until(lambda: all(node.ups >= set(names) - {node.name} for node in nodes), "all up")
        yield nodes
    finally:
        for node in nodes:
            await node.transport.stop()
        assert all(node.sockets == 0 for node in nodes)


class RawMember:
    """A member's certificate in the hands of a test: says what it likes, reads when it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def dial(cls, name: str, node: Node) -> RawMember:
        """A TLS session with `node`, hello not said."""
        key, certificate = KEYS[name]
        contexts = TlsContexts(key, certificate, [KEYS[node.name][1]])
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", node.transport.port, ssl=contexts.dialling
        )
        return cls(reader, writer)

    def say(self, channel: int, payload: bytes) -> None:
        """Send one frame."""
        self.writer.write(framing.encode(channel, payload))

    def hello(self, chain: str = CHAIN, version: int = 1) -> None:
        """Send a hello."""
        self.say(wire.CONTROL, wire.encode(wire.Hello(version, chain, "raw", "raw/1")))

    def stop_reading(self) -> None:
        """Leave everything in the kernel from now on."""
        cast("asyncio.Transport", self.writer.transport).pause_reading()

    async def hear(self) -> list[Frame]:
        """Frames until the other side ends the session."""
        decoder, frames = FrameDecoder(), list[Frame]()
        decoder.open_all_channels()
        with contextlib.suppress(OSError):
            while data := await self.reader.read(65_536):
                frames += decoder.receive(data)
        return frames

    async def close(self) -> None:
        """Hang up."""
        self.writer.transport.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()
