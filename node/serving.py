"""Answers to other nodes' requests for blocks and bodies. Pure reads of what is stored here."""

from __future__ import annotations

from ledger.block import Block, transaction_ids
from ledger.certificate import Certificate
from node import wire
from node.chain import Chain


def bodies(chain: Chain, request: wire.WantBodies) -> wire.Bodies | None:
    """Those of the asked transactions that the block under this hash holds here."""
    body = chain.archive.body(request.block_hash)
    if body is None or len(request.ids) > wire.IDS_MAX:
        return None
    held: dict[bytes, bytes] = dict(zip(transaction_ids(body), body.transactions, strict=True))
    # Each once, however often it was asked for: no request may outgrow the channel's frame.
    chosen = tuple(raw for txid in request.ids if (raw := held.pop(txid, None)) is not None)
    return wire.Bodies(request.block_hash, chosen) if chosen else None


def block(chain: Chain, request: wire.WantBlock) -> wire.BlockAnswer | None:
    """The block under this hash, committed or not."""
    held = chain.archive.body(request.block_hash)
    return None if held is None else wire.BlockAnswer(held)


def blocks(chain: Chain, request: wire.WantBlocks) -> wire.Blocks:
    """Committed blocks from the asked height on, within the limits; possibly none."""
    rows: list[tuple[Block, Certificate]] = []
    total = 0
    last = min(request.start + min(request.count, wire.BLOCKS_MAX) - 1, chain.height)
    for height in range(max(request.start, 1), last + 1):
        held = chain.archive.block(height)
        certificate = chain.archive.certificate(height)
        if held is None or certificate is None:
            break
        total += sum(len(raw) for raw in held.transactions) + len(held.header)
        if rows and total > wire.ANSWER_BYTES_MAX:
            break
        rows.append((held, certificate))
    return wire.Blocks(request.start, tuple(rows))
