"""gov_* and service_*: proposals, services in force, their definitions."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from ledger import canonical
from ledger.ids import CODE, JTI, hash_from_hex
from ledger.registry.catalogue import definition_key, find_service
from node.jsonrpc import NOT_FOUND, Method, RpcError
from node.methods.parameters import Cursor, Limit, Page, Params, at
from node.service import NodeService


class ByProposal(Params, frozen=True):
    """A proposal."""

    proposal: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9._-]{1,64}$")]


class ListProposals(Params, frozen=True):
    """A page of proposals, in order of id."""

    limit: Limit = 50
    cursor: Cursor | None = None


class ListServices(Params, frozen=True):
    """A page of services, in order of name."""

    limit: Limit = 50
    cursor: Cursor | None = None


class ByService(Params, frozen=True):
    """A service; its current version unless another is named."""

    service: Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]{1,64}$")]
    version: Annotated[int, msgspec.Meta(ge=1, le=9_999)] | None = None


def methods(service: NodeService) -> list[Method]:
    """The methods of this namespace."""
    door = _Governance(service)
    return [
        Method("gov_get", ByProposal, door.proposal, "A proposal and its votes."),
        Method("gov_list", ListProposals, door.proposals, "Proposals, in order of id."),
        Method("service_list", ListServices, door.services, "Services and their versions."),
        Method("service_get", ByService, door.service, "A service's compiled definition."),
        Method("service_getSchema", ByService, door.schema, "Fields of a service's types."),
    ]


class _Governance:
    def __init__(self, service: NodeService) -> None:
        self._service = service

    def _scan(
        self, prefix: bytes, page: Page, limit: int
    ) -> tuple[list[tuple[str, Any]], str | None]:
        """State entries under a prefix from the page's place on, and the name to go on at."""
        found: list[tuple[str, Any]] = []
        start = b"s" + prefix + page.start.encode("ascii") if page.start else b""
        for key, value in self._service.machine.store.scan(b"s" + prefix, start):
            name = key[1 + len(prefix) :].decode("ascii")
            if len(found) == limit:
                return found, name
            found.append((name, canonical.decode(value)))
        return found, None

    async def proposal(self, params: ByProposal) -> dict[str, Any]:
        """Kind, body, votes, status and outcome."""
        value = self._service.chain.state.get(b"proposal/" + params.proposal.encode("ascii"))
        if value is None:
            raise RpcError(NOT_FOUND, "PROPOSAL_UNKNOWN", "no proposal has this id")
        return {"proposal": canonical.decode(value), "at": at(self._service)}

    async def proposals(self, params: ListProposals) -> dict[str, Any]:
        """Without their bodies; what is closed stays in the list."""
        page = Page(self._service, params.cursor, JTI)
        found, following = self._scan(b"proposal/", page, params.limit)
        items = [{k: v for k, v in value.items() if k != "body"} for _, value in found]
        return page.answer(following, items=items)

    async def services(self, params: ListServices) -> dict[str, Any]:
        """Every service that was voted in."""
        page = Page(self._service, params.cursor, CODE)
        found, following = self._scan(b"service/", page, params.limit)
        return page.answer(following, items=[{"service": name, **v} for name, v in found])

    def _definition(self, params: ByService) -> tuple[int, str, dict[str, Any]]:
        state = self._service.chain.state
        found = find_service(state, params.service)
        version = params.version or (found.current if found is not None else 0)
        row = None if found is None else found.versions.get(str(version))
        if row is None:
            raise RpcError(NOT_FOUND, "SERVICE_UNKNOWN", "no such service or version")
        assert hash_from_hex(row.hash)
        data = state.get(definition_key(row.hash))
        assert data is not None
        definition: dict[str, Any] = canonical.decode(data)
        return version, row.hash, definition

    async def service(self, params: ByService) -> dict[str, Any]:
        """The definition that validators evaluate, and its hash."""
        version, digest, definition = self._definition(params)
        return {
            "service": params.service,
            "version": version,
            "hash": digest,
            "definition": definition,
            "at": at(self._service),
        }

    async def schema(self, params: ByService) -> dict[str, Any]:
        """Fields of each record type and input of each act."""
        version, _, definition = self._definition(params)
        types = {
            f"{params.service}-{name}": {
                "fields": kind["fields"],
                "inputs": {act: t["input"] for act, t in kind["transitions"].items()},
            }
            for name, kind in definition["types"].items()
        }
        return {"version": version, "types": types, "at": at(self._service)}
