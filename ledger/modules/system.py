"""The ledger's own affairs: a quorum closes an epoch and names the next validator set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ledger import base64url, canonical, transport_certificate
from ledger.approvals import APPROVALS_MAX, Approval, check_quorum
from ledger.crypto import ed25519_thumbprint, is_valid_public_key
from ledger.ids import CODE, INTEGER_MAX, PARTY_ID, Epoch
from ledger.operation import Context, OperationType, Outcome, Refusal
from ledger.parties import PartyStatus, find_agency, find_owner, find_party
from ledger.signed_text import possession_text
from ledger.validators import Member, ValidatorSet

NEXT_VALIDATORS_KEY: Final = b"sys/next_validators"
MEMBERS_MAX: Final = 64
MEMBERS_MIN: Final = 4
"""Fewer tolerate no fault; a smaller set may stay as small as it is."""
_PartyId = Annotated[str, Meta(pattern=rf"^(?:{PARTY_ID.pattern})\Z", max_length=64)]
_Code = Annotated[str, Meta(pattern=rf"^(?:{CODE.pattern})\Z", max_length=64)]
_Key = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}\Z")]
_Certificate = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+\Z", max_length=5462)]
"""Base64url of at most 4096 bytes."""
_PORT: Final = (
    "(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
)
_Address = Annotated[
    str, Meta(pattern=rf"^(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):{_PORT}\Z", max_length=259)
]
_Signature = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{86}\Z")]
_Approvals = Annotated[tuple[Approval, ...], Meta(max_length=APPROVALS_MAX)]


class NextMember(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member of the next set."""

    agency: _PartyId
    name: _Code
    vote_key: _Key
    transport_certificate: _Certificate
    address: _Address

    def __post_init__(self) -> None:
        # Spare bits would let one key or certificate pass for two.
        base64url.decode(self.vote_key)
        base64url.decode(self.transport_certificate)

    def member(self) -> Member:
        """As the validator set holds it."""
        return Member(
            self.agency, self.name, self.vote_key, self.transport_certificate, self.address
        )


class EpochClose(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """sys.epoch_close"""

    op: str
    epoch: Annotated[int, Meta(ge=0, le=INTEGER_MAX - 1)]
    members: Annotated[tuple[NextMember, ...], Meta(min_length=1, max_length=MEMBERS_MAX)]
    proofs: Annotated[dict[_Code, _Signature], Meta(max_length=MEMBERS_MAX)]
    approvals: _Approvals


def epoch_close(fields: EpochClose, context: Context) -> Outcome:
    """Name the validator set that rules from the next block on."""
    draft = context.draft
    if fields.epoch != context.validators.epoch:
        return Refusal("EPOCH_MISMATCH")
    if draft.get(NEXT_VALIDATORS_KEY) is not None:
        return Refusal("EPOCH_ALREADY_CLOSING")
    members = tuple(member.member() for member in fields.members)
    if not _are_valid(members, context):
        return Refusal("MEMBERS_INVALID")
    # The approvals come last: they are the dearest to check.
    refusal = _check_vote_keys(members, fields.proofs, context)
    refusal = refusal or check_quorum(fields.approvals, context)
    if refusal is not None:
        return refusal
    validators = ValidatorSet(Epoch(fields.epoch + 1), members)
    draft.put(NEXT_VALIDATORS_KEY, canonical.encode(validators.to_json()))
    return {"epoch": validators.epoch}


def _are_valid(members: tuple[Member, ...], context: Context) -> bool:
    current = context.validators
    if len(members) < min(MEMBERS_MIN, len(current)):
        return False
    for values in (
        {member.name for member in members},
        {member.vote_key for member in members},
        {member.transport_certificate for member in members},
    ):
        if len(values) != len(members):
            return False
    if _changes(current.members, members) > max(1, current.f):
        return False
    return all(_is_seated(member, context) for member in members)


def _changes(current: tuple[Member, ...], members: tuple[Member, ...]) -> int:
    """Members added, removed or re-keyed. A new agency or vote key makes another member."""
    before = {member.name: (member.agency, member.vote_key) for member in current}
    after = {member.name: (member.agency, member.vote_key) for member in members}
    gone = sum(1 for name in before if name not in after)
    return gone + sum(1 for name, identity in after.items() if before.get(name) != identity)


def _is_seated(member: Member, context: Context) -> bool:
    """Whether its agency exists and its certificate can be read."""
    party = find_party(context.draft, member.agency)
    if party is None or party.status is not PartyStatus.ACTIVE:
        return False
    if find_agency(context.draft, member.agency) is None:
        return False
    try:
        transport_certificate.public_key(base64url.decode(member.transport_certificate))
    except ValueError:
        return False
    return True


def _check_vote_keys(
    members: tuple[Member, ...], proofs: dict[str, str], context: Context
) -> Refusal | None:
    known = {member.vote_key for member in context.validators.members}
    fresh = [member for member in members if member.vote_key not in known]
    if proofs.keys() != {member.name for member in fresh}:
        return Refusal("POSSESSION_INVALID")
    for member in fresh:
        key = member.vote_key_bytes()
        if not is_valid_public_key(key):
            return Refusal("KEY_INVALID")
        kid = ed25519_thumbprint(key)
        if find_owner(context.draft, kid) is not None:
            return Refusal("KEY_IN_USE")
        text = possession_text(context.chain, member.name, kid)
        try:
            signature = base64url.decode(proofs[member.name])
        except ValueError:
            return Refusal("POSSESSION_INVALID")
        if not context.verifier.verify(key, text, signature):
            return Refusal("POSSESSION_INVALID")
    return None


OPERATIONS: Final[Mapping[str, OperationType]] = {
    "sys.epoch_close": OperationType(EpochClose, epoch_close),
}
