"""chain_*: blocks, headers, certificates, epochs, checkpoints."""

from __future__ import annotations

from typing import Any

import msgspec

from ledger import canonical
from node import receipts
from node.archive import Archive
from node.jsonrpc import NOT_FOUND, Method, RpcError
from node.methods.parameters import (
    ByHeight,
    HeightNumber,
    Limit,
    Nothing,
    Params,
    at,
    committed_height,
)
from node.service import NodeService


class ListBlocks(Params, frozen=True):
    """A page of blocks, newest first."""

    limit: Limit = 20
    before: HeightNumber | None = None


def methods(service: NodeService) -> list[Method]:
    """The methods of this namespace."""
    door = _Chain(service)
    return [
        Method("chain_getBlock", ByHeight, door.block, "A block with its transactions."),
        Method("chain_getHeader", ByHeight, door.header, "A header."),
        Method("chain_getCertificate", ByHeight, door.certificate, "A commit certificate."),
        Method("chain_listBlocks", ListBlocks, door.list_blocks, "Blocks, newest first."),
        Method("chain_getGenesis", Nothing, door.genesis, "The genesis document."),
        Method("chain_getEpochs", Nothing, door.epochs, "The self-verifying epoch chain."),
        Method("chain_getValidators", ByHeight, door.validators, "The set that certifies a block."),
        Method("chain_getCheckpoint", ByHeight, door.checkpoint, "A signed checkpoint note."),
    ]


class _Chain:
    def __init__(self, service: NodeService) -> None:
        self._service = service

    @property
    def _archive(self) -> Archive:
        return self._service.chain.archive

    async def block(self, params: ByHeight) -> dict[str, Any]:
        """Header, commit of the parent, transactions, evidence and entries."""
        height = committed_height(self._service, params.height)
        block = self._archive.block(height)
        header = self._archive.header(height)
        block_hash = self._archive.block_hash(height)
        assert header is not None
        assert block_hash is not None
        return {
            "height": height,
            "block_hash": block_hash.hex(),
            "header": msgspec.to_builtins(header),
            "commit": None if block is None else block.commit.to_json(),
            "transactions": [raw.decode("ascii") for raw in block.transactions] if block else [],
            "evidence": [canonical.decode(item) for item in block.evidence] if block else [],
            "entries": [canonical.decode(item) for item in self._archive.entries(height)],
            "at": at(self._service),
        }

    async def header(self, params: ByHeight) -> dict[str, Any]:
        """The header of a committed block."""
        height = committed_height(self._service, params.height)
        header, block_hash = self._archive.header(height), self._archive.block_hash(height)
        assert block_hash is not None
        return {
            "block_hash": block_hash.hex(),
            "header": msgspec.to_builtins(header),
            "at": at(self._service),
        }

    async def certificate(self, params: ByHeight) -> dict[str, Any]:
        """The certificate that this node holds; another quorum of votes is as good."""
        height = committed_height(self._service, params.height)
        certificate = self._archive.certificate(height)
        if certificate is None:
            detail = f"height {height} is certified through a block above it"
            raise RpcError(NOT_FOUND, "BLOCK_UNKNOWN", detail)
        return {"certificate": certificate.to_json(), "at": at(self._service)}

    async def list_blocks(self, params: ListBlocks) -> dict[str, Any]:
        """A page of blocks; `next_before` continues it."""
        top = self._service.chain.height + 1
        before = top if params.before is None else min(params.before, top)
        first = max(0, before - params.limit)
        items = [self._row(height) for height in range(before - 1, first - 1, -1)]
        return {"items": items, "next_before": first or None, "at": at(self._service)}

    def _row(self, height: int) -> dict[str, Any]:
        header, block_hash = self._archive.header(height), self._archive.block_hash(height)
        certificate = self._archive.certificate(height)
        assert header is not None
        assert block_hash is not None
        return {
            "height": height,
            "block_hash": block_hash.hex(),
            "time_ms": header.time_ms,
            "proposer": header.proposer,
            "transactions": sum(
                1 for item in self._archive.entries(height) if b'"kind":"tx"' in item
            ),
            "view": None if certificate is None else certificate.view,
        }

    async def genesis(self, params: Nothing) -> dict[str, Any]:
        """The document; compare its hash with the one you pinned."""
        genesis = self._service.chain.genesis
        return {
            "genesis": genesis.to_json(),
            "genesis_hash": genesis.hash.hex(),
            "chain_id": genesis.chain,
        }

    async def epochs(self, params: Nothing) -> dict[str, Any]:
        """From genesis to now: closing headers, certificates and next sets."""
        chain = self._service.chain
        steps = receipts.epoch_chain(chain.archive, chain.epoch)
        return {
            "epochs": [{"genesis": chain.genesis.to_json()}, *(step.to_json() for step in steps)],
            "at": at(self._service),
        }

    async def validators(self, params: ByHeight) -> dict[str, Any]:
        """Members, quorum and faults tolerated at a height."""
        height = committed_height(self._service, params.height)
        header = self._archive.header(height)
        assert header is not None
        epoch = self._service.chain.epoch if params.height is None else header.epoch
        row = self._archive.epoch_set(epoch)
        assert row is not None
        validators = row[1]
        return {
            "epoch": validators.epoch,
            "validators_hash": validators.hash.hex(),
            "quorum": validators.quorum,
            "faults": validators.f,
            "members": [
                {"index": index, **msgspec.to_builtins(member)}
                for index, member in enumerate(validators.members)
            ],
            "at": at(self._service),
        }

    async def checkpoint(self, params: ByHeight) -> dict[str, Any]:
        """A C2SP note signed by a quorum: of this height, or the newest one."""
        interval = self._service.chain.parameters.checkpoint_interval
        height = self._service.chain.height if params.height is None else params.height
        candidates = [height]
        if params.height is None:
            last = height - height % interval
            candidates = [last, last - interval]
        for candidate in candidates:
            note = self._archive.note(candidate) if candidate > 0 else None
            if note is not None:
                return {"height": candidate, "note": note, "at": at(self._service)}
        raise RpcError(NOT_FOUND, "BLOCK_UNKNOWN", "no checkpoint note is held for that height")
