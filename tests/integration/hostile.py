"""A member gone bad: its real transport key and vote key in the hands of a test."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from ledger import base64url
from ledger.crypto import Ed25519Signer
from node.home import Home, read_key_seed
from p2p import framing, wire
from p2p.framing import Frame
from p2p.peers import Backoff, PeerMember
from p2p.tls import TlsContexts, make_certificate
from p2p.transport import Handlers, Identity, Transport, TransportOptions
from tests.integration.network import Net


@dataclass
class Hostile:
    """The transport of a member whose daemon is stopped."""

    net: Net
    index: int
    transport: Transport
    up: set[str] = field(default_factory=set)
    downs: list[tuple[str, str]] = field(default_factory=list)
    frames: list[tuple[str, Frame]] = field(default_factory=list)

    @property
    def votes(self) -> Ed25519Signer:
        """The member's vote key."""
        home = Home(self.net.home(self.index))
        return Ed25519Signer(read_key_seed(home.vote_key, "vote-ed25519"))

    def say(self, channel: int, payload: bytes) -> None:
        """To every honest member."""
        self.transport.broadcast(channel, payload)

    async def until(self, condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
        """Wait in a thread's time for a condition that may call the nodes."""
        deadline = time.monotonic() + seconds
        while not (value := await asyncio.to_thread(condition)):
            assert time.monotonic() < deadline, f"never: {what}"
            await asyncio.sleep(0.05)
        return value


def peer_members(net: Net) -> list[PeerMember]:
    """The members as the network sees them."""
    return [
        PeerMember(m.name, m.address, base64url.decode(m.transport_certificate))
        for m in net.genesis.validators().members
    ]


def transport_identity(net: Net, index: int) -> tuple[bytes, bytes]:
    """(key PEM, certificate DER) of a node."""
    home = Home(net.home(index))
    seed = read_key_seed(home.transport_key, "transport-ed25519")
    return make_certificate("x", seed)[0], home.transport_certificate.read_bytes()


@contextlib.asynccontextmanager
async def hostile(net: Net, index: int) -> AsyncIterator[Hostile]:
    """Takes the place of a stopped node, on its address, with sessions to all others."""
    members = peer_members(net)
    key, certificate = transport_identity(net, index)
    identity = Identity(members[index].name, net.chain, "hostile", "hostile/1", key, certificate)
    bad = Hostile.__new__(Hostile)

    def on_frames(peer: str, frames: list[Frame]) -> None:
        bad.frames += [(peer, frame) for frame in frames]

    def on_down(peer: str, reason: str) -> None:
        bad.up.discard(peer)
        bad.downs.append((peer, reason))

    options = TransportOptions(backoff=Backoff(ms_min=50, ms_max=200))
    transport = Transport(
        identity,
        members,
        members[index].address,
        Handlers(on_frames, lambda peer: bad.up.add(peer), on_down),
        options,
    )
    Hostile.__init__(bad, net, index, transport)
    await transport.start()
    try:
        await bad.until(lambda: len(bad.up) == len(members) - 1, "sessions to all")
        yield bad
    finally:
        await transport.stop()


async def raw_session(
    net: Net, index: int, target: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A TLS session as member `index` to node `target`; the hello was said."""
    key, certificate = transport_identity(net, index)
    members = peer_members(net)
    contexts = TlsContexts(key, certificate, [members[target].certificate])
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", net.port(target, "p2p"), ssl=contexts.dialling
    )
    hello = wire.Hello(wire.PROTOCOL_VERSION, net.chain, "raw", "raw/1")
    writer.write(framing.encode(wire.CONTROL, wire.encode(hello)))
    await writer.drain()
    return reader, writer
