"""Runtime: the asyncio interpreter of the machine. Events in, outputs performed, group commit.

Everything that waits is handled in one turn, then one synced batch makes all of it durable, then
the sends go out: the more there is to do, the fewer syncs a message costs. No task and no future
exists for a transaction; a client's batch has one future.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, assert_never

from consensus.effects import CancelTimer, SetTimer
from consensus.events import Now, Started, Timer, TimerFired
from node.machine import Machine
from node.outputs import (
    Accused,
    Answer,
    BlockCommitted,
    BroadcastFrame,
    Charge,
    EpochOpened,
    Flush,
    NodeEvent,
    Outcome,
    Output,
    SendFrame,
    Stop,
    Submitted,
    Tick,
)
from p2p.wire import PeerFault

EVENTS_PER_TURN_MAX = 512
TICK_SECONDS = 0.1


class Peers(Protocol):
    """What the runtime asks of the transport."""

    def send(self, member: str, channel: int, payload: bytes) -> bool:
        """Queue one frame to one member; never blocks. False when it was dropped."""
        ...

    def broadcast(self, channel: int, payload: bytes) -> None:
        """Queue one frame to every member; never blocks."""
        ...

    def charge(self, member: str, fault: PeerFault) -> None:
        """Add a fault to the member's account."""
        ...


class Observer(Protocol):
    """Who watches: metrics, logs, subscribers. Must not raise and must be quick."""

    def performed(self, output: Output) -> None:
        """An output was performed; a BlockCommitted is durable by now."""
        ...

    def turn(self, events: int, seconds: float) -> None:
        """One turn handled `events` events in `seconds`."""
        ...


class Stopped(Exception):
    """The runtime stopped before it could answer."""


class SafetyStop(Exception):
    """The machine refuses to go on. Exit code 78."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Runtime:
    """Drives one machine on one event loop until something stops it."""

    def __init__(
        self, machine: Machine, flush: Callable[[], None], peers: Peers, observer: Observer
    ) -> None:
        self._machine = machine
        self._flush = flush
        self._peers = peers
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._events: deque[NodeEvent] = deque()
        self._scheduled = False
        self._timers: dict[Timer, asyncio.TimerHandle] = {}
        self._tickets: dict[int, asyncio.Future[tuple[Outcome, ...]]] = {}
        self._next_ticket = 0
        self._tick: asyncio.TimerHandle | None = None
        self._tick_posted = False
        self.stopped: asyncio.Future[None] = self._loop.create_future()
        """Done when the runtime stopped: with the exception that stopped it, or None."""

    def start(self) -> None:
        """Begin: the core's first effects, and the ticks."""
        self.post(Started())
        self._on_tick()

    def stop(self) -> None:
        """End in order: nothing more is handled."""
        for handle in self._timers.values():
            handle.cancel()
        self._timers.clear()
        if self._tick is not None:
            self._tick.cancel()
        self._events.clear()
        for future in self._tickets.values():
            if not future.done():
                future.set_exception(Stopped())
        self._tickets.clear()
        if not self.stopped.done():
            self.stopped.set_result(None)

    def post(self, event: NodeEvent) -> None:
        """Queue an event for this turn of the loop."""
        if self.stopped.done():
            return
        self._events.append(event)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    async def submit(self, transactions: Sequence[bytes]) -> tuple[Outcome, ...]:
        """Offer a client's transactions; the outcome of each, in order. Raises Stopped."""
        if self.stopped.done():
            raise Stopped
        self._next_ticket += 1
        future: asyncio.Future[tuple[Outcome, ...]] = self._loop.create_future()
        self._tickets[self._next_ticket] = future
        self.post(Submitted(tuple(transactions), self._next_ticket))
        return await future

    def _on_tick(self) -> None:
        if not self._tick_posted:
            self._tick_posted = True
            self.post(Tick())
        self._tick = self._loop.call_later(TICK_SECONDS, self._on_tick)

    def _turn(self) -> None:
        self._scheduled = False
        started = time.perf_counter()
        try:
            count, outputs = self._handle_waiting()
            if any(isinstance(output, Flush) for output in outputs):
                self._flush()
            for output in outputs:
                self._perform(output)
        except Exception as error:  # whatever it is, the node must not go on
            self.fail(error)
            return
        self._observer.turn(count, time.perf_counter() - started)
        if self._events and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _handle_waiting(self) -> tuple[int, list[Output]]:
        outputs: list[Output] = []
        count = 0
        now = Now(time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000)
        while self._events and count < EVENTS_PER_TURN_MAX:
            event = self._events.popleft()
            if isinstance(event, Tick):
                self._tick_posted = False
            outputs += self._machine.handle(event, now)
            count += 1
        return count, outputs

    def fail(self, error: Exception) -> None:
        """Stop because of `error`: the process ends with its exit code."""
        if not self.stopped.done():
            self.stopped.set_exception(error)
        self.stop()

    def _perform(self, output: Output) -> None:
        match output:
            case Flush():
                return
            case SendFrame(peer, channel, payload):
                self._peers.send(peer, channel, payload)
            case BroadcastFrame(channel, payload):
                self._peers.broadcast(channel, payload)
            case SetTimer(timer, token, delay_ms):
                self._arm(timer, token, delay_ms)
            case CancelTimer(timer):
                handle = self._timers.pop(timer, None)
                if handle is not None:
                    handle.cancel()
            case Charge(peer, fault):
                self._peers.charge(peer, fault)
            case Answer(ticket, outcomes):
                future = self._tickets.pop(ticket, None)
                if future is not None and not future.done():
                    future.set_result(outcomes)
            case BlockCommitted() | EpochOpened() | Accused():
                pass
            case Stop(reason, detail):
                self._observer.performed(output)
                raise SafetyStop(reason, detail)
            case _:
                assert_never(output)
        self._observer.performed(output)

    def _arm(self, timer: Timer, token: int, delay_ms: int) -> None:
        handle = self._timers.get(timer)
        if handle is not None:
            handle.cancel()
        self._timers[timer] = self._loop.call_later(
            delay_ms / 1000, self.post, TimerFired(timer, token)
        )
