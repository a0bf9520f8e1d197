"""Governance: members' agencies vote definitions, role roots and suspensions in (registry.md, 7).

A proposal is accepted when the members run by the accepting agencies are a quorum. It takes effect
at the start of its height, before any transaction of that block.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ledger import canonical
from ledger.ids import CODE, PARTY_ID, Height
from ledger.parties import find_party
from ledger.registry import catalogue, roles
from ledger.registry.act import Act, Refused
from ledger.registry.check import check
from ledger.registry.definition import Definition, decode
from ledger.state import Draft, Reader
from ledger.validators import ValidatorSet

QUEUE_KEY = b"gov/queue"
_ROLE = re.compile(r"[a-z0-9-]{1,31}\.[a-z0-9-]{1,64}", re.ASCII)
OPEN_SECONDS_MAX = 90 * 86_400
KINDS = ("activate", "suspend", "resume", "migrate", "role-root")
OPEN, ACCEPTED, REJECTED, DONE, FAILED = "open", "accepted", "rejected", "done", "failed"


class Proposal(msgspec.Struct, frozen=True):
    """Value of `proposal/<id>`."""

    id: str
    kind: str
    body: dict[str, Any]
    proposer: str
    rationale: str
    effective_height: int
    until: int
    votes: dict[str, bool] = {}
    status: str = OPEN
    outcome: str = ""
    """Why an accepted proposal had no effect; empty otherwise."""


class _Queued(msgspec.Struct, frozen=True, array_like=True):
    height: int
    id: str


_proposal = msgspec.json.Decoder(Proposal)
_queue = msgspec.json.Decoder(list[_Queued])


def proposal_key(name: str) -> bytes:
    """State key of a proposal."""
    return b"proposal/" + name.encode("ascii")


def find(state: Reader, name: str) -> Proposal | None:
    """A proposal."""
    value = state.get(proposal_key(name))
    return None if value is None else _proposal.decode(value)


def _save(draft: Draft, proposal: Proposal) -> None:
    draft.put(proposal_key(proposal.id), canonical.encode(proposal))


def _weight(validators: ValidatorSet, agency: str) -> int:
    return sum(1 for member in validators.members if member.agency == agency)


def propose(act: Act, validators: ValidatorSet, proposal: Proposal) -> dict[str, Any]:
    """Open a proposal; its proposer accepts it. Raises Refused."""
    if act.party != act.agency or not _weight(validators, act.party):
        raise Refused("NOT_AUTHORISED")
    if find(act.draft, proposal.id) is not None:
        raise Refused("PROPOSAL_EXISTS")
    if not act.now < proposal.until <= act.now + OPEN_SECONDS_MAX:
        raise Refused("UNTIL_OUT_OF_RANGE")
    problem = _problem(act.draft, proposal)
    if problem:
        raise Refused("PROPOSAL_INVALID", problem=problem)
    return _count(act, validators, msgspec.structs.replace(proposal, votes={act.party: True}))


def vote(act: Act, validators: ValidatorSet, name: str, *, accept: bool) -> dict[str, Any]:
    """An agency's vote; the last one counts. Raises Refused."""
    if act.party != act.agency or not _weight(validators, act.party):
        raise Refused("NOT_AUTHORISED")
    proposal = find(act.draft, name)
    if proposal is None:
        raise Refused("PROPOSAL_UNKNOWN")
    if proposal.status != OPEN or act.now >= proposal.until:
        raise Refused("PROPOSAL_CLOSED")
    votes = {**proposal.votes, act.party: accept}
    return _count(act, validators, msgspec.structs.replace(proposal, votes=votes))


def _count(act: Act, validators: ValidatorSet, proposal: Proposal) -> dict[str, Any]:
    accepting = sum(_weight(validators, a) for a, yes in proposal.votes.items() if yes)
    refusing = sum(_weight(validators, a) for a, yes in proposal.votes.items() if not yes)
    status = OPEN
    if accepting >= validators.quorum:
        status = ACCEPTED
        height = max(proposal.effective_height, act.height + 1)
        proposal = msgspec.structs.replace(proposal, effective_height=height)
        _enqueue(act.draft, height, proposal.id)
    elif refusing > len(validators) - validators.quorum:
        status = REJECTED
    _save(act.draft, msgspec.structs.replace(proposal, status=status))
    return {"proposal": proposal.id, "status": status, "accepting": accepting}


def _read_queue(state: Reader) -> list[_Queued]:
    value = state.get(QUEUE_KEY)
    return [] if value is None else _queue.decode(value)


def _enqueue(draft: Draft, height: int, name: str) -> None:
    queue = [*_read_queue(draft), _Queued(height, name)]
    queue.sort(key=lambda item: (item.height, item.id))
    draft.put(QUEUE_KEY, canonical.encode([[item.height, item.id] for item in queue]))


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
        outcome = _do(draft, proposal, height)
        status = FAILED if outcome else DONE
        _save(draft, msgspec.structs.replace(proposal, status=status, outcome=outcome))
    return [item.id for item in due]


def _definition(body: dict[str, Any]) -> tuple[Definition | None, str]:
    """The definition of a body, or what is wrong with it."""
    if set(body) != {"definition"} or not isinstance(body["definition"], dict):
        return None, "want exactly a definition"
    try:
        definition = decode(canonical.encode(body["definition"]))
    except ValueError:
        # Never the parser's words: they may differ between versions of a library.
        return None, "not a compiled definition; try: muniment service lint"
    problems = check(definition)
    if problems:
        where, what = problems[0]
        return None, f"{'.'.join(where)}: {what}"[:200]
    return definition, ""


def _problem(state: Reader, proposal: Proposal) -> str:
    """Why a proposal could never take effect, or empty."""
    body = proposal.body
    if proposal.kind == "activate":
        return _definition(body)[1]
    if proposal.kind in ("suspend", "resume"):
        fits = _is(body, service=str, version=int) and CODE.fullmatch(body["service"]) is not None
        return "" if fits else "want service and version"
    if proposal.kind == "migrate":
        fits = _is(body, service=str, source=int, target=int)
        fits = fits and CODE.fullmatch(body["service"]) is not None
        return "" if fits else "want service, source and target"
    if proposal.kind == "role-root":
        if not _is(body, role=str, party=str) or PARTY_ID.fullmatch(body["party"]) is None:
            return "want role and party"
        if _ROLE.fullmatch(body["role"]) is None:
            return "want role and party"
        return "" if find_party(state, body["party"]) is not None else "the party is unknown"
    return f"kind: want one of {', '.join(KINDS)}"


def _is(body: dict[str, Any], **kinds: type) -> bool:
    return body.keys() == kinds.keys() and all(type(body[k]) is t for k, t in kinds.items())


def _do(draft: Draft, proposal: Proposal, height: int) -> str:
    body = proposal.body
    if proposal.kind == "activate":
        definition, problem = _definition(body)
        return problem if definition is None else catalogue.activate(draft, definition, height)
    if proposal.kind == "suspend":
        return catalogue.set_status(draft, body["service"], body["version"], catalogue.SUSPENDED)
    if proposal.kind == "resume":
        return catalogue.set_status(draft, body["service"], body["version"], catalogue.ACTIVE)
    if proposal.kind == "migrate":
        return catalogue.migrate(draft, body["service"], body["source"], body["target"])
    roles.save_root(draft, body["role"], body["party"])
    return ""
