"""A handful of machines in one process, with every frame in the test's hands."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from consensus import messages
from consensus.effects import CancelTimer, SetTimer
from consensus.events import Now, Started, Timer, TimerFired
from consensus.messages import Message, Signed, signed_text
from consensus.timeouts import Timeouts
from ledger import base64url
from ledger.crypto import Ed25519Verifier, Signer
from ledger.ids import PartyId
from ledger.parameters import Parameters
from ledger.signed_text import approval_text
from ledger.store import MemoryStore
from node import wire
from node.chain import Chain
from node.daemon import build_machine, build_replica
from node.machine import Machine, Patience
from node.mempool import Limits
from node.outputs import (
    BroadcastFrame,
    Charge,
    Flush,
    Frames,
    NodeEvent,
    Output,
    SendFrame,
    Stop,
    Submitted,
    Tick,
)
from node.verifier import CountingVerifier
from p2p.wire import BLOCKS, CONSENSUS, TRANSACTIONS
from tests.builders import GENESIS_TIME_MS, GenesisKit, kid_of, make_genesis

_Signed = TypeVar("_Signed", bound=Signed)


@dataclass
class Node:
    """One machine, its disk and its timers."""

    number: int
    store: MemoryStore
    machine: Machine
    verifier: CountingVerifier
    up: bool = True
    timers: dict[Timer, tuple[int, int]] = field(default_factory=dict)
    """Timer -> (token, due ms)."""
    charges: list[Charge] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"member-{self.number}"

    @property
    def height(self) -> int:
        return self.machine.chain.height


@dataclass(frozen=True)
class Sent:
    """A frame under way."""

    source: int
    target: int
    channel: int
    payload: bytes

    @property
    def message(self) -> Message | wire.Message | None:
        """The decoded message of channels 1 and 3."""
        if self.channel == CONSENSUS:
            return messages.decode(self.payload)
        return wire.decode(self.payload) if self.channel == BLOCKS else None


class Net:
    """Delivers frames in order, drops those that `drops` names, and moves time by hand."""

    def __init__(self, n: int = 4, parameters: Parameters | None = None) -> None:
        self.kit: GenesisKit = make_genesis(n, name="review", parameters=parameters)
        self.ms = 0
        self.frames: deque[Sent] = deque()
        self.nodes: list[Node] = []
        self.signers: list[Signer] = list(self.kit.vote_signers)
        for number in range(n):
            self.nodes.append(self.open(number, MemoryStore()))

    def open(self, number: int, store: MemoryStore) -> Node:
        """A node on `store`, not started."""
        verifier = CountingVerifier(Ed25519Verifier())
        chain = Chain(store, self.kit.genesis, verifier)
        timeouts = Timeouts(block_interval_max_ms=chain.parameters.block_interval_max_ms)
        replica = build_replica(chain, self.signers[number], timeouts, store)
        machine = build_machine(chain, store, replica, verifier, Limits(), Patience())
        return Node(number, store, machine, verifier)

    def now(self) -> Now:
        return Now(1_000_000 + self.ms, GENESIS_TIME_MS + 1_000 + self.ms)

    def start(self) -> None:
        for node in self.nodes:
            self.post(node, Started())

    def post(self, node: Node, event: NodeEvent) -> list[Output]:
        """Handle one event and carry out what it asks for."""
        outputs = node.machine.handle(event, self.now())
        if any(isinstance(output, Flush) for output in outputs):
            node.store.flush()
        for output in outputs:
            self._perform(node, output)
        return outputs

    def _perform(self, node: Node, output: Output) -> None:
        match output:
            case SendFrame(peer, channel, payload):
                target = int(peer.rsplit("-", 1)[1])
                self.frames.append(Sent(node.number, target, channel, payload))
            case BroadcastFrame(channel, payload):
                for other in self.nodes:
                    if other is not node:
                        self.frames.append(Sent(node.number, other.number, channel, payload))
            case SetTimer(timer, token, delay_ms):
                node.timers[timer] = (token, self.ms + delay_ms)
            case CancelTimer(timer):
                node.timers.pop(timer, None)
            case Charge():
                node.charges.append(output)
            case Stop():
                node.stops.append(output)
            case _:
                pass

    def deliver(self, sent: Sent) -> None:
        """Hand one frame to its target, if source and target are up."""
        target = self.nodes[sent.target]
        if target.up and self.nodes[sent.source].up:
            frames = ((sent.channel, sent.payload),)
            self.post(target, Frames(f"member-{sent.source}", frames))

    def settle(self, rounds: int = 10_000) -> None:
        """Deliver until nothing is under way."""
        while self.frames:
            rounds -= 1
            assert rounds, "the nodes talk without end"
            self.deliver(self.frames.popleft())

    def say(self, source: int, target: int, message: Message) -> None:
        """Hand a message to `target` as a frame of `source`'s session."""
        self.deliver(Sent(source, target, CONSENSUS, messages.encode(message)))

    def submit(self, number: int, raw: bytes) -> None:
        self.post(self.nodes[number], Submitted((raw,), 0))

    def push(self, source: int, target: int, payload: bytes) -> None:
        self.deliver(Sent(source, target, TRANSACTIONS, payload))

    def fire(self, number: int, timer: Timer) -> None:
        """Let a timer of a node fire now."""
        node = self.nodes[number]
        token, _ = node.timers.pop(timer)
        self.post(node, TimerFired(timer, token))

    def run(self, duration_ms: int, step_ms: int = 50) -> None:
        """Time passes: timers, ticks, and instant delivery."""
        end = self.ms + duration_ms
        while self.ms < end:
            self.ms += step_ms
            for node in self.nodes:
                if not node.up:
                    continue
                for timer, (token, due) in sorted(node.timers.items(), key=lambda t: t[1]):
                    if due <= self.ms and node.timers.get(timer) == (token, due):
                        self.fire(node.number, timer)
                self.post(node, Tick())
            self.settle()

    def signed(self, number: int, message: _Signed, signer: Signer | None = None) -> _Signed:
        """`message` with the signature of member `number`."""
        key = signer or self.signers[number]
        return replace(message, signature=key.sign(signed_text(message, self.kit.chain)))

    def close_epoch(self, keep: list[int], jti: str = "close", iss: str = "agency-1") -> bytes:
        """A transaction that makes the members `keep` (by number) the next set."""
        validators = self.nodes[keep[0]].machine.chain.validators
        by_name = {member.name: member for member in validators.members}
        members = [by_name[f"member-{number}"] for number in keep]
        op: dict[str, Any] = {
            "op": "sys.epoch_close",
            "epoch": validators.epoch,
            "members": [msgspec.to_builtins(member) for member in members],
            "proofs": {},
        }
        text = approval_text(self.kit.chain, PartyId(iss), jti, 0, op)
        op["approvals"] = [
            {
                "agency": agency,
                "kid": kid_of(key),
                "signature": base64url.encode(key.sign(text)),
            }
            for agency, key in self.kit.agency_signers.items()
        ]
        return self.kit.sign(iss, jti, [op])
