"""Evidence: two signed messages of one member that no correct member signs both of.

Transferable and non-interactive: anyone with the epoch's validator set can check it. Kinds:
two PRE-PREPAREs, two PREPAREs, two COMMITs for one (epoch, view, height); two VIEW-CHANGEs for one
(epoch, view). Format: docs/spec/protocol.md, section 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from consensus.messages import Propose, ViewChange, Vote, signed_text
from ledger import base64url, canonical, ijson
from ledger.crypto import Verifier
from ledger.ids import ChainId
from ledger.validators import ValidatorSet

Statement: TypeAlias = Propose | Vote | ViewChange


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two statements that contradict each other, in the order in which they were seen."""

    first: Statement
    second: Statement

    @property
    def kind(self) -> str:
        """propose, prepare, commit or view-change."""
        if isinstance(self.first, Vote):
            return self.first.phase.value
        return "propose" if isinstance(self.first, Propose) else "view-change"

    @property
    def member(self) -> int:
        """Index of the accused in the epoch's set."""
        return self.first.signer

    def encode(self, chain: ChainId) -> bytes:
        """Canonical JSON; the lower signature stands first, so one pair has one encoding."""
        statements = sorted((self.first, self.second), key=lambda item: item.signature)
        return canonical.encode(
            {
                "type": "muniment-evidence-v1",
                "kind": self.kind,
                "epoch": self.first.epoch,
                "member": self.member,
                "first": _statement(statements[0], chain),
                "second": _statement(statements[1], chain),
            }
        )


def _statement(statement: Statement, chain: ChainId) -> dict[str, Any]:
    return {
        "text": signed_text(statement, chain).decode("ascii"),
        "signature": base64url.encode(statement.signature),
    }


def contradicts(first: Statement, second: Statement) -> bool:
    """Whether no correct member signs both: same slot, different content."""
    if isinstance(first, ViewChange) or isinstance(second, ViewChange):
        return (
            isinstance(first, ViewChange)
            and isinstance(second, ViewChange)
            and (first.signer, first.epoch, first.view)
            == (second.signer, second.epoch, second.view)
            and first != second
        )
    if type(first) is not type(second):
        return False
    if isinstance(first, Vote) and isinstance(second, Vote) and first.phase is not second.phase:
        return False
    return (
        first.signer == second.signer
        and (first.epoch, first.view, first.height) == (second.epoch, second.view, second.height)
        and first.block_hash != second.block_hash
    )


def check_evidence(
    data: bytes, chain: ChainId, validators: ValidatorSet, verifier: Verifier
) -> tuple[str, int]:
    """(kind, member) that canonical evidence `data` convicts. Raises ValueError if it does not."""
    value = ijson.decode(data, depth_max=2)  # a stranger wrote it: bound the depth first
    if not isinstance(value, dict) or canonical.encode(value) != data:
        raise ValueError("evidence: not canonical JSON")
    if set(value) != {"type", "kind", "epoch", "member", "first", "second"}:
        raise ValueError("evidence: unknown or missing members")
    member = value["member"]
    if value["type"] != "muniment-evidence-v1" or value["epoch"] != validators.epoch:
        raise ValueError("evidence: unknown type or epoch")
    if not isinstance(member, int) or not 0 <= member < len(validators):
        raise ValueError("evidence: member out of range")
    texts: list[str] = []
    signatures: list[str] = []
    for name in ("first", "second"):
        item = value[name]
        if not isinstance(item, dict) or set(item) != {"text", "signature"}:
            raise ValueError("evidence: a statement has other members than text and signature")
        text, signature = item["text"], item["signature"]
        if not isinstance(text, str) or not isinstance(signature, str) or not text.isascii():
            raise ValueError("evidence: a statement is not text")
        if not verifier.verify(
            validators.vote_keys[member], text.encode("ascii"), base64url.decode(signature)
        ):
            raise ValueError("evidence: a signature is not valid")
        texts.append(text)
        signatures.append(signature)
    if base64url.decode(signatures[0]) > base64url.decode(signatures[1]):
        raise ValueError("evidence: statements are not in order")
    if texts[0] == texts[1] or _slot(texts[0], chain, value) != _slot(texts[1], chain, value):
        raise ValueError("evidence: the statements do not contradict each other")
    return value["kind"], member


def _slot(text: str, chain: ChainId, value: dict[str, Any]) -> tuple[str, ...]:
    """What two contradicting texts have in common: all lines but the last, of this chain."""
    lines = text.split("\n")
    if len(lines) != 8 or lines[:3] != ["muniment-vote-v1", chain, str(value["epoch"])]:
        raise ValueError("evidence: not votes of this chain and epoch")
    if lines[3] != value["kind"]:
        raise ValueError("evidence: not of the named kind")
    return tuple(lines[:6])
