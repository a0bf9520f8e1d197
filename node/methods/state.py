"""state_*: raw state keys with proofs."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from node import receipts
from node.jsonrpc import Method
from node.methods.parameters import Params, at
from node.service import NodeService


class ByKey(Params, frozen=True):
    """A state key (formats, section 8)."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=256, pattern="^[ -~]+$")]


def methods(service: NodeService) -> list[Method]:
    """The methods of this namespace."""
    door = _State(service)
    return [
        Method("state_get", ByKey, door.get, "A state value at the head."),
        Method("state_getProof", ByKey, door.proof, "A value, or its absence, with a proof."),
    ]


def proven(service: NodeService, key: str) -> dict[str, Any]:
    """A value, or its absence, with everything that shows it at the head."""
    value, proof, header, certificate = receipts.state_proof(service.chain, key.encode("ascii"))
    return {
        "key": key,
        "value": None if value is None else value.decode("utf-8"),
        "proof": proof.to_json(),
        "header": msgspec.to_builtins(header),
        "certificate": certificate.to_json(),
        "at": at(service),
    }


class _State:
    def __init__(self, service: NodeService) -> None:
        self._service = service

    async def get(self, params: ByKey) -> dict[str, Any]:
        """The canonical JSON under a key, or null."""
        value = self._service.chain.state.get(params.key.encode("ascii"))
        text = None if value is None else value.decode("utf-8")
        return {"key": params.key, "value": text, "at": at(self._service)}

    async def proof(self, params: ByKey) -> dict[str, Any]:
        """Inclusion or absence, against the state root of a certified header."""
        return proven(self._service, params.key)
