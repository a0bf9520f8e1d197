"""Which block a new view must carry: pure functions of a quorum of VIEW-CHANGEs.

Single tip: one highest certificate by (view, height) decides. A commit at (v, h) leaves that
certificate, or a later one that extends it, with one correct member of any quorum, so the tip of
every later view extends every committed block (docs/spec/protocol.md, section 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from consensus.messages import ViewChange
from ledger.certificate import Certificate
from ledger.ids import GENESIS_VIEW, BlockHash, Height


class SafetyViolation(Exception):
    """The certificates contradict each other: more than f members are faulty. Halt."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a view begins."""

    start: Height
    """Its first height."""
    tip: BlockHash | None
    """The block to propose again at `start`; None: a fresh block on the committed one."""
    tip_certificate: Certificate
    committed: Certificate
    """The highest commit certificate of the quorum."""


def rank(certificate: Certificate, epoch: int) -> tuple[int, int]:
    """(view, height), by which tips compare. What the old set signed ranks below view 0."""
    if certificate.epoch != epoch:
        return (GENESIS_VIEW, certificate.height)
    return certificate.rank


def plan(view_changes: Sequence[ViewChange], epoch: int) -> Plan:
    """What NEW-VIEW must start with. Raises SafetyViolation when no block can be right."""
    assert view_changes
    committed = max((change.committed for change in view_changes), key=lambda c: c.height)
    candidates = [certificate for c in view_changes for certificate in (c.highest, c.committed)]
    tip = max(candidates, key=lambda c: rank(c, epoch))
    for certificate in candidates:
        same_rank = rank(certificate, epoch) == rank(tip, epoch)
        if same_rank and certificate.block_hash != tip.block_hash:
            raise SafetyViolation(
                f"two blocks are certified at view {tip.view}, height {tip.height}"
            )
    if tip.height < committed.height:
        raise SafetyViolation(
            f"the tip at height {tip.height}, view {tip.view} is below "
            f"the committed height {committed.height}"
        )
    if tip.height == committed.height:
        if tip.block_hash != committed.block_hash:
            raise SafetyViolation(f"a certified block contradicts the commit at {tip.height}")
        return Plan(Height(tip.height + 1), None, tip, committed)
    return Plan(Height(tip.height), BlockHash(tip.block_hash), tip, committed)
