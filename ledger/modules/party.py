"""Parties: who may sign, and with which keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ledger import base64url, canonical, records
from ledger.approvals import APPROVALS_MAX, Approval, check_quorum, check_recovery
from ledger.ids import CODE, PARTY_ID
from ledger.jwk import Jwk, Use
from ledger.operation import Context, OperationType, Outcome, Refusal
from ledger.parties import (
    KeyOwner,
    KeyStatus,
    Party,
    PartyKey,
    PartyStatus,
    agency_key,
    find_agency,
    find_owner,
    find_party,
    new_keys,
    owner_key,
    party_fields,
    party_key,
)
from ledger.signed_text import possession_text

KEYS_MAX: Final = 32
"""Compiled bound of the parameter keys_per_party_max."""
_PartyId = Annotated[str, Meta(pattern=rf"^(?:{PARTY_ID.pattern})\Z", max_length=64)]
_Code = Annotated[str, Meta(pattern=rf"^(?:{CODE.pattern})\Z", max_length=64)]
_Kid = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}\Z")]
_Signature = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{86}\Z")]
_Jwks = Annotated[tuple[dict[str, str], ...], Meta(max_length=KEYS_MAX)]
_SomeJwks = Annotated[tuple[dict[str, str], ...], Meta(min_length=1, max_length=KEYS_MAX)]
_Proofs = Annotated[tuple[_Signature, ...], Meta(max_length=KEYS_MAX)]
_Kids = Annotated[tuple[_Kid, ...], Meta(max_length=KEYS_MAX)]
_Approvals = Annotated[tuple[Approval, ...], Meta(max_length=APPROVALS_MAX)]


class RegisterClient(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="client"
):
    """party.register of an agency's client."""

    op: str
    party: _PartyId
    keys: _SomeJwks
    proofs: _Proofs

    def __post_init__(self) -> None:
        _jwks(self.keys)


class RegisterAgency(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="agency"
):
    """party.register of a new agency."""

    op: str
    party: _PartyId
    title_code: _Code
    keys: _SomeJwks
    proofs: _Proofs
    recovery_key: dict[str, str]
    approvals: _Approvals

    def __post_init__(self) -> None:
        _jwks(self.keys)
        if Jwk.from_json(self.recovery_key).use is not Use.SIGNING:
            raise ValueError("recovery_key: want an Ed25519 key")


class Rotate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """party.rotate"""

    op: str
    party: _PartyId
    keys: _Jwks
    proofs: _Proofs
    retire: _Kids
    approvals: _Approvals = ()
    recovery: _Signature | UnsetType = UNSET

    def __post_init__(self) -> None:
        _jwks(self.keys)


