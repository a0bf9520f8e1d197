"""Cores on a bench: messages pass at once, blocks are headers only, timers fire when told."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from consensus import effects as fx
from consensus.core import Core
from consensus.effects import Effect
from consensus.events import (
    Applied,
    BlockBuilt,
    BlockJudged,
    Event,
    Now,
    Received,
    Started,
    Timer,
    TimerFired,
    Work,
)
from consensus.leader import Schedule
from consensus.messages import Message, Propose, Signed, ViewChange, Vote, signed_text
from consensus.replica import Head, Replica
from consensus.timeouts import Timeouts
from ledger.block import Header, commit_hash, header_hash
from ledger.certificate import Certificate, Phase, genesis_certificate
from ledger.crypto import sha256
from ledger.ids import BlockHash, Height, MemberIndex, View
from ledger.validators import ValidatorSet
from tests.builders import GENESIS_TIME_MS, GenesisKit, make_genesis
from tests.sim.stand_in import StandInSigner

KIT: GenesisKit = make_genesis(4)
GENESIS = BlockHash(sha256(b"genesis block"))
START_MS = GENESIS_TIME_MS + 1_000
_Effect = TypeVar("_Effect", bound=Effect)


def signer(index: int) -> StandInSigner:
    """The stand-in key of member `index`."""
    return StandInSigner(KIT.vote_signers[index].public_key)


def sign(message: Signed, index: int | None = None) -> Signed:
    """`message` with the signature of its signer, or of another member."""
    key = signer(message.signer if index is None else index)
    return msgspec.structs.replace(message, signature=key.sign(signed_text(message, KIT.chain)))


def vote(
    phase: Phase,
    block_hash: bytes,
    index: int,
    *,
    view: int = 0,
    height: int = 1,
    epoch: int = 0,
) -> Vote:
    """A signed vote of member `index`."""
    made = sign(Vote(epoch, phase, view, height, block_hash, index, b""))
    assert isinstance(made, Vote)
    return made


def certify(
    phase: Phase,
    block_hash: bytes,
    *,
    view: int = 0,
    height: int = 1,
    epoch: int = 0,
    members: tuple[int, ...] = (0, 1, 2),
) -> Certificate:
    """A certificate by `members`."""
    votes = [
        vote(phase, block_hash, index, view=view, height=height, epoch=epoch) for index in members
    ]
    return Certificate(
        epoch, phase, view, height, block_hash, tuple((v.signer, v.signature) for v in votes)
    )


def view_change(
    index: int,
    view: int,
    *,
    committed: Certificate | None = None,
    highest: Certificate | None = None,
    epoch: int = 0,
) -> ViewChange:
    """A signed VIEW-CHANGE."""
    base = committed or genesis_certificate(GENESIS)
    made = sign(ViewChange(epoch, view, base, highest or base, index, b""))
    assert isinstance(made, ViewChange)
    return made


def header(
    height: int,
    parent: bytes,
    *,
    proposer: int = 0,
    time_ms: int = START_MS,
    epoch: int = 0,
    commit: Certificate | None = None,
) -> Header:
    """A header of an empty body that carries `commit`, by default genesis'."""
    empty = sha256(b"").hex()
    validators_hash = KIT.validators.hash.hex()
    return Header(
        chain=KIT.chain,
        epoch=epoch,
        height=height,
        parent=parent.hex(),
        proposer=proposer,
        time_ms=time_ms,
        tx_root=empty,
        receipts_root=empty,
        state_root=empty,
        validators_hash=validators_hash,
        next_validators_hash=validators_hash,
        history_root=empty,
        evidence_root=empty,
        commit_hash=commit_hash(commit or genesis_certificate(GENESIS)).hex(),
    )


def propose(
    made: Header, index: int, *, view: int = 0, commit: Certificate | None = None
) -> Propose:
    """A signed proposal of `made`."""
    signed = sign(
        Propose(
            made.epoch,
            view,
            made.height,
            made.encode(),
            header_hash(made),
            commit or genesis_certificate(GENESIS),
            (),
            (),
            index,
            b"",
        )
    )
    assert isinstance(signed, Propose)
    return signed


def replica(index: int | None, timeouts: Timeouts | None = None) -> Replica:
    """A replica of member `index` on genesis; None: one that does not vote."""
    validators = KIT.validators
    parameters = KIT.genesis.parameters
    certificate = genesis_certificate(GENESIS)
    return Replica(
        chain=KIT.chain,
        parameters=parameters,
        timeouts=timeouts or Timeouts(),
        signer=None if index is None else signer(index),
        validators=validators,
        head=Head(Height(0), GENESIS, GENESIS_TIME_MS, certificate),
        schedule=Schedule(
            members=len(validators),
            faults=validators.f,
            turn_length=parameters.turn_length,
            window=parameters.window,
            epoch=0,
            first=1,
        ),
        highest=certificate,
        view=View(0),
        start=Height(1),
    )


