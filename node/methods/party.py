"""party_*: who may sign."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from ledger import canonical
from node.jsonrpc import NOT_FOUND, Method, RpcError
from node.methods.parameters import Params, at
from node.service import NodeService


class ByParty(Params, frozen=True):
    """A party."""

    party: Annotated[str, msgspec.Meta(pattern="^[a-z0-9.-]{1,64}$")]


def methods(service: NodeService) -> list[Method]:
    """The methods of this namespace."""

    async def get(params: ByParty) -> dict[str, Any]:
        """The party's agency, status and keys."""
        value = service.chain.state.get(f"party/{params.party}".encode("ascii"))
        if value is None:
            raise RpcError(NOT_FOUND, "PARTY_UNKNOWN", "no party has this id")
        return {"party": canonical.decode(value), "at": at(service)}

    return [Method("party_get", ByParty, get, "A party and its keys.")]
