"""Texts that parties and agencies sign besides transactions (docs/spec/formats.md, section 6).

Votes and consensus messages have theirs in ledger/certificate.py.
"""

from __future__ import annotations

from typing import Any

from ledger import canonical
from ledger.crypto import sha256
from ledger.ids import ChainId, Kid, PartyId


def possession_text(chain: str, name: str, kid: Kid) -> bytes:
    """What a new key signs to prove that its holder has it.

    `chain` is the chain id, or the chain name for a vote key of the genesis document, whose hash
    the id depends on; `name` is the party id or the member name.
    """
    return f"muniment-possession-v1\n{chain}\n{name}\n{kid}\n".encode("ascii")


def approval_text(
    chain: ChainId, iss: PartyId, jti: str, operation_index: int, operation: dict[str, Any]
) -> bytes:
    """What an agency signs to approve one operation of one transaction.

    Raises ValueError when the operation has no canonical form (RFC 8785).
    """
    bare = {name: part for name, part in operation.items() if name not in _SIGNATURES}
    # encode_any: clients choose the member names, and they may be beyond ASCII.
    digest = sha256(canonical.encode_any(bare)).hex()
    return f"muniment-approval-v1\n{chain}\n{iss}\n{jti}\n{operation_index}\n{digest}\n".encode(
        "ascii"
    )


_SIGNATURES = ("approvals", "recovery")
