"""Sessions with every other member: listens, dials, keeps one session for each pair.

The asyncio edge of the package. Nothing here waits: `send` and `broadcast` put frames into bounded
outboxes, and what comes in is handed over in the callback of the read that brought it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ledger.ids import ChainId
from p2p import framing
from p2p.framing import Frame
from p2p.link import Link
from p2p.outbox import Outbox, OutboxLimits
from p2p.peers import Backoff, CostLimits, PeerBook, PeerMember, Standing, parse_address
from p2p.session import Phase, RefusedError, Session, Timing
from p2p.stats import PeerStatus, Stats
from p2p.strangers import StrangerLimits, Strangers
from p2p.tls import TlsContexts
from p2p.wire import CONTROL, PROTOCOL_VERSION, Hello, PeerFault

_log: Final = logging.getLogger("muniment.p2p")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are to the others."""

    member: str
    """Our member name in the validator set."""
    chain: ChainId
    node_name: str
    """For the eyes of operators; at most 80 characters."""
    software: str
    """Name and version; at most 80 characters."""
    key_pem: bytes
    certificate: bytes
    """DER."""


@dataclass(frozen=True, slots=True)
class Handlers:
    """Called in the event loop; they must not block. An exception from one is our own fault."""

    on_frames: Callable[[str, list[Frame]], None]
    """Member and (channel, payload) frames of channels 1 to 3, once for each read of the socket."""
    on_up: Callable[[str], None]
    on_down: Callable[[str, str], None]
    """Member and reason code."""


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """Limits of the transport."""

    timing: Timing = field(default_factory=Timing)
    backoff: Backoff = field(default_factory=Backoff)
    cost_limits: CostLimits = field(default_factory=CostLimits)
    outbox_limits: OutboxLimits = field(default_factory=OutboxLimits)
    stranger_limits: StrangerLimits = field(default_factory=StrangerLimits)


