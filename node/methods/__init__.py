"""The JSON-RPC methods, one file for each namespace (docs/spec/rpc.md)."""

from __future__ import annotations

from node.jsonrpc import Method
from node.methods import chain, node, party, record, state, transaction
from node.service import NodeService


def all_methods(service: NodeService) -> list[Method]:
    """Every method of this node but rpc.discover, which needs the list."""
    return [
        *transaction.methods(service),
        *chain.methods(service),
        *state.methods(service),
        *record.methods(service),
        *party.methods(service),
        *node.methods(service),
    ]
