"""Governance: members' agencies vote; what they accept takes effect (registry.md, section 7).

A proposal is accepted when the members run by the accepting agencies are a quorum. It takes effect
at the start of its height, before any transaction of that block. Its body leaves the state when it
is closed; what became of it stays.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ledger import canonical
from ledger.crypto import sha256
from ledger.ids import Height
from ledger.registry import proposals
from ledger.registry.act import Act, Refused
from ledger.registry.meter import ExpressionRefused
from ledger.state import Draft, Reader, State
from ledger.validators import ValidatorSet

QUEUE_KEY: Final = b"gov/queue"
OPEN_SECONDS_MAX: Final = 90 * 86_400
OPEN_MAX: Final = 16
"""Open proposals of one agency."""
BYTES_PER_UNIT: Final = 64
"""Of a proposal that is voted on or withdrawn, for one unit of cost: it is parsed and written."""
EXPIRED_PER_BLOCK_MAX: Final = 64
EXPIRY_TABLE: Final = b"g"
OPEN, ACCEPTED, DONE, FAILED = "open", "accepted", "done", "failed"
REJECTED, EXPIRED, WITHDRAWN = "rejected", "expired", "withdrawn"


class Proposal(msgspec.Struct, frozen=True):
    """Value of `proposal/<id>`."""

    id: str
    kind: str
    body: dict[str, Any] | None
    """Null once nothing can come of it any more."""
    proposer: str
    rationale: str
    effective_height: int
    until: int
    votes: dict[str, bool] = {}
    status: str = OPEN
    outcome: str = ""
    """Why an accepted proposal had no effect; empty otherwise."""
    body_hash: str = ""
    """SHA-256 of the body's canonical JSON, hex."""


class _Queued(msgspec.Struct, frozen=True, array_like=True):
    height: int
    id: str


_proposal = msgspec.json.Decoder(Proposal)
_queue = msgspec.json.Decoder(list[_Queued])
_count_decoder = msgspec.json.Decoder(int)


def proposal_key(name: str) -> bytes:
    """State key of a proposal."""
    return b"proposal/" + name.encode("ascii")


def find(state: Reader, name: str) -> Proposal | None:
    """A proposal."""
    value = state.get(proposal_key(name))
    return None if value is None else _proposal.decode(value)


def _save(draft: Draft, proposal: Proposal) -> None:
    draft.put(proposal_key(proposal.id), canonical.encode(proposal))


def _open_key(agency: str) -> bytes:
    """State key of the number of an agency's open proposals; absent when there is none."""
    return f"gov/open/{agency}".encode("ascii")


def _count_open(state: Reader, agency: str) -> int:
    value = state.get(_open_key(agency))
    return 0 if value is None else _count_decoder.decode(value)


def _expiry_key(proposal: Proposal) -> bytes:
    return EXPIRY_TABLE + proposal.until.to_bytes(8, "big") + proposal.id.encode("ascii")


def _open(draft: Draft, proposal: Proposal) -> None:
    count = _count_open(draft, proposal.proposer)
    draft.put(_open_key(proposal.proposer), canonical.encode(count + 1))
    draft.write(_expiry_key(proposal), b"")


def _leave_open(draft: Draft, proposal: Proposal) -> None:
    """An open proposal is so no longer."""
    count = _count_open(draft, proposal.proposer)
    if count > 1:
        draft.put(_open_key(proposal.proposer), canonical.encode(count - 1))
    else:
        draft.delete(_open_key(proposal.proposer))
    draft.write(_expiry_key(proposal), None)


def _close(draft: Draft, proposal: Proposal, status: str, outcome: str = "") -> None:
    """Nothing more comes of a proposal: its body goes."""
    _save(draft, msgspec.structs.replace(proposal, status=status, outcome=outcome, body=None))


def _weight(validators: ValidatorSet, agency: str) -> int:
    return sum(1 for member in validators.members if member.agency == agency)


def _check_member(act: Act, validators: ValidatorSet) -> None:
    """Raises Refused unless an agency that runs members signs."""
    if act.party != act.agency or not _weight(validators, act.party):
        raise Refused("NOT_AUTHORISED")


