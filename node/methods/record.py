"""record_*: records, their history, lists and proofs."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from ledger import canonical
from ledger.records import history_key
from node.jsonrpc import NOT_FOUND, PARAMS_INVALID, Method, RpcError
from node.methods.parameters import Limit, Params, at
from node.methods.state import proven
from node.service import NodeService

RecordIdText = Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]{1,64}/[0-9a-f]{32}$")]


class ByRecord(Params, frozen=True):
    """A record."""

    id: RecordIdText


class ListRecords(Params, frozen=True):
    """A page of the records of one type, in order of id."""

    type: Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]{1,64}$")]
    limit: Limit = 50
    cursor: Annotated[str, msgspec.Meta(max_length=128)] | None = None


def methods(service: NodeService) -> list[Method]:
    """The methods of this namespace."""
    door = _Records(service)
    return [
        Method("record_get", ByRecord, door.get, "The newest version of a record."),
        Method("record_history", ByRecord, door.history, "Every version of a record."),
        Method("record_list", ListRecords, door.list_records, "Records of a type."),
        Method("record_getProof", ByRecord, door.proof, "A record with a proof."),
    ]


class _Records:
    def __init__(self, service: NodeService) -> None:
        self._service = service

    def _value(self, record: str) -> bytes:
        value = self._service.chain.state.get(f"record/{record}".encode("ascii"))
        if value is None:
            raise RpcError(NOT_FOUND, "RECORD_UNKNOWN", "no record has this id")
        return value

    async def get(self, params: ByRecord) -> dict[str, Any]:
        """The record as it stands at the head."""
        return {"record": canonical.decode(self._value(params.id)), "at": at(self._service)}

    async def history(self, params: ByRecord) -> dict[str, Any]:
        """Oldest first; each version's hash is the next one's `prev`."""
        newest = canonical.decode(self._value(params.id))
        key = f"record/{params.id}".encode("ascii")
        versions: list[Any] = []
        for seq in range(newest["seq"]):
            value = self._service.chain.state.read(history_key(key, seq))
            assert value is not None, (params.id, seq)
            versions.append(canonical.decode(value))
        versions.append(newest)
        return {"versions": versions, "at": at(self._service)}

    async def list_records(self, params: ListRecords) -> dict[str, Any]:
        """Each item is provable; the list does not prove that nothing is missing."""
        prefix = f"record/{params.type}/".encode("ascii")
        start = b""
        if params.cursor is not None:
            if not params.cursor.startswith(params.type + "/") or not params.cursor.isascii():
                raise RpcError(PARAMS_INVALID, "PARAMS_INVALID", "the cursor is of another list")
            start = f"record/{params.cursor}".encode("ascii")
        items: list[Any] = []
        following: str | None = None
        for key, value in self._service.machine.store.scan(b"s" + prefix, b"s" + start):
            if len(items) == params.limit:
                following = key[1:].decode("ascii").removeprefix("record/")
                break
            items.append(canonical.decode(value))
        return {
            "items": items,
            "next_cursor": following,
            "complete": False,
            "at": at(self._service),
        }

    async def proof(self, params: ByRecord) -> dict[str, Any]:
        """The record's value, or its absence, against a certified header."""
        return proven(self._service, f"record/{params.id}")
