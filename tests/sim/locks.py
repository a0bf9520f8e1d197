"""What quorums bind: one certificate a slot, commit-lock, availability, epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consensus.messages import Propose, Vote
from ledger.certificate import Certificate
from node.archive import height_key
from node.outputs import BlockCommitted

if TYPE_CHECKING:
    from tests.sim.checkers import Checkers
    from tests.sim.node import SimNode
    from tests.sim.world import World


class Locks:
    """What certificates and commits bind."""

    def __init__(self, world: World, checkers: Checkers) -> None:
        self._world = world
        self._checkers = checkers
        self._prepared: dict[tuple[int, int, int], bytes] = {}
        """(epoch, view, height) -> the one prepared block."""
        self._plans: dict[tuple[int, int, int, bytes | None], str] = {}
        """(epoch, view, start, tip) of views installed by correct nodes."""
        self._decided: dict[int, tuple[int, int, bytes]] = {}
        """Height -> (epoch, lowest view that is known to have committed it, block)."""
        self._keys: dict[int, tuple[bytes, ...]] = {
            0: world.kit.genesis.validators().vote_keys,
        }
        self._seen: dict[str, object] = {}
        self._votes: dict[tuple[int, int], dict[int, bytes]] = {}
        """(epoch, height) -> view -> block that a correct node prepared."""

    def keys(self, epoch: int) -> tuple[bytes, ...]:
        """Vote keys of an epoch's members, from the first correct node that opened it."""
        if epoch not in self._keys:
            for node in self._world.correct_nodes():
                row = node.machine.chain.archive.epoch_set(epoch)
                if row is not None:
                    self._keys[epoch] = row[1].vote_keys
                    break
        return self._keys[epoch]

    def changes(self, height: int) -> None:
        """S14: the set that follows block `height` differs by at most max(1, f) members."""
        epoch = self._checkers.headers[height].epoch
        before, after = self.keys(epoch), self.keys(epoch + 1)
        f = (len(before) - 1) // 3
        gone = len(set(before) - set(after)) + len(set(after) - set(before))
        self._checkers.require("S14 changes", gone <= 2 * max(1, f), f"{gone} changes")
        self._checkers.require("S14 members", len(after) >= 4, f"{len(after)} members")
        self._world.counts["epochs"] += 1

    # ----- certificates

    def turned(self, node: SimNode) -> None:
        """Look at a node's certificates and its view when they changed."""
        replica = node.machine.core.replica
        seen = (replica.highest, replica.new_view, replica.installed)
        if self._seen.get(node.name) == seen:
            return
        self._seen[node.name] = seen
        self._one_certificate(replica.highest)
        plan = replica.plan
        if replica.installed and plan is not None:
            self._world.counts["view changes"] += 1
            key = (int(replica.epoch), int(replica.view), int(plan.start), plan.tip)
            if key not in self._plans:
                self._plans[key] = node.name
                for height, (epoch, view, block_hash) in self._decided.items():
                    self._lock(key, height, epoch, view, block_hash)

    def _one_certificate(self, certificate: Certificate) -> None:
        if certificate.height == 0:
            return
        key = (certificate.epoch, certificate.view, certificate.height)
        known = self._prepared.get(key)
        if known is None:
            self._prepared[key] = certificate.block_hash
            self._available(certificate)
        else:
            self._checkers.require("S8 one certificate", known == certificate.block_hash, f"{key}")

    def _available(self, certificate: Certificate) -> None:
        """S12: of a quorum that prepared, all but the faulty hold the block on disk.

        A certificate that lost to another block is of no use any more: its body may be gone.
        """
        if certificate.height in self._checkers.hashes:
            return
        holders = sum(
            1
            for node in self._world.correct_nodes()
            if node.disk.durable_get(height_key(b"B", certificate.height) + certificate.block_hash)
            is not None
        )
        least = self._quorum(certificate.epoch) - self._world.faulty()
        self._checkers.require(
            "S12 availability", holders >= least, f"{holders} hold {certificate.height}"
        )

    def _quorum(self, epoch: int) -> int:
        n = len(self.keys(epoch))
        return (n + (n - 1) // 3 + 2) // 2

    def said_prepare(self, node: SimNode, message: Propose | Vote) -> None:
        """S9: once committed, no other block is prepared by the correct in any higher view."""
        key = (message.epoch, message.height)
        self._votes.setdefault(key, {})[message.view] = message.block_hash
        decided = self._decided.get(message.height)
        if decided is not None and decided[0] == message.epoch and decided[1] < message.view:
            self._checkers.require(
                "S9 commit-lock",
                decided[2] == message.block_hash,
                f"{node.name} prepares against the commit of {message.height}",
            )

    def said_commit(self, node: SimNode, message: Propose | Vote) -> None:
        """A COMMIT is said by those alone who hold a certificate at least as high, on disk."""
        highest = self._checkers.highest(node)
        self._checkers.require("S9 commit-lock", highest is not None, f"{node.name} holds nothing")
        assert highest is not None
        if highest.epoch == message.epoch:
            self._checkers.require(
                "S9 commit-lock",
                (highest.view, highest.height) >= (message.view, message.height),
                f"{node.name} commits {message.view}, {message.height} and holds less",
            )

    # ----- commits

    def committed(self, node: SimNode, block: BlockCommitted) -> None:
        """A correct node committed: the lock must hold with a quorum less the faulty."""
        certificate = block.certificate
        height, view = certificate.height, certificate.view
        known = self._decided.get(height)
        if known is not None and known[1] <= view:
            return
        self._decided[height] = (certificate.epoch, view, certificate.block_hash)
        for later, block_hash in self._votes.get((certificate.epoch, height), {}).items():
            self._checkers.require(
                "S9 commit-lock",
                later <= view or block_hash == certificate.block_hash,
                f"view {later} prepared against the commit of {height} in view {view}",
            )
        for key in self._plans:
            self._lock(key, height, certificate.epoch, view, certificate.block_hash)
        holders = 0
        for other in self._world.correct_nodes():
            highest = self._checkers.highest(other)
            if highest is None:
                continue
            above = highest.epoch > certificate.epoch
            same = highest.epoch == certificate.epoch
            if above or (same and (highest.view, highest.height) >= (view, height)):
                holders += 1
        least = self._quorum(certificate.epoch) - self._world.faulty()
        self._checkers.require(
            "S9 commit-lock", holders >= least, f"{holders} hold a certificate of {height}"
        )

    def _lock(
        self,
        plan: tuple[int, int, int, bytes | None],
        height: int,
        epoch: int,
        view: int,
        block_hash: bytes,
    ) -> None:
        """S9: a view above one that committed `height` starts with that block or above it."""
        if plan[0] != epoch or plan[1] <= view:
            return
        start, tip = plan[2], plan[3]
        holds = start > height or (start == height and tip == block_hash)
        self._checkers.require(
            "S9 commit-lock",
            holds,
            f"view {plan[1]} starts at {start}, view {view} committed {height}",
        )

    def restarted(self, node: SimNode) -> None:
        """What a node holds after a crash is looked at anew."""
        self._seen.pop(node.name, None)
