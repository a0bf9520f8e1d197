"""Parameter types that several methods share."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeAlias

import msgspec

from ledger.ids import TxId
from node.jsonrpc import NOT_FOUND, PARAMS_INVALID, RpcError
from node.service import NodeService

HashHex: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
CompactJws: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=262_144)]
HeightNumber: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
Limit: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=100)]
Cursor: TypeAlias = Annotated[str, msgspec.Meta(max_length=256, pattern="^[0-9]{1,16}:[!-~]+$")]
"""`next_cursor` of an earlier page: the height of the first page, and where to go on."""


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


class Page:
    """One page of a list, read at the head; it says whether the state moved since the first."""

    def __init__(self, service: NodeService, cursor: str | None, form: re.Pattern[str]) -> None:
        """`form` is what a place of this list looks like. Raises PARAMS_INVALID."""
        self._service = service
        self.began: int = service.chain.height
        """Height at which the first page was read."""
        self.start = ""
        """Where to go on; empty for the first page."""
        if cursor is not None:
            height, _, self.start = cursor.partition(":")
            if int(height) > self.began or form.fullmatch(self.start) is None:
                raise RpcError(PARAMS_INVALID, "PARAMS_INVALID", "the cursor is not of this list")
            self.began = int(height)

    def answer(self, following: str | None, **lists: list[Any]) -> dict[str, Any]:
        """The page's own members and those of every page; `following` is where the next begins."""
        return {
            **lists,
            "next_cursor": None if following is None else f"{self.began}:{following}",
            "began": self.began,
            "moved": self.began != self._service.chain.height,
            "at": at(self._service),
        }


def committed_height(service: NodeService, height: int | None) -> int:
    """The asked height or the head's. Raises BLOCK_UNKNOWN."""
    head = service.chain.height
    if height is None:
        return head
    if height > head:
        raise RpcError(NOT_FOUND, "BLOCK_UNKNOWN", f"height {height} is above the head {head}")
    return height