class Revoke(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """party.revoke"""

    op: str
    party: _PartyId
    kids: _Kids
    """Empty: the whole party."""
    reason_code: _Code
    approvals: _Approvals = ()
    recovery: _Signature | UnsetType = UNSET


def register(fields: RegisterClient | RegisterAgency, context: Context) -> Outcome:
    """An agency registers its client, or a quorum a new agency."""
    draft = context.draft
    issuer = context.issuer()
    if issuer.status is not PartyStatus.ACTIVE:
        return Refusal("PARTY_REVOKED")
    if isinstance(fields, RegisterClient) and find_agency(draft, issuer.id) is None:
        return Refusal("NOT_AUTHORISED")
    if draft.get(party_key(fields.party)) is not None:
        return Refusal("PARTY_EXISTS")
    jwks = _jwks(fields.keys)
    if len(jwks) > context.parameters.keys_per_party_max:
        return Refusal("KEYS_FULL")
    if all(jwk.use is not Use.SIGNING for jwk in jwks):
        return Refusal("KEY_LAST")
    refusal = _check_new_keys(fields.party, jwks, fields.proofs, context)
    agency = issuer.id
    if refusal is None and isinstance(fields, RegisterAgency):
        agency = fields.party
        refusal = _create_agency(fields, jwks, context)
    if refusal is not None:
        return refusal
    _own(fields.party, jwks, context)
    value = party_fields(fields.party, agency, PartyStatus.ACTIVE, new_keys(jwks))
    records.create(draft, party_key(fields.party), value)
    return {"party": fields.party}


def _create_agency(
    fields: RegisterAgency, jwks: tuple[Jwk, ...], context: Context
) -> Refusal | None:
    recovery = Jwk.from_json(fields.recovery_key)
    if not recovery.is_valid:
        return Refusal("KEY_INVALID")
    if recovery in jwks or _is_known(recovery, context):
        return Refusal("KEY_IN_USE")
    refusal = check_quorum(fields.approvals, context)
    if refusal is None:
        value = {
            "id": fields.party,
            "title_code": fields.title_code,
            "recovery_key": recovery.to_json(),
        }
        records.create(context.draft, agency_key(fields.party), value)
    return refusal


def rotate(fields: Rotate, context: Context) -> Outcome:
    """New keys for a party, and old ones retired."""
    party = _find_active(fields.party, context)
    if isinstance(party, Refusal):
        return party
    refusal = _authorise(party, fields, context)
    if refusal is not None:
        return refusal
    jwks = _jwks(fields.keys)
    refusal = _check_new_keys(party.id, jwks, fields.proofs, context)
    if refusal is not None:
        return refusal
    kept = _with_status(party, fields.retire, KeyStatus.RETIRED)
    if isinstance(kept, Refusal):
        return kept
    keys = kept + new_keys(jwks)
    active = [key for key in keys if key.status is KeyStatus.ACTIVE]
    if len(active) > context.parameters.keys_per_party_max:
        return Refusal("KEYS_FULL")
    if not any(key.can_sign for key in active):
        return Refusal("KEY_LAST")
    _own(party.id, jwks, context)
    _disown(party.id, fields.retire, KeyStatus.RETIRED, context)
    return _supersede(party, PartyStatus.ACTIVE, keys, context)


def revoke(fields: Revoke, context: Context) -> Outcome:
    """Keys of a party, or the whole party, are trusted no longer."""
    party = _find_active(fields.party, context)
    if isinstance(party, Refusal):
        return party
    refusal = _authorise(party, fields, context)
    if refusal is not None:
        return refusal
    kids = fields.kids or tuple(key.kid for key in party.active_keys())
    keys = _with_status(party, kids, KeyStatus.REVOKED)
    if isinstance(keys, Refusal):
        return keys
    _disown(party.id, kids, KeyStatus.REVOKED, context)
    status = PartyStatus.ACTIVE if fields.kids else PartyStatus.REVOKED
    return _supersede(party, status, keys, context)


def _find_active(party: str, context: Context) -> Party | Refusal:
    found = find_party(context.draft, party)
    if found is None:
        return Refusal("PARTY_UNKNOWN")
    return Refusal("PARTY_REVOKED") if found.status is PartyStatus.REVOKED else found


def _authorise(party: Party, fields: Rotate | Revoke, context: Context) -> Refusal | None:
    issuer = context.issuer()
    # `issuer` may have been revoked by an earlier operation of this transaction.
    if issuer.status is PartyStatus.ACTIVE and issuer.id in (party.id, party.agency):
        return None
    if fields.recovery is not UNSET:
        return check_recovery(party.id, fields.recovery, context)
    if fields.approvals:
        return check_quorum(fields.approvals, context)
    return Refusal("NOT_AUTHORISED")


def _check_new_keys(
    party: str, jwks: tuple[Jwk, ...], proofs: tuple[str, ...], context: Context
) -> Refusal | None:
    if not all(jwk.is_valid for jwk in jwks):
        return Refusal("KEY_INVALID")
    if len({jwk.kid for jwk in jwks}) != len(jwks) or any(_is_known(k, context) for k in jwks):
        return Refusal("KEY_IN_USE")
    signing = [jwk for jwk in jwks if jwk.use is Use.SIGNING]
    if len(signing) != len(proofs):
        return Refusal("POSSESSION_INVALID")
    for jwk, proof in zip(signing, proofs, strict=True):
        text = possession_text(context.chain, party, jwk.kid)
        if not _verify(jwk.key, text, proof, context):
            return Refusal("POSSESSION_INVALID")
    return None


def _is_known(jwk: Jwk, context: Context) -> bool:
    """Keys of parties and votes are distinct, and a kid never changes hands."""
    votes = context.validators.index_of_vote_key(jwk.key) is not None
    return votes or find_owner(context.draft, jwk.kid) is not None


def _verify(key: bytes, text: bytes, signature: str, context: Context) -> bool:
    try:
        return context.verifier.verify(key, text, base64url.decode(signature))
    except ValueError:
        return False


def _with_status(
    party: Party, kids: tuple[str, ...], status: KeyStatus
) -> tuple[PartyKey, ...] | Refusal:
    active = {key.kid for key in party.active_keys()}
    if len(set(kids)) != len(kids) or not active.issuperset(kids):
        return Refusal("KEY_UNKNOWN")
    return tuple(
        PartyKey(key.kid, key.jwk, status) if key.kid in kids else key for key in party.keys
    )


def _own(party: str, jwks: tuple[Jwk, ...], context: Context) -> None:
    for jwk in jwks:
        owner = KeyOwner(party, KeyStatus.ACTIVE, context.height)
        context.draft.put(owner_key(jwk.kid), canonical.encode(owner))


def _disown(party: str, kids: tuple[str, ...], status: KeyStatus, context: Context) -> None:
    for kid in kids:
        owner = KeyOwner(party, status, context.height)
        context.draft.put(owner_key(kid), canonical.encode(owner))


def _supersede(
    party: Party, status: PartyStatus, keys: tuple[PartyKey, ...], context: Context
) -> Outcome:
    key = party_key(party.id)
    old = context.draft.get(key)
    assert old is not None
    kept = _without_oldest(keys, context.parameters.keys_per_party_max)
    value = party_fields(party.id, party.agency, status, kept)
    return {"party": party.id, "seq": records.supersede(context.draft, key, old, value)}


def _without_oldest(keys: tuple[PartyKey, ...], inactive_max: int) -> tuple[PartyKey, ...]:
    """At most `inactive_max` keys out of force, the newest; `key/<kid>` remembers them all."""
    inactive = [key.kid for key in keys if key.status is not KeyStatus.ACTIVE]
    dropped = inactive[: max(0, len(inactive) - inactive_max)]
    return tuple(key for key in keys if key.kid not in dropped)


def _jwks(values: tuple[dict[str, str], ...]) -> tuple[Jwk, ...]:
    return tuple(Jwk.from_json(value) for value in values)


OPERATIONS: Final[Mapping[str, OperationType]] = {
    "party.register": OperationType(RegisterClient | RegisterAgency, register),
    "party.rotate": OperationType(Rotate, rotate),
    "party.revoke": OperationType(Revoke, revoke),
}
