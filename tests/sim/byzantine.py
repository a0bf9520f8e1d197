"""Nodes that misbehave: the production machine behind an interpreter that lies.

They sign with their own keys only, so at most f of them must never break a safety rule.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

import msgspec

from consensus import messages
from consensus.events import Now
from consensus.messages import Heartbeat, NewView, Propose, Signed, Status, ViewChange, Vote
from ledger.certificate import Phase
from ledger.crypto import Signer, sha256
from node import wire
from node.outputs import BroadcastFrame, Frames, NodeEvent, Output, SendFrame
from p2p.wire import BLOCKS, CONSENSUS, TRANSACTIONS
from tests.sim import bad_blocks
from tests.sim.node import SimNode

if TYPE_CHECKING:
    from tests.sim.world import World

ACT_SHARE = 0.7
"""How often an adversary acts when it could; always doing so would be easy to tell."""
CENSORED = "agency-0"


class ByzantineNode(SimNode):
    """One adversary with one strategy."""

    correct = False

    def __init__(self, world: World, number: int, name: str, signer: Signer, strategy: str) -> None:
        super().__init__(world, number, name, signer)
        self.strategy = strategy
        self.acts = 0
        self._key = signer
        self._rng = Random(f"byzantine {world.options.seed} {number}")
        self._twins: dict[tuple[int, int], tuple[bytes, frozenset[str]]] = {}
        """(view, height) -> (hash of the second block, who is shown it)."""
        self._twist: dict[str, Callable[[messages.Message], bool]] = {
            "equivocate": self._equivocate,
            "double-vote": self._double_vote,
            "silent": self._silent,
            "slow-leader": self._slow_leader,
            "stale-view-change": self._stale_view_change,
            "bad-new-view": self._bad_new_view,
            "liar": self._lie,
            "view-racer": self._race,
            "bad-block": self._bad_block,
        }

    # ----- life

    def start(self) -> None:
        """An amnesiac comes back without its votes."""
        if self.strategy == "amnesia":
            self.disk.stage({key: None for key, _ in self.disk.scan(b"w")})
            self.disk.flush()
            self.world.later(self._rng.randrange(500_000, 3_000_000), self._faint)
        super().start()

    def _faint(self) -> None:
        if self.up and not self.world.healed:
            self._acts()
            self.crash()
            self.world.later(self._rng.randrange(1_000, 400_000), self.world.revive, self)

    def _acts(self) -> None:
        self.acts += 1
        self.world.counts[f"byzantine {self.strategy}"] += 1
        self.world.counts["family byzantine"] += 1

    def _willing(self) -> bool:
        return self._rng.random() < ACT_SHARE

    def handle(self, event: NodeEvent, now: Now) -> list[Output]:
        mute = self.strategy == "withhold" or (
            self.strategy == "liar" and self.world.options.seed % 2 == 1
        )
        if mute and isinstance(event, Frames):
            event = Frames(event.peer, tuple(f for f in event.frames if not self._refuses(*f)))
        try:
            outputs = super().handle(event, now)
        except AssertionError:  # its own lies confused it
            outputs = []
        if self.strategy == "censor":
            pool = self.machine.mempool
            hidden = [
                waiting.admitted.transaction.id
                for waiting in pool.all()
                if waiting.admitted.transaction.iss == CENSORED
            ]
            if hidden:
                self._acts()
                pool.remove(hidden)
        if self.strategy == "eager-commit" and isinstance(event, Frames):
            self._commit_unseen(event)
        return outputs

    def _refuses(self, channel: int, payload: bytes) -> bool:
        if channel == BLOCKS and b"want-" in payload[:16]:
            self._acts()
            return True
        return channel == TRANSACTIONS and b"want" in payload[:8]

    # ----- speech

    def perform_one(self, output: Output) -> None:
        if isinstance(output, SendFrame | BroadcastFrame):
            if output.channel == CONSENSUS:
                twist = self._twist.get(self.strategy)
                if twist is not None and twist(messages.decode(output.payload)):
                    return
            elif self.strategy == "withhold" and output.channel == TRANSACTIONS:
                return
            elif self.strategy == "liar" and output.channel == BLOCKS:
                output = self._lying_blocks(output)
        super().perform_one(output)

    def _others(self) -> list[str]:
        return [name for name in self.world.nodes if name != self.name]

    def _sign(self, message: Signed) -> Signed:
        text = messages.signed_text(message, self.world.kit.genesis.chain)
        return msgspec.structs.replace(message, signature=self._key.sign(text))

    def _tell(self, message: messages.Message, names: list[str]) -> None:
        payload = messages.encode(message)
        for name in names:
            self.world.network.send(self.name, name, CONSENSUS, payload)

    def _other_block(self, propose: Propose) -> Propose | None:
        """Another valid block for the same place."""
        chain = self.machine.chain
        if propose.height != chain.height + 1:
            return None
        candidate = chain.build(
            propose.signer,
            self.now().wall_ms + self._rng.randint(1, 9),
            [item.admitted for item in self.machine.mempool.candidates(100_000, 4)][:2],
            [],
            self.machine.mempool,
        )
        changed = msgspec.structs.replace(
            propose,
            header=candidate.block.header,
            block_hash=candidate.block_hash,
            commit=candidate.block.commit,
            transaction_ids=tuple(bytes(item.transaction.id) for item in candidate.transactions),
            evidence=candidate.block.evidence,
        )
        signed = self._sign(changed)
        assert isinstance(signed, Propose)
        return signed

    def _bad_block(self, message: messages.Message) -> bool:
        """Proposals that break one rule each."""
        if not isinstance(message, Propose) or message.signer != self._me():
            return False
        if message.height != self.machine.chain.height + 1 or not self._willing():
            return False
        changed = bad_blocks.broken(self, self._rng, message)
        if changed is None:
            return False
        self._acts()
        self._tell(self._sign(changed), self._others())
        return True

    # ----- strategies: each returns whether it took the message over

    def _equivocate(self, message: messages.Message) -> bool:
        """Two blocks for one place, each shown to one side, each with its votes."""
        if isinstance(message, Propose) and message.signer == self._me():
            key = (message.view, message.height)
            if key not in self._twins:
                other = self._other_block(message) if self._willing() else None
                if other is None or other.block_hash == message.block_hash:
                    return False
                names = self._others()
                side = frozenset(self._rng.sample(names, self._rng.randint(1, len(names) - 1)))
                self._twins[key] = (other.block_hash, side)
                self._acts()
                self._tell(other, sorted(side))
                self._tell(message, [name for name in names if name not in side])
                return True
            return False
        if isinstance(message, Vote) and message.signer == self._me():
            twin = self._twins.get((message.view, message.height))
            if twin is None:
                return False
            other_hash, side = twin
            self._tell(self._vote(message, other_hash), sorted(side))
            self._tell(message, [name for name in self._others() if name not in side])
            if message.phase is Phase.PREPARE:  # commits before it could know of a quorum
                early = msgspec.structs.replace(message, phase=Phase.COMMIT)
                self._tell(self._vote(early, other_hash), sorted(side))
            return True
        return False

    def _me(self) -> int | None:
        return self.machine.core.replica.me

    def _vote(self, vote: Vote, block_hash: bytes) -> Signed:
        return self._sign(msgspec.structs.replace(vote, block_hash=block_hash))

    def _double_vote(self, message: messages.Message) -> bool:
        """A second vote beside each, and each vote several times."""
        if not isinstance(message, Vote) or not self._willing():
            return False
        self._acts()
        names = self._others()
        self._rng.shuffle(names)
        half = self._rng.randint(0, len(names))
        other = self._vote(message, sha256(message.block_hash))
        self._tell(other, names[:half])
        self._tell(message, names)
        self._tell(message, names)
        self._tell(other, names[half:])
        return True

    def _silent(self, message: messages.Message) -> bool:
        """Says nothing that matters; sometimes it hides one kind of message only."""
        kinds: tuple[type, ...] = (Propose, Vote, ViewChange, NewView, Status, Heartbeat)
        hidden = kinds if self.world.options.seed % 2 else (kinds[self.world.options.seed % 6],)
        if isinstance(message, hidden):
            self._acts()
            return True
        return False

    def _slow_leader(self, message: messages.Message) -> bool:
        """Proposes just before, or just after, the others lose patience."""
        if not isinstance(message, Propose):
            return False
        self._acts()
        delay_us = self._rng.randrange(300_000, 1_400_000)
        self.world.later(delay_us, self._tell, message, self._others())
        return True

    def _stale_view_change(self, message: messages.Message) -> bool:
        """Conceals the certificates that it holds."""
        if not isinstance(message, ViewChange):
            return False
        self._acts()
        archive = self.machine.chain.archive
        height = self._rng.randint(0, self.machine.chain.height)
        old = archive.certificate(height)
        if old is None or message.epoch - old.epoch > 1:
            return False
        changed = msgspec.structs.replace(message, committed=old, highest=old)
        if old.epoch == message.epoch and old.view >= message.view:
            return False
        self._tell(self._sign(changed), self._others())
        return True

    def _bad_new_view(self, message: messages.Message) -> bool:
        """NEW-VIEWs that no backup may install, and first proposals that do not follow."""
        if isinstance(message, Propose):
            plan = self.machine.core.replica.plan
            if plan is None or plan.tip is None or message.height != plan.start:
                return False
            other = self._other_block(message)
            if other is None:
                return False
            self._acts()
            self._tell(other, self._others())
            return True
        if not isinstance(message, NewView) or not self._willing():
            return False
        self._acts()
        changes = message.view_changes
        weakest = self._weakened(changes)
        variants = (
            changes[:-1],
            (*changes[:-1], changes[0]),
            (changes[0],) * len(changes),
            weakest,
        )
        for name in self._others():
            chosen = self._rng.choice(variants)
            self._tell(self._sign(msgspec.structs.replace(message, view_changes=chosen)), [name])
        return True

    def _weakened(self, changes: tuple[ViewChange, ...]) -> tuple[ViewChange, ...]:
        """Its own VIEW-CHANGE replaced by one that holds nothing but genesis."""
        genesis = self.machine.chain.archive.certificate(0)
        assert genesis is not None
        made: list[ViewChange] = []
        for change in changes:
            if change.signer == self._me() and change.epoch <= 1:
                bare = msgspec.structs.replace(change, committed=genesis, highest=genesis)
                signed = self._sign(bare)
                assert isinstance(signed, ViewChange)
                made.append(signed)
            else:
                made.append(change)
        return tuple(made)

    def _lie(self, message: messages.Message) -> bool:
        """Claims heights that it has not, or that nobody has."""
        if not isinstance(message, Status | Heartbeat) or not self._willing():
            return False
        self._acts()
        claim = message.committed + self._rng.choice((1, 2, 1_000, 2**40))
        self._tell(self._sign(msgspec.structs.replace(message, committed=claim)), self._others())
        return True

    def _lying_blocks(self, output: SendFrame | BroadcastFrame) -> SendFrame | BroadcastFrame:
        """Blocks whose certificates are forged, exchanged or missing votes."""
        message = wire.decode(output.payload)
        if not isinstance(message, wire.Blocks) or not self._willing():
            return output
        self._acts()
        rows = list(message.blocks)
        if rows:
            block, certificate = rows[-1]
            forged = (
                msgspec.structs.replace(certificate, signatures=certificate.signatures[:1] * 3),
                msgspec.structs.replace(certificate, signatures=certificate.signatures[:2]),
                rows[0][1],
            )
            rows[-1] = (block, self._rng.choice(forged))
        payload = wire.encode(msgspec.structs.replace(message, blocks=tuple(rows)))
        if isinstance(output, SendFrame):
            return SendFrame(output.peer, output.channel, payload)
        return BroadcastFrame(output.channel, payload)

    def _race(self, message: messages.Message) -> bool:
        """Asks for views far ahead."""
        replica = self.machine.core.replica
        me = replica.me
        if not isinstance(message, Status) or me is None or not self._willing():
            return False
        self._acts()
        change = ViewChange(
            epoch=replica.epoch,
            view=replica.view_in_force + self._rng.choice((1, 1, 2, 3, 1_000_000)),
            committed=replica.head.certificate,
            highest=replica.highest,
            signer=me,
            signature=b"",
        )
        self._tell(self._sign(change), self._others())
        return False

    def _commit_unseen(self, event: Frames) -> None:
        """COMMITs whatever is proposed, without waiting for anybody."""
        me = self._me()
        for channel, payload in event.frames:
            if channel != CONSENSUS or me is None or b"propose" not in payload[:12]:
                continue
            message = messages.decode(payload)
            assert isinstance(message, Propose)
            self._acts()
            for phase in (Phase.COMMIT, Phase.PREPARE):
                vote = Vote(
                    message.epoch,
                    phase,
                    message.view,
                    message.height,
                    message.block_hash,
                    me,
                    b"",
                )
                self._tell(self._sign(vote), self._others())
