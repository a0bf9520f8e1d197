"""Bugs to plant in the consensus core: each is one plausible slip of a programmer's hand."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import msgspec

from consensus import core, messages, proposals, records, repair, verify, view_change, views, votes
from consensus.leader import Schedule
from consensus.messages import Propose, Vote
from consensus.replica import Replica
from consensus.timeouts import Timeouts, proposal_time_bounds
from consensus.view_change import Plan
from ledger import certificate as certificates
from ledger.block import Header
from ledger.certificate import Certificate, Phase
from ledger.ids import Height, MemberIndex, View
from ledger.validators import ValidatorSet, quorum_size

Plant = Callable[[], AbstractContextManager[object]]


def together(*plants: AbstractContextManager[object]) -> AbstractContextManager[object]:
    """Several patches at once."""
    stack = ExitStack()
    for plant in plants:
        stack.enter_context(plant)
    return stack


def _quorum_less_one() -> AbstractContextManager[object]:
    return patch.object(
        ValidatorSet, "quorum", property(lambda self: quorum_size(len(self.members)) - 1)
    )


def _join_with_f() -> AbstractContextManager[object]:
    return patch.object(ValidatorSet, "weak_quorum", property(lambda self: self.f))


def _commit_without_certificate() -> AbstractContextManager[object]:
    inner = proposals.accept

    def accept(replica: Replica, height: Height) -> None:
        inner(replica, height)
        propose = replica.slot(height).propose
        if replica.installed and propose is not None:
            votes.cast(replica, Phase.COMMIT, propose)

    return patch.object(proposals, "accept", accept)


def _commit_after_view_change() -> AbstractContextManager[object]:
    def enter(replica: Replica, view: View) -> None:
        replica.view, replica.installed = view, False
        replica.new_view = replica.plan = replica.building = None

    def on_vote(replica: Replica, sender: int, vote: Vote) -> None:
        if vote.epoch != replica.epoch or vote.height != replica.next_height:
            return
        replica.slot(vote.height).votes(vote.phase).setdefault(vote.signer, vote)
        votes.count(replica, Height(vote.height))

    def count(replica: Replica, height: Height) -> None:
        slot = replica.slot(height)
        propose = slot.propose
        if propose is not None and slot.judged and slot.prepared is None:
            slot.prepared = votes._certificate(replica, slot, Phase.PREPARE, propose.block_hash)
            if slot.prepared is not None:
                votes.hold(replica, slot.prepared)
                votes.cast(replica, Phase.COMMIT, propose)
        votes.decide(replica, height)

    return together(
        patch.object(views, "enter", enter),
        patch.object(votes, "on_vote", on_vote),
        patch.object(votes, "count", count),
        patch.object(Replica, "has_left", lambda self, view: False),
        patch.object(Replica, "view_in_force", property(lambda self: self.view)),
    )


def _votes_not_restored() -> AbstractContextManager[object]:
    return patch.object(records, "restore", lambda entries: records.Restored(None, None, (), ()))


def _own_proposals_not_restored() -> AbstractContextManager[object]:
    inner = records.restore
    return patch.object(
        records, "restore", lambda entries: msgspec.structs.replace(inner(entries), proposals=())
    )


def _view_not_restored() -> AbstractContextManager[object]:
    inner = records.restore
    return patch.object(
        records, "restore", lambda entries: msgspec.structs.replace(inner(entries), view=None)
    )


def _highest_not_kept() -> AbstractContextManager[object]:
    def hold(replica: Replica, certificate: Certificate) -> None:
        if view_change.rank(certificate, replica.epoch) > view_change.rank(
            replica.highest, replica.epoch
        ):
            replica.highest = certificate

    return patch.object(votes, "hold", hold)


def _new_view_not_recomputed() -> AbstractContextManager[object]:
    inner = views.recompute

    def recompute(replica: Replica, message: Any) -> Plan | None:
        made = inner(replica, message)
        if made is None or message.signer == replica.me:
            return made
        return replace(made, start=replica.next_height, tip=None)

    return patch.object(views, "recompute", recompute)


def _tip_dropped() -> AbstractContextManager[object]:
    inner = view_change.plan

    def plan(changes: Any, epoch: int) -> Plan:
        made = inner(changes, epoch)
        return replace(made, tip=None, start=Height(made.committed.height + 1))

    return patch.object(views, "plan", plan)


def _height_alone_orders() -> AbstractContextManager[object]:
    def rank(certificate: Certificate, epoch: int) -> tuple[int, int]:
        return (0, certificate.height)

    return together(patch.object(view_change, "rank", rank), patch.object(votes, "rank", rank))


def _height_before_view() -> AbstractContextManager[object]:
    def rank(certificate: Certificate, epoch: int) -> tuple[int, int]:
        return (certificate.height, certificate.view if certificate.epoch == epoch else -1)

    return patch.object(view_change, "rank", rank)


def _signer_counted_twice() -> AbstractContextManager[object]:
    def on_vote(replica: Replica, sender: int, vote: Vote) -> None:
        fits = vote.epoch == replica.epoch and vote.view == replica.view
        if fits and replica.installed and vote.height == replica.next_height:
            tally = replica.slot(vote.height).votes(vote.phase)
            tally[vote.signer if vote.signer not in tally else 100 + len(tally)] = vote
            votes.count(replica, Height(vote.height))

    inner = certificates.verify_certificate

    def verify_certificate(certificate: Certificate, *rest: Any) -> None:
        if len({member for member, _ in certificate.signatures}) == len(certificate.signatures):
            inner(certificate, *rest)

    return together(
        patch.object(votes, "on_vote", on_vote),
        patch.object(verify, "verify_certificate", verify_certificate),
    )


def _votes_twice() -> AbstractContextManager[object]:
    inner_cast, inner_propose = votes.cast, proposals.on_propose

    def cast(replica: Replica, phase: Phase, propose: Propose) -> None:
        replica.own_votes.pop((propose.view, propose.height, phase), None)
        inner_cast(replica, phase, propose)

    def on_propose(replica: Replica, sender: int, propose: Propose) -> None:
        slot = replica.slots.get(propose.height)
        if slot is not None and slot.propose is not None and propose.view == replica.view:
            slot.propose = None
        inner_propose(replica, sender, propose)

    return together(
        patch.object(votes, "cast", cast), patch.object(proposals, "on_propose", on_propose)
    )


def _clock_check_on_tip() -> AbstractContextManager[object]:
    inner = proposals._acceptable

    def acceptable(replica: Replica, propose: Propose) -> bool:
        if not inner(replica, propose):
            return False
        earliest, latest = proposal_time_bounds(replica.now.wall_ms, replica.view)
        return earliest <= Header.decode(propose.header).time_ms <= latest

    return patch.object(proposals, "_acceptable", acceptable)


def _no_clock_check() -> AbstractContextManager[object]:
    return patch.object(proposals, "proposal_time_bounds", lambda now, view: (0, 2**60))


def _no_status_answer() -> AbstractContextManager[object]:
    return patch.object(repair, "on_status", lambda replica, sender, status: None)


def _status_without_view() -> AbstractContextManager[object]:
    return patch.object(repair, "_send_view", lambda replica, to: None)


def _fixed_patience() -> AbstractContextManager[object]:
    return patch.object(Timeouts, "progress", lambda self, latency, failures: self.progress_min_ms)


def _leader_of_new_view_skipped() -> AbstractContextManager[object]:
    def sender(self: Schedule, view: View) -> MemberIndex:
        passed = self.skipped(self._record.run_start)
        eligible = [m for m in range(self._members) if m not in passed]
        return MemberIndex(eligible[view % len(eligible)])

    return patch.object(Schedule, "sender_of_new_view", sender)


def _epoch_not_signed() -> AbstractContextManager[object]:
    inner = certificates.vote_text

    def vote_text(chain: Any, epoch: Any, *rest: Any) -> bytes:
        return inner(chain, 0, *rest)  # type: ignore[arg-type]  # the planted bug

    return together(
        patch.object(certificates, "vote_text", vote_text),
        patch.object(messages, "vote_text", vote_text),
    )


def _phase_not_signed() -> AbstractContextManager[object]:
    inner = certificates.vote_text

    def vote_text(chain: Any, epoch: Any, phase: Any, *rest: Any) -> bytes:
        return inner(chain, epoch, Phase.PREPARE, *rest)

    return together(
        patch.object(certificates, "vote_text", vote_text),
        patch.object(messages, "vote_text", vote_text),
    )


def _quorum_waits_for_this_view_only() -> AbstractContextManager[object]:
    inner = views.on_quorum

    def on_quorum(replica: Replica) -> None:
        asking = [c for c in replica.view_changes.values() if c.view == replica.view]
        if len(asking) >= replica.validators.quorum:
            inner(replica)

    return patch.object(views, "on_quorum", on_quorum)


def _no_view_in_force() -> AbstractContextManager[object]:
    return patch.object(Replica, "view_in_force", property(lambda self: self.view))


def _votes_below_start() -> AbstractContextManager[object]:
    """A view decides every height anew that lies above the own head."""
    inner = views.install

    def install(replica: Replica, message: Any) -> None:
        inner(replica, message)
        if replica.plan is not None and replica.plan.tip is None:
            replica.start = min(replica.start, replica.next_height)

    return patch.object(views, "install", install)


def _epoch_keeps_view() -> AbstractContextManager[object]:
    inner = core.Core._open_epoch

    def open_epoch(self: core.Core, validators: ValidatorSet) -> None:
        view = self.replica.view
        inner(self, validators)
        self.replica.view = view

    return patch.object(core.Core, "_open_epoch", open_epoch)


def _skips_from_held_certificates() -> AbstractContextManager[object]:
    inner = core.Core._apply

    def apply(self: core.Core, event: Any) -> None:
        inner(self, replace(event, body_commit=event.certificate))

    return patch.object(core.Core, "_apply", apply)


def _decides_on_prepares() -> AbstractContextManager[object]:
    inner = votes.count

    def count(replica: Replica, height: Height) -> None:
        inner(replica, height)
        slot = replica.slots.get(height)
        if slot is not None and slot.prepared is not None and not slot.decided:
            votes.on_commit_certificate(
                replica, None, msgspec.structs.replace(slot.prepared, phase=Phase.COMMIT)
            )

    return patch.object(votes, "count", count)


CORE: dict[str, Plant] = {
    "quorum is q-1": _quorum_less_one,
    "f join instead of f+1": _join_with_f,
    "COMMIT without a certificate": _commit_without_certificate,
    "COMMIT after VIEW-CHANGE": _commit_after_view_change,
    "vote store not restored": _votes_not_restored,
    "own proposals not restored": _own_proposals_not_restored,
    "view record not restored": _view_not_restored,
    "highest certificate not persisted": _highest_not_kept,
    "NEW-VIEW not recomputed by backups": _new_view_not_recomputed,
    "tip dropped by everybody": _tip_dropped,
    "certificates ranked by height alone": _height_alone_orders,
    "(height, view) order": _height_before_view,
    "signer not deduplicated": _signer_counted_twice,
    "second proposal gets a vote too": _votes_twice,
    "clock check on re-proposal": _clock_check_on_tip,
    "no clock check": _no_clock_check,
    "no STATUS resend": _no_status_answer,
    "STATUS answered without the view": _status_without_view,
    "fixed timeout": _fixed_patience,
    "NEW-VIEW leader from the skip list": _leader_of_new_view_skipped,
    "epoch not in the signed text": _epoch_not_signed,
    "phase not in the signed text": _phase_not_signed,
    "timer waits for this view alone": _quorum_waits_for_this_view_only,
    "VIEW-CHANGE below a held certificate": _no_view_in_force,
    "votes below the view's start": _votes_below_start,
    "tip too old to be proposed again": _clock_check_on_tip,
    "epoch keeps the old view": _epoch_keeps_view,
    "skip list from held certificates": _skips_from_held_certificates,
    "decides on PREPAREs": _decides_on_prepares,
}
