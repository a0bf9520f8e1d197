"""Approvals: agencies that run members sign one operation of one transaction.

docs/spec/operations.md; the text is in docs/spec/formats.md, section 6.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ledger import base64url
from ledger.ids import PARTY_ID
from ledger.jwk import Jwk
from ledger.operation import Context, Refusal
from ledger.parties import active_signing_key, find_agency
from ledger.signed_text import approval_text

APPROVALS_MAX: Final = 64


class Approval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One agency's signature."""

    agency: Annotated[str, Meta(pattern=rf"^(?:{PARTY_ID.pattern})\Z", max_length=64)]
    kid: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}\Z")]
    signature: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{86}\Z")]
    """Ed25519 over the approval text, base64url."""


def check_quorum(approvals: tuple[Approval, ...], context: Context) -> Refusal | None:
    """None when the approvals are a quorum, else why not.

    One approval for each agency: a second one is refused, so that a transaction cannot make
    everybody verify more signatures than there are agencies with members.
    """
    text = _text(context)
    members = 0
    seen: set[str] = set()
    for approval in approvals:
        weight = sum(1 for m in context.validators.members if m.agency == approval.agency)
        if weight == 0:
            continue
        if approval.agency in seen:
            return Refusal("APPROVAL_INVALID")
        seen.add(approval.agency)
        key = active_signing_key(context.draft, approval.agency, approval.kid)
        if key is None or not _verify(context, key, text, approval.signature):
            return Refusal("APPROVAL_INVALID")
        members += weight
    return None if members >= context.validators.quorum else Refusal("QUORUM_NOT_REACHED")


def check_recovery(agency: str, signature: str, context: Context) -> Refusal | None:
    """None when `signature` (base64url) is one of the agency's recovery key, else why not."""
    found = find_agency(context.draft, agency)
    if found is None:
        return Refusal("NOT_AUTHORISED")
    key = Jwk.from_json(found.recovery_key).key
    if not _verify(context, key, _text(context), signature):
        return Refusal("APPROVAL_INVALID")
    return None


def _text(context: Context) -> bytes:
    transaction = context.transaction
    return approval_text(
        context.chain,
        transaction.iss,
        transaction.jti,
        context.index,
        transaction.ops[context.index],
    )


def _verify(context: Context, key: bytes, text: bytes, signature: str) -> bool:
    try:
        return context.verifier.verify(key, text, base64url.decode(signature))
    except ValueError:
        return False
