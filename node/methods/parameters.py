"""Parameter types that several methods share."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec

from ledger.ids import TxId
from node.jsonrpc import NOT_FOUND, RpcError
from node.service import NodeService

HashHex: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
CompactJws: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=262_144)]
HeightNumber: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
Limit: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=100)]


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every method's parameters."""


class Nothing(Params, frozen=True):
    """A method without parameters."""


class ById(Params, frozen=True):
    """A transaction."""

    id: HashHex


class ByHeight(Params, frozen=True):
    """A block; the head when no height is given."""

    height: HeightNumber | None = None


def txid_of(text: str) -> TxId:
    """A transaction id from its hex form."""
    return TxId(bytes.fromhex(text))


def at(service: NodeService) -> dict[str, Any]:
    """Where an answer stands."""
    chain = service.chain
    return {"height": chain.height, "block_hash": chain.block_hash.hex()}


def committed_height(service: NodeService, height: int | None) -> int:
    """The asked height or the head's. Raises BLOCK_UNKNOWN."""
    head = service.chain.height
    if height is None:
        return head
    if height > head:
        raise RpcError(NOT_FOUND, "BLOCK_UNKNOWN", f"height {height} is above the head {head}")
    return height