@dataclass
class Seat:
    """One core with everything that it asked for."""

    core: Core
    log: list[Effect] = field(default_factory=list)
    timers: dict[Timer, int] = field(default_factory=dict)
    events: deque[Event] = field(default_factory=deque)
    verdict: str = ""
    """What this seat answers to JudgeBlock; empty: valid."""

    def of(self, kind: type[_Effect]) -> list[_Effect]:
        """Logged effects of one kind."""
        return [effect for effect in self.log if isinstance(effect, kind)]

    def said(self, kind: type[Message]) -> list[Message]:
        """Messages of one type that it broadcast."""
        return [e.message for e in self.of(fx.Broadcast) if isinstance(e.message, kind)]


class Bench:
    """Four cores joined by a wire that loses what `drops` says."""

    def __init__(self, cores: dict[int, Core] | None = None) -> None:
        made = cores or {i: Core(replica(i)) for i in range(4)}
        self.seats = {index: Seat(core) for index, core in made.items()}
        self.drops: Callable[[int, int, Message], bool] = lambda source, target, message: False
        self.blocks: dict[bytes, Header] = {}
        self.mono_ms = 10_000
        self.lag_ms = 0
        self.closes: ValidatorSet | None = None
        """The set that the next applied block opens."""

    def now(self) -> Now:
        """One clock for all."""
        return Now(self.mono_ms, START_MS + self.mono_ms - 10_000)

    def give(self, index: int, event: Event) -> None:
        """Hand one event to a core and let everything follow from it."""
        self.seats[index].events.append(event)
        while any(seat.events for seat in self.seats.values()):
            for number, seat in self.seats.items():
                if seat.events:
                    effects = seat.core.handle(seat.events.popleft(), self.now())
                    for effect in effects:
                        seat.log.append(effect)
                        self._perform(number, seat, effect)

    def everyone(self, event: Event) -> None:
        """Hand one event to all cores."""
        for index in self.seats:
            self.give(index, event)

    def fire(self, index: int, timer: Timer) -> None:
        """Let an armed timer fire."""
        self.give(index, TimerFired(timer, self.seats[index].timers.pop(timer)))

    def heights(self) -> list[int]:
        """Committed heights."""
        return [seat.core.replica.head.height for seat in self.seats.values()]

    def _perform(self, index: int, seat: Seat, effect: Effect) -> None:
        match effect:
            case fx.Broadcast(message):
                for other in self.seats:
                    if other != index:
                        self._carry(index, other, message)
            case fx.Send(to, message):
                self._carry(index, int(to), message)
            case fx.SetTimer(timer, token, _):
                seat.timers[timer] = token
            case fx.CancelTimer(timer):
                seat.timers.pop(timer, None)
            case fx.BuildBlock(view, height, time_ms):
                head = seat.core.replica.head
                made = header(height, head.block_hash, proposer=index, time_ms=time_ms)
                made = msgspec.structs.replace(made, epoch=seat.core.replica.epoch)
                self._built(seat, view, height, made)
            case fx.FindBlock(view, height, block_hash, _):
                self._built(seat, view, height, self.blocks[block_hash])
            case fx.JudgeBlock(proposal):
                self.blocks[proposal.block_hash] = Header.decode(proposal.header)
                seat.events.append(
                    BlockJudged(
                        View(proposal.view),
                        Height(proposal.height),
                        BlockHash(proposal.block_hash),
                        seat.verdict,
                    )
                )
            case fx.Decide(certificate):
                seat.events.append(self.applied(certificate))
            case _:
                pass

    def _carry(self, source: int, target: int, message: Message) -> None:
        if target in self.seats and not self.drops(source, target, message):
            self.seats[target].events.append(Received(MemberIndex(source), message))

    def _built(self, seat: Seat, view: View, height: Height, made: Header) -> None:
        self.blocks[header_hash(made)] = made
        commit = seat.core.replica.head.certificate
        seat.events.append(BlockBuilt(view, height, made, commit, (), ()))

    def applied(self, certificate: Certificate) -> Applied:
        """The event that a decided or caught-up block makes."""
        made = self.blocks[certificate.block_hash]
        parent = genesis_certificate(GENESIS)
        return Applied(made, BlockHash(certificate.block_hash), certificate, parent, 1, self.closes)


WORK = Work(pending=True, overdue=False)
QUIET = Work(pending=False, overdue=False)


def started() -> Bench:
    """Four replicas that began."""
    bench = Bench()
    bench.everyone(Started())
    return bench


def committed_one() -> Bench:
    """Four replicas at height 1."""
    bench = started()
    bench.give(0, WORK)
    bench.give(0, QUIET)
    assert bench.heights() == [1, 1, 1, 1]
    return bench