def _find_open(act: Act, name: str) -> Proposal:
    """Raises Refused: PROPOSAL_UNKNOWN, PROPOSAL_CLOSED, EXPRESSION_COST."""
    value = act.draft.get(proposal_key(name))
    if value is None:
        raise Refused("PROPOSAL_UNKNOWN")
    try:  # one member may vote on a large definition again and again, however it goes out
        act.meter.spend(len(value) // BYTES_PER_UNIT)
    except ExpressionRefused as refused:
        raise Refused(refused.reason) from None
    proposal = _proposal.decode(value)
    if proposal.status != OPEN or act.now >= proposal.until:
        raise Refused("PROPOSAL_CLOSED")
    return proposal


def propose(act: Act, validators: ValidatorSet, proposal: Proposal) -> dict[str, Any]:
    """Open a proposal; its proposer accepts it. Raises Refused."""
    _check_member(act, validators)
    if act.draft.has(proposal_key(proposal.id)):
        raise Refused("PROPOSAL_EXISTS")
    if not act.now < proposal.until <= act.now + OPEN_SECONDS_MAX:
        raise Refused("UNTIL_OUT_OF_RANGE")
    if _count_open(act.draft, act.party) >= OPEN_MAX:
        raise Refused("PROPOSALS_FULL")
    assert proposal.body is not None
    try:
        problem = proposals.problem(act.draft, proposal.kind, proposal.body, act.meter)
    except ExpressionRefused as refused:
        raise Refused(refused.reason) from None
    if problem:
        raise Refused("PROPOSAL_INVALID", problem=problem)
    digest = sha256(canonical.encode(proposal.body)).hex()
    opened = msgspec.structs.replace(proposal, votes={act.party: True}, body_hash=digest)
    _open(act.draft, opened)
    return _count(act, validators, opened)


def vote(act: Act, validators: ValidatorSet, name: str, *, accept: bool) -> dict[str, Any]:
    """An agency's vote; the last one counts. Raises Refused."""
    _check_member(act, validators)
    proposal = _find_open(act, name)
    votes = {**proposal.votes, act.party: accept}
    return _count(act, validators, msgspec.structs.replace(proposal, votes=votes))


def withdraw(act: Act, name: str) -> dict[str, Any]:
    """The proposer takes an open proposal back, member or no longer. Raises Refused."""
    proposal = _find_open(act, name)
    if act.party != proposal.proposer:
        raise Refused("NOT_AUTHORISED")
    _leave_open(act.draft, proposal)
    _close(act.draft, proposal, WITHDRAWN)
    return {"proposal": proposal.id, "status": WITHDRAWN}


def _count(act: Act, validators: ValidatorSet, proposal: Proposal) -> dict[str, Any]:
    accepting = sum(_weight(validators, a) for a, yes in proposal.votes.items() if yes)
    refusing = sum(_weight(validators, a) for a, yes in proposal.votes.items() if not yes)
    status = OPEN
    if accepting >= validators.quorum:
        status = ACCEPTED
        _leave_open(act.draft, proposal)
        # A block obeys the parameters of the state before it: they change one block earlier.
        ahead = int(proposal.kind == proposals.PARAMETER)
        height = max(proposal.effective_height, act.height + 1 + ahead)
        _enqueue(act.draft, height - ahead, proposal.id)
        accepted = msgspec.structs.replace(proposal, effective_height=height, status=status)
        _save(act.draft, accepted)
    elif refusing > len(validators) - validators.quorum:
        status = REJECTED
        _leave_open(act.draft, proposal)
        _close(act.draft, proposal, status)
    else:
        _save(act.draft, proposal)
    return {"proposal": proposal.id, "status": status, "accepting": accepting}


def _read_queue(state: Reader) -> list[_Queued]:
    value = state.get(QUEUE_KEY)
    return [] if value is None else _queue.decode(value)


def _enqueue(draft: Draft, height: int, name: str) -> None:
    queue = [*_read_queue(draft), _Queued(height, name)]
    queue.sort(key=lambda item: (item.height, item.id))
    draft.put(QUEUE_KEY, canonical.encode([[item.height, item.id] for item in queue]))


def next_effect(state: Reader) -> int | None:
    """Height of the block in which the next accepted proposal takes effect, if one waits."""
    queue = _read_queue(state)
    return queue[0].height if queue else None


def take_effect(draft: Draft, height: Height) -> list[str]:
    """At the start of a block: do what is due at its height. Ids of what was done."""
    queue = _read_queue(draft)
    due = [item for item in queue if item.height <= height]
    if not due:
        return []
    left = [[item.height, item.id] for item in queue if item.height > height]
    if left:
        draft.put(QUEUE_KEY, canonical.encode(left))
    else:
        draft.delete(QUEUE_KEY)
    for item in due:
        proposal = find(draft, item.id)
        assert proposal is not None
        assert proposal.body is not None
        outcome = proposals.perform(draft, proposal.kind, proposal.body, height)
        _close(draft, proposal, FAILED if outcome else DONE, outcome)
    return [item.id for item in due]


def expire(draft: Draft, parent: State, now: int) -> list[str]:
    """Close proposals that were open until `now` (seconds), those that ended first before the
    others; ids of them."""
    gone: list[str] = []
    for key, _ in parent.scan(EXPIRY_TABLE):
        if int.from_bytes(key[1:9], "big") > now or len(gone) == EXPIRED_PER_BLOCK_MAX:
            break
        proposal = find(draft, key[9:].decode("ascii"))
        assert proposal is not None
        _leave_open(draft, proposal)
        _close(draft, proposal, EXPIRED)
        gone.append(proposal.id)
    return gone
