"""Documents: commitments with a registrant, attestations and a revocation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from ledger import canonical, records
from ledger.ids import CODE, HASH_HEX, RECORD_ID
from ledger.operation import Context, OperationType, Outcome, Refusal
from ledger.parties import PartyStatus
from ledger.registry.catalogue import type_key

ATTESTATIONS_MAX: Final = 64
DEFINITION: Final = "document@1"
_Code = Annotated[str, Meta(pattern=rf"^(?:{CODE.pattern})\Z", max_length=64)]
_HashHex = Annotated[str, Meta(pattern=rf"^(?:{HASH_HEX.pattern})\Z", max_length=64)]
_RecordId = Annotated[str, Meta(pattern=rf"^(?:{RECORD_ID.pattern})\Z", max_length=97)]


class Register(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """document.register"""

    op: str
    type: _Code
    title_code: _Code
    commitment: _HashHex


class Attest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """document.attest"""

    op: str
    id: _RecordId


class Revoke(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """document.revoke"""

    op: str
    id: _RecordId
    reason_code: _Code


def register(fields: Register, context: Context) -> Outcome:
    """Any active party registers a document, of a type that no service has had."""
    issuer = context.issuer()
    if issuer.status is not PartyStatus.ACTIVE:
        return Refusal("PARTY_REVOKED")
    if context.draft.has(type_key(fields.type)):
        # Whoever has nothing but the id would take it for a record of that service.
        return Refusal("TYPE_RESERVED")
    transaction = context.transaction
    record = records.record_id(
        fields.type, context.chain, transaction.iss, transaction.jti, context.index
    )
    key = _key(record)
    if context.draft.has(key):
        # An expired (iss, jti) may be used again, and the id depends on nothing else.
        return Refusal("RECORD_EXISTS")
    value = {
        "id": record,
        "type": fields.type,
        "def": DEFINITION,
        "state": "registered",
        "party": transaction.iss,
        "agency": issuer.agency,
        "data": {"title_code": fields.title_code, "commitment": fields.commitment},
        "attestations": [],
        "tx": transaction.id.hex(),
        "height": context.height,
    }
    records.create(context.draft, key, value)
    return {"record": record, "seq": 0}


def attest(fields: Attest, context: Context) -> Outcome:
    """An agency other than the record's attests it, once."""
    issuer = context.issuer()
    if issuer.status is not PartyStatus.ACTIVE:
        return Refusal("PARTY_REVOKED")
    old = context.draft.get(_key(fields.id))
    value: dict[str, Any] = {} if old is None else canonical.decode(old)
    if old is None or value["def"] != DEFINITION:
        return Refusal("RECORD_UNKNOWN")
    if value["state"] != "registered":
        return Refusal("RECORD_REVOKED")
    if issuer.agency != issuer.id or issuer.id == value["agency"]:
        return Refusal("NOT_AUTHORISED")
    attestations = value["attestations"]
    if any(attestation["agency"] == issuer.id for attestation in attestations):
        return Refusal("ALREADY_ATTESTED")
    if len(attestations) >= ATTESTATIONS_MAX:
        return Refusal("ATTESTATIONS_FULL")
    tx = context.transaction.id.hex()
    attestations.append({"agency": issuer.id, "tx": tx, "height": context.height})
    return _supersede(fields.id, old, value, context)


def revoke(fields: Revoke, context: Context) -> Outcome:
    """The registrant or its agency revokes a document."""
    issuer = context.issuer()
    if issuer.status is not PartyStatus.ACTIVE:
        return Refusal("PARTY_REVOKED")
    old = context.draft.get(_key(fields.id))
    value: dict[str, Any] = {} if old is None else canonical.decode(old)
    if old is None or value["def"] != DEFINITION:
        return Refusal("RECORD_UNKNOWN")
    if value["state"] != "registered":
        return Refusal("RECORD_REVOKED")
    if issuer.id not in (value["party"], value["agency"]):
        return Refusal("NOT_AUTHORISED")
    value["state"] = "revoked"
    value["data"]["reason_code"] = fields.reason_code
    return _supersede(fields.id, old, value, context)


def _supersede(record: str, old: bytes, value: dict[str, Any], context: Context) -> Outcome:
    value["tx"] = context.transaction.id.hex()
    value["height"] = context.height
    seq = records.supersede(context.draft, _key(record), old, value)
    return {"record": record, "seq": seq}


def _key(record: str) -> bytes:
    return b"record/" + record.encode("ascii")


OPERATIONS: Final[Mapping[str, OperationType]] = {
    "document.register": OperationType(Register, register),
    "document.attest": OperationType(Attest, attest),
    "document.revoke": OperationType(Revoke, revoke),
}