class Transport:
    """All sessions of one node. Use inside a running loop, asyncio's or uvloop's."""

    def __init__(
        self,
        identity: Identity,
        members: Sequence[PeerMember],
        listen: str,
        handlers: Handlers,
        options: TransportOptions | None = None,
    ) -> None:
        """`listen` is host:port, port 0 for any. Raises ValueError on members, an address, a key or
        a certificate that cannot be used."""
        self._loop = asyncio.get_running_loop()
        self._identity = identity
        self._handlers = handlers
        self._options = options or TransportOptions()
        self._listen = parse_address(listen)
        self._hello = Hello(PROTOCOL_VERSION, identity.chain, identity.node_name, identity.software)
        self._book = PeerBook(identity.member, (), self._options.cost_limits, self._options.backoff)
        self._links: dict[str, Link] = {}
        self._sessions: dict[Session, None] = {}
        """Every session whose socket is open, oldest first."""
        self._strangers: Strangers[Session] = Strangers(self._options.stranger_limits)
        """Those that linger after a refusal too."""
        self._server: asyncio.Server | None = None
        self._beat_timer: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._running = False
        self.stats: Final = Stats()
        self.update_members(members)

    # Life

    async def start(self) -> None:
        """Listen and begin to dial. Raises OSError when the address cannot be bound."""
        host, port = self._listen
        self._server = await self._loop.create_server(
            lambda: self._session(None), host, port, backlog=128
        )
        self._running = True
        for link in self._links.values():
            self._schedule_dial(link)
        self._beat()

    async def stop(self) -> None:
        """Close every session and the listener, and wait until their sockets are gone."""
        self._running = False
        if self._beat_timer is not None:
            self._beat_timer.cancel()
        tasks = [link.dial_task for link in self._links.values() if link.dial_task is not None]
        for link in self._links.values():
            link.cancel_dial()
        if self._server is not None:
            self._server.close()
        for session in tuple(self._sessions):
            session.close("stopping")
        await asyncio.gather(*tasks, return_exceptions=True)
        while self._sessions:
            self._empty.clear()
            await self._empty.wait()
        if self._server is not None:
            await self._server.wait_closed()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        assert self._server is not None, "not started"
        return int(self._server.sockets[0].getsockname()[1])

    def update_members(self, members: Sequence[PeerMember]) -> None:
        """Take a new member list: sessions of removed members, and of those with another
        certificate, close at once; new ones are dialled. Raises ValueError as the constructor,
        and then changes nothing."""
        for member in members:
            parse_address(member.address)
        anchors = [m.certificate for m in members if m.name != self._identity.member]
        contexts = TlsContexts(self._identity.key_pem, self._identity.certificate, anchors)
        stale = self._book.update(members)
        self._contexts = contexts
        for session in tuple(self._sessions):
            if session.name in stale:
                session.close("removed")
        for name in [name for name in self._links if self._book.peer(name) is None]:
            self._links.pop(name).cancel_dial()
        for member in self._book.peers:
            if member.name not in self._links:
                outbox = Outbox(self._options.outbox_limits)
                self._links[member.name] = Link(member.name, outbox)
            self._schedule_dial(self._links[member.name])

    # Out

    def send(self, member: str, channel: int, payload: bytes) -> bool:
        """Queue a payload for `member`; False when it was dropped, which is counted: no session,
        or the outbox is full. Channel 0 is the transport's own."""
        assert channel != CONTROL, "control frames belong to the session"
        return self._put(self._links.get(member), framing.encode(channel, payload))

    def broadcast(self, channel: int, payload: bytes) -> None:
        """Queue a payload for every member with a session."""
        assert channel != CONTROL, "control frames belong to the session"
        frame = framing.encode(channel, payload)
        for link in self._links.values():
            if link.session is not None:
                self._put(link, frame)

    def _put(self, link: Link | None, frame: bytes) -> bool:
        channel = frame[framing.HEADER_BYTES - 1]
        if link is None or link.session is None:
            self.stats.frames_dropped[channel] += 1
            return False
        put = link.outbox.put(frame)
        self.stats.frames_dropped[channel] += put.dropped
        link.session.flush_soon()
        return put.accepted

    # Accounts

    def charge(self, member: str, fault: PeerFault) -> None:
        """Charge a member for what one of its payloads turned out to be."""
        link = self._links.get(member)
        if link is None:
            return
        self.stats.faults[fault.reason.value] += 1
        _log.debug("peer %s charged %d: %s", member, fault.cost, fault)
        self._apply(link, self._book.charge(member, fault.cost, self._now_ms()))

    def peers(self) -> list[PeerStatus]:
        """How every other member stands, in order of index."""
        return [self._status(member, self._now_ms()) for member in self._book.peers]

    def _status(self, member: PeerMember, now_ms: int) -> PeerStatus:
        name = member.name
        link, seen_ms = self._links[name], self._book.last_seen_ms(name)
        session = link.session
        return PeerStatus(
            name=name,
            address=member.address,
            up=session is not None,
            dialled=session is not None and session.dialled is not None,
            rtt_ms=self._book.rtt_ms(name),
            last_seen_ms_ago=None if seen_ms is None else now_ms - seen_ms,
            pending_bytes=link.outbox.pending_bytes + (session.buffered_bytes if session else 0),
            cost=self._book.cost(name, now_ms),
            banned_for_ms=max(0, self._book.banned_until_ms(name) - now_ms),
        )

    def _apply(self, link: Link, standing: Standing) -> None:
        if standing is Standing.BANNED:
            self.stats.bans += 1
            now_ms = self._now_ms()
            ban_ms = self._book.banned_until_ms(link.name) - now_ms
            _log.warning("peer %s banned for %d s", link.name, ban_ms // 1000)
            for session in tuple(self._sessions):
                if session.name == link.name:
                    session.close("banned")
        elif standing is Standing.SLOW and link.session is not None:
            link.session.pause_reading(self._book.pause_ms(link.name, self._now_ms()))

    # What sessions tell (SessionOwner)

    def opened(self, session: Session) -> None:
        """A connection exists; when there are too many strangers, an older one goes."""
        self._sessions[session] = None
        if not self._running:
            session.close("stopping")
        if session.dialled is not None:
            return
        self.stats.connections_accepted += 1
        evicted = self._strangers.add(session)
        if evicted is not None:
            evicted.close("evicted")
            evicted.abort()

    def recognise(self, session: Session, fingerprint: bytes) -> str:
        """The member with this leaf, which must be the one dialled. Raises RefusedError."""
        member = self._book.by_fingerprint(fingerprint)
        if member is None:
            raise RefusedError("stranger", f"certificate {fingerprint.hex()}")
        if session.dialled is not None and member.name != session.dialled:
            raise RefusedError("wrong-member", f"{member.name} answered for {session.dialled}")
        if self._book.banned(member.name, self._now_ms()):
            raise RefusedError("banned", member.name)
        return member.name

    def greeted(self, session: Session) -> None:
        """A session is ready: it becomes the pair's one session, or closes."""
        assert session.name is not None, "greeted before recognised"
        link = self._links[session.name]
        self._strangers.remove(session)
        if link.dialling is session:
            link.dialling = None
        old = link.session
        crossed = old is not None and self._crossed(old, session)
        if old is not None and not crossed:
            # The dialler has lost the old one, and perhaps what was said on it.
            old.close("replaced")
            if session.phase is not Phase.UP:
                return
        dialled = session.dialled is not None
        if crossed and not self._book.new_session_stays(link.name, new_dialled=dialled):
            link.retire(session)
            return
        session.outbox = link.outbox
        link.session = session
        self._book.session_up(link.name, self._now_ms())
        if crossed and old is not None:
            link.retire(old)
            return
        _log.info("peer %s up", link.name)
        self._handlers.on_up(link.name)

    def received(self, session: Session, frames: list[Frame], rtt_ms: int | None) -> None:
        """Count, charge and hand over the frames of one read."""
        assert session.name is not None, "received before recognised"
        link = self._links[session.name]
        size = self.stats.count_received(frames)
        now_ms = self._now_ms()
        self._book.seen(link.name, now_ms, rtt_ms)
        standing = self._book.received(link.name, size, len(frames), now_ms)
        self._apply(link, standing)
        payloads = [frame for frame in frames if frame[0] != CONTROL]
        if payloads and link.session is not None:
            self._handlers.on_frames(link.name, payloads)

    def faulted(self, session: Session, fault: PeerFault) -> None:
        """The session met a fault of the member."""
        assert session.name is not None, "faulted before recognised"
        self.charge(session.name, fault)

    def closed(self, session: Session, was: Phase, reason: str, detail: str) -> None:
        """A session or an attempt has ended."""
        name = session.name
        if was is Phase.UP:
            self.stats.sessions_closed[reason] += 1
        else:
            self.stats.handshake_failures[reason] += 1
            # A flood of strangers must not become a flood of log lines.
            level = logging.DEBUG if name is None else logging.WARNING
            whom = name or session.remote
            _log.log(level, "connection with peer %s failed: %s: %s", whom, reason, detail)
        link = None if name is None else self._links.get(name)
        if link is None:
            return
        if link.ended(session):
            for channel, dropped in enumerate(link.outbox.clear()):
                self.stats.frames_dropped[channel] += dropped
            self._book.session_down(link.name, self._now_ms())
            _log.info("peer %s down: %s: %s", name, reason, detail)
            self._handlers.on_down(link.name, reason)
        self._schedule_dial(link)

    def lost(self, session: Session) -> None:
        """A socket is gone."""
        self._sessions.pop(session, None)
        self._strangers.remove(session)
        if not self._sessions:
            self._empty.set()

    # Inside

    def _now_ms(self) -> int:
        return int(self._loop.time() * 1000)

    def _session(self, dialled: str | None) -> Session:
        timing = self._options.timing
        return Session(self, self._contexts, self._hello, timing, self.stats, dialled)

    def _crossed(self, old: Session, new: Session) -> bool:
        """Whether both sides dialled, neither knowing of the other's dial. That lasts no longer
        than TCP and TLS may take; whoever dials later has no session, whatever we believe."""
        both_dialled = (old.dialled is None) != (new.dialled is None)
        return both_dialled and new.up_ms - old.up_ms < 2 * self._options.timing.handshake_ms

    def _beat(self) -> None:
        for session in tuple(self._sessions):
            session.beat()
        interval_ms = min(1_000, self._options.timing.ping_ms)
        self._beat_timer = self._loop.call_later(interval_ms / 1000, self._beat)

    def _schedule_dial(self, link: Link) -> None:
        """Dial after the back-off, unless there is a session or an attempt already."""
        if link.busy or not self._running or self._book.peer(link.name) is None:
            return
        fraction = secrets.randbelow(1_000) / 1_000
        delay_ms = self._book.dial_delay_ms(link.name, self._now_ms(), fraction)
        link.dial_timer = self._loop.call_later(delay_ms / 1000, self._dial, link)

    def _dial(self, link: Link) -> None:
        link.dial_timer = None
        member = self._book.peer(link.name)
        if link.session is None and member is not None:
            link.dial_task = self._loop.create_task(self._connect(link, member.address))
            link.dial_task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._loop.call_exception_handler({"message": "dialling failed", "exception": error})

    async def _connect(self, link: Link, address: str) -> None:
        """Open the TCP connection; the session takes it from there."""
        host, port = parse_address(address)
        try:
            async with asyncio.timeout(self._options.timing.handshake_ms / 1000):
                _, session = await self._loop.create_connection(
                    lambda: self._session(link.name), host, port
                )
            link.dialling = session if session.phase < Phase.UP else None
        except (OSError, UnicodeError) as error:
            self.stats.handshake_failures["unreachable"] += 1
            _log.debug("peer %s at %s unreachable: %s", link.name, address, error)
        finally:
            link.dial_task = None
        self._schedule_dial(link)
