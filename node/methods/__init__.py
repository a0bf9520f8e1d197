"""The JSON-RPC methods, one file for each namespace (docs/spec/rpc.md)."""

from __future__ import annotations

from typing import Any

from node.jsonrpc import Method, openrpc
from node.methods import (
    chain,
    governance,
    node,
    party,
    record,
    registry,
    state,
    subscription,
    transaction,
)
from node.methods.parameters import Nothing
from node.service import NodeService


def all_methods(service: NodeService) -> list[Method]:
    """Every method of a node."""
    return [
        *transaction.methods(service),
        *chain.methods(service),
        *state.methods(service),
        *record.methods(service),
        *party.methods(service),
        *governance.methods(service),
        *registry.methods(service),
        *node.methods(service),
        *subscription.methods(),
        Method("rpc.discover", Nothing, discover, "This document (OpenRPC)."),
    ]


async def discover(params: Nothing) -> dict[str, Any]:
    """The OpenRPC document of these methods."""
    return document()


def document() -> dict[str, Any]:
    """The OpenRPC document; it is the same for every node."""
    nobody = NodeService.__new__(NodeService)  # methods read the service only when they are called
    return openrpc(all_methods(nobody), node.API_VERSION)
