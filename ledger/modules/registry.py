"""Operations of the registry engine: records, roles, governance (registry.md, section 8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from ledger import records
from ledger.ids import CODE, HASH_HEX, INTEGER_MAX, JTI, PARTY_ID, RECORD_ID
from ledger.operation import Context, OperationType, Outcome, Refusal
from ledger.parties import Party, PartyStatus, find_party
from ledger.registry import acting, governance, roles
from ledger.registry.act import Act, Refused
from ledger.registry.meter import ExpressionRefused, Meter

_Code = Annotated[str, Meta(pattern=rf"^(?:{CODE.pattern})\Z", max_length=64)]
_Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z")]
_RoleName = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,31}\.[a-z0-9-]{1,64}\Z")]
_Party = Annotated[str, Meta(pattern=rf"^(?:{PARTY_ID.pattern})\Z", max_length=64)]
_RecordId = Annotated[str, Meta(pattern=rf"^(?:{RECORD_ID.pattern})\Z", max_length=97)]
_HashHex = Annotated[str, Meta(pattern=rf"^(?:{HASH_HEX.pattern})\Z", max_length=64)]
_PendingId = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
_Proposal = Annotated[str, Meta(pattern=rf"^(?:{JTI.pattern})\Z", max_length=64)]
_Natural = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]


class _Operation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Parsed JSON is in no cycle: the collector has nothing to look for in it."""

    op: str


class Create(_Operation, frozen=True):
    """record.create"""

    type: _Code
    version: _Natural
    data: dict[str, Any]


class ActOn(_Operation, frozen=True):
    """record.act"""

    id: _RecordId
    transition: _Name
    input: dict[str, Any] = {}
    expect_revision: _Natural | None = None


class Approve(_Operation, frozen=True):
    """record.approve"""

    id: _RecordId
    pending: _PendingId


class GrantRole(_Operation, frozen=True):
    """role.grant"""

    role: _RoleName
    party: _Party
    until: _Natural
    agency: _Party | None = None
    delegable: bool = False


class RevokeRole(_Operation, frozen=True):
    """role.revoke"""

    role: _RoleName
    party: _Party


class Propose(_Operation, frozen=True):
    """gov.propose"""

    proposal: _Proposal
    kind: _Code
    body: dict[str, Any]
    rationale: _HashHex
    effective_height: _Natural
    until: _Natural


class VoteOn(_Operation, frozen=True):
    """gov.vote"""

    proposal: _Proposal
    accept: bool


class Withdraw(_Operation, frozen=True):
    """gov.withdraw"""

    proposal: _Proposal


def act_of(context: Context, issuer: Party) -> Act:
    """What an operation may do of what the transaction's earlier ones left."""
    parameters = context.parameters
    return Act(
        draft=context.draft,
        chain=context.chain,
        height=context.height,
        now=context.time_ms // 1000,
        tx=context.transaction.id.hex(),
        party=context.transaction.iss,
        agency=issuer.agency,
        meter=Meter(parameters.expression_cost_max - context.expression_cost),
        effects_left=parameters.effects_max - context.effects,
        record_bytes_max=parameters.record_bytes_max,
        index=context.index,
    )


_Fields = TypeVar("_Fields")


def _acting(
    do: Callable[[_Fields, Context, Act], Outcome],
) -> Callable[[_Fields, Context], Outcome]:
    """An operation by an active party whose refusals are values."""

    def apply(fields: _Fields, context: Context) -> Outcome:
        issuer = context.issuer()
        if issuer.status is not PartyStatus.ACTIVE:
            return Refusal("PARTY_REVOKED")
        act = act_of(context, issuer)
        try:
            return do(fields, context, act)
        except Refused as refused:
            return Refusal(refused.reason, refused.results)
        except ExpressionRefused as refused:
            return Refusal(refused.reason)
        finally:  # what a refused act cost, it cost
            context.expression_cost = context.parameters.expression_cost_max - act.meter.rest
            context.effects = context.parameters.effects_max - max(0, act.effects_left)

    return apply


def _create(fields: Create, context: Context, act: Act) -> Outcome:
    transaction = context.transaction
    record = records.record_id(
        fields.type, context.chain, transaction.iss, transaction.jti, context.index
    )
    return acting.create(act, record, fields.type, fields.version, fields.data)


def _act(fields: ActOn, context: Context, act: Act) -> Outcome:
    return acting.act_on(act, fields.id, fields.transition, fields.input, fields.expect_revision)


def _approve(fields: Approve, context: Context, act: Act) -> Outcome:
    return acting.approve(act, fields.id, fields.pending)


def _grant(fields: GrantRole, context: Context, act: Act) -> Outcome:
    """By the role's root, or by a holder who may delegate and passes on no more than it has.

    A holder replaces no grant that somebody else made: that would take away what is not its own.
    """
    draft, now = context.draft, act.now
    if find_party(draft, fields.party) is None:
        return Refusal("PARTY_UNKNOWN")
    if fields.until <= now:
        return Refusal("UNTIL_PAST")
    if roles.find_root(draft, fields.role) != act.party:
        held = roles.find_grant(draft, fields.role, act.party)
        if held is None or not held.delegable or not held.start <= now < held.until:
            return Refusal("NOT_AUTHORISED")
        wider = held.agency is not None and fields.agency != held.agency
        if fields.delegable or fields.until > held.until or wider:
            return Refusal("NOT_AUTHORISED")
        known = roles.find_grant(draft, fields.role, fields.party)
        if known is not None and known.by != act.party and now < known.until:
            return Refusal("NOT_AUTHORISED")
    grant = roles.Grant(
        role=fields.role,
        party=fields.party,
        by=act.party,
        agency=fields.agency,
        start=now,
        until=fields.until,
        delegable=fields.delegable,
    )
    roles.save_grant(draft, grant)
    return {"role": fields.role, "party": fields.party}


def _revoke(fields: RevokeRole, context: Context, act: Act) -> Outcome:
    draft = context.draft
    held = roles.find_grant(draft, fields.role, fields.party)
    if held is None or held.until <= act.now:
        return Refusal("GRANT_UNKNOWN")
    if act.party not in (roles.find_root(draft, fields.role), held.by, fields.party):
        return Refusal("NOT_AUTHORISED")
    roles.save_grant(draft, msgspec.structs.replace(held, until=act.now))
    return {"role": fields.role, "party": fields.party}


def _propose(fields: Propose, context: Context, act: Act) -> Outcome:
    proposal = governance.Proposal(
        id=fields.proposal,
        kind=fields.kind,
        body=fields.body,
        proposer=act.party,
        rationale=fields.rationale,
        effective_height=fields.effective_height,
        until=fields.until,
    )
    return governance.propose(act, context.validators, proposal)


def _vote(fields: VoteOn, context: Context, act: Act) -> Outcome:
    return governance.vote(act, context.validators, fields.proposal, accept=fields.accept)


def _withdraw(fields: Withdraw, context: Context, act: Act) -> Outcome:
    return governance.withdraw(act, fields.proposal)


OPERATIONS: Final[Mapping[str, OperationType]] = {
    "record.create": OperationType(Create, _acting(_create)),
    "record.act": OperationType(ActOn, _acting(_act)),
    "record.approve": OperationType(Approve, _acting(_approve)),
    "role.grant": OperationType(GrantRole, _acting(_grant)),
    "role.revoke": OperationType(RevokeRole, _acting(_revoke)),
    "gov.propose": OperationType(Propose, _acting(_propose)),
    "gov.vote": OperationType(VoteOn, _acting(_vote)),
    "gov.withdraw": OperationType(Withdraw, _acting(_withdraw)),
}
