"""One connection: TLS, hello, frames in, coalesced writes out, pings, and a deadline for each."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol, cast

from p2p import framing
from p2p.framing import Frame, FrameDecoder
from p2p.outbox import Outbox
from p2p.stats import Stats
from p2p.tls import TlsContexts, TlsError, TlsStream
from p2p.wire import (
    CONTROL,
    PROTOCOL_VERSION,
    Fault,
    Hello,
    PeerFault,
    Ping,
    Pong,
    decode_control,
    encode,
)

WRITE_BYTES_MAX: Final = 262_144
"""What one turn of the loop gives to a socket, unless one frame is larger; also the level of the
socket's buffer above which nothing more is given to it."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Deadlines of a session in milliseconds."""

    handshake_ms: int = 5_000
    """From TCP accept or connect to the hello."""
    ping_ms: int = 5_000
    silence_ms: int = 15_000
    """Without any frame, or without the other side reading anything, the session ends."""
    linger_ms: int = 1_000
    """For the last words of a closed session to leave."""


class Phase(IntEnum):
    """A session only ever moves down this list."""

    HANDSHAKE = 0
    HELLO = 1
    """TLS is up and the member known; its hello has not come."""
    UP = 2
    CLOSED = 3


class RefusedError(Exception):
    """The owner does not want this session; `reason` is a stable code."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason: Final = reason


class SessionOwner(Protocol):
    """What a session asks of the transport. None of these may block."""

    def opened(self, session: Session) -> None:
        """A connection exists; nothing is known about the other side."""
        ...

    def recognise(self, session: Session, fingerprint: bytes) -> str:
        """The member with this leaf. Raises RefusedError."""
        ...

    def greeted(self, session: Session) -> None:
        """The hello was right; the session is UP unless the owner closes it."""
        ...

    def received(self, session: Session, frames: list[Frame], rtt_ms: int | None) -> None:
        """Complete frames, control included; `rtt_ms` when a pong was among them."""
        ...

    def faulted(self, session: Session, fault: PeerFault) -> None:
        """The member has to be charged."""
        ...

    def closed(self, session: Session, was: Phase, reason: str, detail: str) -> None:
        """Said once, as soon as the session is of no more use; `was` is its last phase."""
        ...

    def lost(self, session: Session) -> None:
        """The socket is gone. Said once, after `closed`."""
        ...


class Session(asyncio.Protocol):
    """The protocol of one TCP connection between two members."""

    def __init__(
        self,
        owner: SessionOwner,
        contexts: TlsContexts,
        hello: Hello,
        timing: Timing,
        stats: Stats,
        dialled: str | None,
    ) -> None:
        """`hello` is ours; `dialled` names the member we called, None when we were called."""
        self.dialled: Final = dialled
        self.name: str | None = dialled
        """The member; certain from HELLO on."""
        self.phase = Phase.HANDSHAKE
        self.remote = ""
        """The other side's IP address."""
        self.up_ms = 0
        """When the hello came."""
        self.outbox = Outbox()
        self._owner = owner
        self._hello = hello
        self._timing = timing
        self._stats = stats
        self._loop = asyncio.get_running_loop()
        self._tls = TlsStream(contexts, dialled=dialled is not None)
        self._decoder = FrameDecoder()
        self._socket: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        """Hello deadline, end of a reading pause or of retirement, linger: never two at once."""
        self._flush_handle: asyncio.Handle | None = None
        self._write_paused_ms: int | None = None
        self._reading_paused = False
        self._heard_ms = self._pinged_ms = self.now_ms()
        self._ping: Ping | None = None
        self._nonce = 0

    def now_ms(self) -> int:
        """Monotonic time of the loop."""
        return int(self._loop.time() * 1000)

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, since uvloop's transport is an asyncio.Transport by behaviour only.
        self._socket = socket = cast("asyncio.Transport", transport)
        socket.set_write_buffer_limits(high=WRITE_BYTES_MAX)
        peername = socket.get_extra_info("peername")
        self.remote = str(peername[0]) if peername else ""
        self._timer = self._loop.call_later(self._timing.handshake_ms / 1000, self._too_late)
        self._owner.opened(self)
        if self.phase is Phase.HANDSHAKE:
            self._tls.start()
            self._write_outgoing()

    def data_received(self, data: bytes) -> None:
        if self.phase is Phase.CLOSED:
            return
        try:
            plain = self._tls.receive(data)
            if self.phase is Phase.HANDSHAKE and self._tls.established:
                self._identify()
            self._write_outgoing()
        except (TlsError, RefusedError) as error:
            self.close(error.reason, str(error))
            return
        if plain:
            self._consume(plain)
        if self._tls.ended:
            self.close("ended")

    def pause_writing(self) -> None:
        self._write_paused_ms = self.now_ms()

    def resume_writing(self) -> None:
        self._write_paused_ms = None
        self.flush_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("connection-lost", str(exc or ""))
        self._cancel_timer()
        self._socket = None
        self._owner.lost(self)

    # What the transport calls

    @property
    def buffered_bytes(self) -> int:
        """Bytes given to the socket that the other side has not taken."""
        return 0 if self._socket is None else self._socket.get_write_buffer_size()

    def flush_soon(self) -> None:
        """Write what is in the outbox, once, in the next turn of the loop."""
        if self._flush_handle is None and self.phase is Phase.UP and self._write_paused_ms is None:
            self._flush_handle = self._loop.call_soon(self._flush)

    def pause_reading(self, pause_ms: int) -> None:
        """Leave the other side's bytes in the kernel for a while."""
        if self._socket is None or self.phase is not Phase.UP or self._reading_paused:
            return
        self._reading_paused = True
        self._socket.pause_reading()
        self._timer = self._loop.call_later(pause_ms / 1000, self._resume_reading)

    def beat(self) -> None:
        """Look after the session: ping after silence, end it after more. Called every second."""
        if self.phase is not Phase.UP:
            return
        now_ms = self.now_ms()
        silent_ms = now_ms - self._heard_ms
        stalled_ms = 0 if self._write_paused_ms is None else now_ms - self._write_paused_ms
        if stalled_ms >= self._timing.silence_ms:
            self.close("not-reading")
        elif silent_ms >= self._timing.silence_ms and not self._reading_paused:
            self.close("silent")
        elif silent_ms >= self._timing.ping_ms and now_ms - self._pinged_ms >= self._timing.ping_ms:
            self.ping()

    def ping(self) -> None:
        """Ask for a pong, which gives the round trip."""
        self._nonce += 1
        self._pinged_ms = self.now_ms()
        self._ping = Ping(self._nonce)
        self._send_control(self._ping)

    def retire(self) -> None:
        """Say nothing of the pair's outbox any more, and close in a while; what comes is read."""
        self.outbox = Outbox()
        if self._reading_paused:
            self.close("duplicate")
        elif self.phase is Phase.UP:
            linger = self._timing.linger_ms / 1000
            self._timer = self._loop.call_later(linger, self.close, "duplicate")

    def close(self, reason: str, detail: str = "") -> None:
        """End the session; `reason` is a stable code. Last words may still leave for a while."""
        if self.phase is Phase.CLOSED:
            return
        if self._socket is not None:
            self._tls.close()
            self._write_outgoing()
            self._socket.close()
        self._end(reason, detail)
        if self._socket is not None:
            self._timer = self._loop.call_later(self._timing.linger_ms / 1000, self.abort)

    def abort(self) -> None:
        """Drop the socket and what it still holds."""
        if self._socket is not None:
            self._socket.abort()

    # Inside

    def _end(self, reason: str, detail: str) -> None:
        if self.phase is Phase.CLOSED:
            return
        self._cancel_timer()
        if self._flush_handle is not None:
            self._flush_handle.cancel()
        was, self.phase = self.phase, Phase.CLOSED
        self._owner.closed(self, was, reason, detail)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        self.close("timeout", f"no hello within {self._timing.handshake_ms} ms")

    def _resume_reading(self) -> None:
        self._reading_paused = False
        self._timer = None
        self._heard_ms = self.now_ms()
        if self._socket is not None:
            self._socket.resume_reading()

    def _identify(self) -> None:
        """The handshake is done: who is it? Then our hello goes out as the first frame."""
        self.name = self._owner.recognise(self, self._tls.leaf_fingerprint())
        self.phase = Phase.HELLO
        frame = framing.encode(CONTROL, encode(self._hello))
        self._stats.count_sent((frame,))
        self._tls.send(frame)

    def _consume(self, plain: bytes) -> None:
        rtt_ms: int | None = None
        if self.phase is Phase.HELLO:
            first = self._decoder.receive(plain, frames_max=1)
            plain = b""
            if first and not self._greet(first[0][1]):
                return
        frames = self._decoder.receive(plain) if self.phase is Phase.UP else []
        if frames:
            self._heard_ms = self.now_ms()
            for channel, payload in frames:
                if channel == CONTROL:
                    measured_ms = self._control(payload)
                    rtt_ms = rtt_ms if measured_ms is None else measured_ms
                if self.phase is not Phase.UP:
                    return  # banned for a control frame
            self._owner.received(self, frames, rtt_ms)
        if self._decoder.fault is not None and self.phase is not Phase.CLOSED:
            self._break(self._decoder.fault)

    def _greet(self, payload: bytes) -> bool:
        """The first frame: whether it is a hello for this chain."""
        try:
            hello = decode_control(payload)
        except PeerFault as fault:
            self._break(fault)
            return False
        ours = self._hello
        if not isinstance(hello, Hello):
            self._break(PeerFault(Fault.MALFORMED, "the first frame is no hello"))
        elif hello.version != PROTOCOL_VERSION:
            self.close("wrong-version", f"theirs {hello.version}, ours {PROTOCOL_VERSION}")
        elif hello.chain != ours.chain:
            self.close("wrong-chain", f"theirs {hello.chain!r}, ours {ours.chain!r}")
        else:
            self._cancel_timer()
            self._decoder.open_all_channels()
            self._heard_ms = self.up_ms = self.now_ms()
            self.phase = Phase.UP
            self._owner.greeted(self)
            if self.phase is Phase.UP:
                self.ping()
                self.flush_soon()
        return self.phase is Phase.UP

    def _control(self, payload: bytes) -> int | None:
        """Handle a control frame; a pong to the last ping gives the round trip in ms."""
        try:
            message = decode_control(payload)
        except PeerFault as fault:
            self._owner.faulted(self, fault)
            return None
        if isinstance(message, Hello):
            self._owner.faulted(self, PeerFault(Fault.MALFORMED, "a second hello"))
        elif isinstance(message, Ping):
            self._send_control(Pong(message.nonce))
        elif self._ping is not None and message.nonce == self._ping.nonce:
            self._ping = None
            return self.now_ms() - self._pinged_ms
        return None

    def _break(self, fault: PeerFault) -> None:
        """The stream cannot go on."""
        self._owner.faulted(self, fault)
        self.close(fault.reason.value, str(fault))

    def _send_control(self, message: Ping | Pong) -> None:
        put = self.outbox.put(framing.encode(CONTROL, encode(message)))
        self._stats.frames_dropped[CONTROL] += put.dropped
        self.flush_soon()

    def _flush(self) -> None:
        self._flush_handle = None
        frames = self.outbox.take(WRITE_BYTES_MAX)
        if frames:
            self._stats.count_sent(frames)
            self._tls.send(b"".join(frames))
            self._write_outgoing()
        if self.outbox:
            self.flush_soon()

    def _write_outgoing(self) -> None:
        data = self._tls.take_outgoing()
        if data and self._socket is not None:
            self._stats.socket_writes += 1
            self._socket.write(data)
