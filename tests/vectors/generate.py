"""Writes the golden vectors: one example of each format that outsiders rebuild.

    python -m tests.vectors.generate

Everything comes from fixed seeds, so a second run changes nothing. A change of a file here is a
change of a format, and chains that exist would not survive it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from ledger import base64url, canonical, merkle, note, receipt_check, signed_text, transaction
from ledger.block import commit_hash, header_hash
from ledger.certificate import Phase, message_text, vote_text
from ledger.crypto import sha256
from ledger.history import HistoryTree
from ledger.ids import BlockHash, Epoch, Height, PartyId, View
from ledger.jwk import PrivateJwk
from ledger.note import Note
from tests.builders import EXP, kid_of, make_genesis, seed
from tests.receipts import PaperChain, grow

FOLDER: Final = Path(__file__).parent


def kit_and_chain() -> PaperChain:
    """The chain that all examples come from: four members, eight blocks, two epochs."""
    return grow(make_genesis(4))


def jwk(chain: PaperChain) -> dict[str, Any]:
    """A key of each kind, private and public."""
    pairs = {
        "signing": PrivateJwk.signing(seed("vector signing")),
        "encryption": PrivateJwk.encryption(seed("vector encryption")),
    }
    return {
        name: {
            "private": pair.to_json(),
            "public": pair.public.to_json(),
            "kid": pair.public.kid,
        }
        for name, pair in pairs.items()
    }


def genesis(chain: PaperChain) -> dict[str, Any]:
    """The document, its hash and what follows from it."""
    document = chain.kit.genesis
    return {
        "document": document.to_json(),
        "canonical": document.encode().decode(),
        "hash": document.hash.hex(),
        "chain": document.chain,
        "validators": document.validators().to_json(),
        "validators_hash": document.validators().hash.hex(),
    }


def transactions(chain: PaperChain) -> dict[str, Any]:
    """A signed transaction with non-ASCII text."""
    claims = {
        "iss": "agency-0",
        "aud": chain.kit.chain,
        "jti": "vector-1",
        "exp": EXP,
        "ops": [{"op": "document.register", "title_code": "bescheid", "note": "Zürich"}],
    }
    key = chain.kit.agency_signers["agency-0"]
    compact = transaction.sign(claims, key)
    return {
        "seed": seed("test agency 0").hex(),
        "kid": kid_of(key),
        "claims": claims,
        "compact": compact.decode(),
        "id": sha256(compact).hex(),
    }


def header(chain: PaperChain) -> dict[str, Any]:
    """The header of block 3."""
    return {
        "header": msgspec.to_builtins(chain.headers[3]),
        "canonical": chain.headers[3].encode().decode(),
        "hash": header_hash(chain.headers[3]).hex(),
        "transaction_ids": [sha256(raw).hex() for raw in chain.transactions[3]],
        "entries": [data.decode() for data in chain.entries[3]],
    }


def certificate(chain: PaperChain) -> dict[str, Any]:
    """The certificate of block 3."""
    return {
        "certificate": chain.certificates[3].to_json(),
        "commit_hash": commit_hash(chain.certificates[3]).hex(),
    }


def texts(chain: PaperChain) -> dict[str, Any]:
    """Every text that somebody signs."""
    name = chain.kit.chain
    key = chain.kit.vote_signers[0]
    operation = {"op": "party.revoke", "party": "agency-1", "kids": [], "reason_code": "lost"}
    vote = vote_text(name, Epoch(0), Phase.PREPARE, View(7), Height(3), BlockHash(sha256(b"block")))
    return {
        "vote": {"text": vote.decode(), "signature": base64url.encode(key.sign(vote))},
        "message": {"text": message_text(name, Epoch(0), "status", b"body").decode()},
        "possession": {"text": signed_text.possession_text(name, "member-0", kid_of(key)).decode()},
        "approval": {
            "operation": operation,
            "text": signed_text.approval_text(
                name, PartyId("agency-0"), "j-1", 0, {**operation, "approvals": []}
            ).decode(),
        },
    }


def receipt(chain: PaperChain) -> dict[str, Any]:
    """The receipt of a refused transaction, anchored in the next epoch."""
    example = chain.receipt(2, 1, anchor=7)
    pin = chain.kit.genesis.hash
    return {
        "genesis_hash": pin.hex(),
        "receipt": example.to_json(),
        "verdict": msgspec.to_builtins(receipt_check.verify(example, genesis_hash=pin)),
    }


def checkpoint_note(chain: PaperChain) -> dict[str, Any]:
    """A note over nine headers, signed by three of four members."""
    root = merkle.root(chain.hashes(9))
    lines = tuple(
        note.sign(chain.kit.chain, Height(8), root, f"member-{i}", chain.kit.vote_signers[i])
        for i in range(3)
    )
    return {
        "header_hashes": [block_hash.hex() for block_hash in chain.hashes(9)],
        "note": Note(chain.kit.chain, Height(8), root, lines).encode().decode(),
    }


def merkle_tree(chain: PaperChain) -> dict[str, Any]:
    """Roots of the trees of 0 to 9 leaves, a proof of each kind, the nodes that are stored."""
    leaves = [f"leaf {i}".encode() for i in range(9)]
    tree = HistoryTree()
    nodes = [node for data in leaves for node in tree.append(data)]
    return {
        "leaves": [data.hex() for data in leaves],
        "roots": [merkle.root(leaves[:size]).hex() for size in range(10)],
        "inclusion": {
            "index": 4,
            "size": 9,
            "path": [node.hex() for node in merkle.inclusion_proof(leaves, 4)],
        },
        "consistency": {
            "first": 6,
            "second": 9,
            "path": [node.hex() for node in merkle.consistency_proof(leaves, 6)],
        },
        "nodes": [[level, index, node.hex()] for level, index, node in nodes],
    }


VECTORS: Final[dict[str, Callable[[PaperChain], dict[str, Any]]]] = {
    "jwk": jwk,
    "genesis": genesis,
    "transaction": transactions,
    "header": header,
    "certificate": certificate,
    "signed_text": texts,
    "receipt": receipt,
    "note": checkpoint_note,
    "merkle": merkle_tree,
}


def render(name: str, chain: PaperChain) -> str:
    """The text of `<name>.json`."""
    document = VECTORS[name](chain)
    canonical.encode_any(document)  # raises on what I-JSON cannot hold
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Write every file."""
    chain = kit_and_chain()
    for name in VECTORS:
        (FOLDER / f"{name}.json").write_text(render(name, chain), encoding="utf-8")


if __name__ == "__main__":
    main()
