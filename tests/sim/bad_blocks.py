"""Proposals that look right from afar and break one rule of block validity."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import msgspec

from consensus.messages import Propose
from ledger import base64url, canonical
from ledger.admission import parse
from ledger.block import Header, commit_hash
from ledger.certificate import Phase, vote_text
from ledger.crypto import sha256
from ledger.ids import BlockHash, Epoch, Height, View
from ledger.merkle import root
from ledger.transaction import Inadmissible

if TYPE_CHECKING:
    from tests.sim.node import SimNode

RULES = ("parent", "state", "time", "future", "replay", "inadmissible", "evidence", "commit")


def broken(node: SimNode, rng: Random, propose: Propose) -> Propose | None:
    """`propose` with one rule broken and everything else made to fit, or None."""
    rule = rng.choice(RULES)
    header = Header.decode(propose.header)
    commit, evidence, ids = propose.commit, propose.evidence, propose.transaction_ids
    chain = node.machine.chain
    if rule == "parent":
        older = chain.archive.block_hash(chain.height - 1) if chain.height else None
        if older is None:
            return None
        header = msgspec.structs.replace(header, parent=older.hex())
    elif rule == "state":
        header = msgspec.structs.replace(header, state_root=sha256(b"wrong").hex())
    elif rule == "time":
        header = msgspec.structs.replace(header, time_ms=chain.header.time_ms)
    elif rule == "future":
        header = msgspec.structs.replace(header, time_ms=header.time_ms + 3_600_000)
    elif rule == "commit":
        commit = msgspec.structs.replace(commit, signatures=commit.signatures[:2])
        header = msgspec.structs.replace(header, commit_hash=commit_hash(commit).hex())
    elif rule == "evidence":
        evidence = (_false_evidence(node, propose),)
        header = _executed(node, header, evidence=evidence) or header
    else:
        return _with_transaction(node, rng, propose, header, rule)
    data = header.encode()
    return msgspec.structs.replace(
        propose,
        header=data,
        block_hash=bytes(sha256(data)),
        commit=commit,
        evidence=evidence,
        transaction_ids=() if rule == "evidence" else ids,
    )


def _with_transaction(
    node: SimNode, rng: Random, propose: Propose, header: Header, rule: str
) -> Propose | None:
    """A block with one transaction that must not be in it, executed as if it might."""
    workload = node.world.workload
    if rule == "replay":
        raws = [s.raws[0] for s in workload.sent if s.ids[0] in node.world.checkers.transactions]
    else:
        raws = list(workload.bad_raws.values())
    if not raws:
        return None
    raw = rng.choice(raws)
    made = _executed(node, header, raw=raw)
    if made is None:
        return None
    data = made.encode()
    return msgspec.structs.replace(
        propose,
        header=data,
        block_hash=bytes(sha256(data)),
        transaction_ids=(bytes(sha256(raw)),),
        evidence=(),
    )


def _executed(
    node: SimNode, header: Header, *, raw: bytes | None = None, evidence: tuple[bytes, ...] = ()
) -> Header | None:
    """The header that an execution without the rule would give: a careful adversary's."""
    chain = node.machine.chain
    try:
        transactions = [] if raw is None else [parse(raw, chain.parameters, chain.id)]
        candidate = chain.build(
            header.proposer, header.time_ms, transactions, evidence, _Everything()
        )
    except (Inadmissible, ValueError):
        return None
    made = candidate.header
    if raw is not None:
        made = msgspec.structs.replace(made, tx_root=root([sha256(raw)]).hex())
    return made


class _Everything:
    """Holds every id: signatures are not looked at."""

    def __contains__(self, item: object) -> bool:
        return True


def _false_evidence(node: SimNode, propose: Propose) -> bytes:
    """An innocent member accused with signatures of the accuser."""
    chain = node.machine.chain
    victim = (propose.signer + 1) % len(chain.validators)
    assert node.signer is not None
    statements = []
    for content in (b"one", b"two"):
        text = vote_text(
            chain.id,
            Epoch(propose.epoch),
            Phase.PREPARE,
            View(propose.view),
            Height(propose.height),
            BlockHash(sha256(content)),
        )
        statements.append((node.signer.sign(text), text))
    return canonical.encode(
        {
            "type": "muniment-evidence-v1",
            "kind": "prepare",
            "epoch": propose.epoch,
            "member": victim,
            "first": _statement(*min(statements)),
            "second": _statement(*max(statements)),
        }
    )


def _statement(signature: bytes, text: bytes) -> dict[str, str]:
    return {"text": text.decode(), "signature": base64url.encode(signature)}
