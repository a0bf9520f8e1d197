"""Replay a chain from genesis in a store of its own: python -m tests.services.replay FILE.

FILE is MessagePack: [genesis document, [block, ...]]. Prints the digest of each block's entries
and state root, which depend on nothing but the blocks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ledger.block import Block, Header
from ledger.certificate import Certificate
from ledger.crypto import Ed25519Verifier, sha256
from ledger.genesis import Genesis
from ledger.ids import BlockHash
from ledger.store import MemoryStore
from node.archive import Archive
from node.chain import Chain


class Recording(msgspec.Struct, frozen=True, array_like=True):
    """A chain as a file holds it."""

    genesis: bytes
    blocks: tuple[Block, ...]
    """From height 1; the last one carries the certificate of the one before."""


def record(genesis: Genesis, archive: Archive, file: Path) -> int:
    """Write a chain to a file; its height."""
    head = archive.head()
    assert head is not None
    blocks: list[Block] = []
    for height in range(1, head + 1):
        block = archive.block(height)
        assert block is not None
        blocks.append(block)
    file.write_bytes(msgspec.msgpack.encode(Recording(genesis.encode(), tuple(blocks))))
    return head


def replay(file: Path) -> Iterable[str]:
    """One line for each block below the last: height, state root, digest of the entries."""
    recording = msgspec.msgpack.decode(file.read_bytes(), type=Recording)
    store = MemoryStore()
    chain = Chain(store, Genesis.decode(recording.genesis), Ed25519Verifier())
    for block, following in zip(recording.blocks, recording.blocks[1:], strict=False):
        certificate: Certificate = following.commit
        assert certificate.height == chain.height + 1
        candidate = chain.judge(block, {}, frozenset())
        chain.commit(candidate, certificate)
        store.flush()
        header = Header.decode(block.header)
        assert chain.state.root.hex() == header.state_root
        assert chain.block_hash == BlockHash(certificate.block_hash)
        digest = sha256(b"".join(chain.archive.entries(chain.height))).hex()
        yield f"{chain.height} {chain.state.root.hex()} {digest}"


if __name__ == "__main__":
    for line in replay(Path(sys.argv[1])):
        print(line)
