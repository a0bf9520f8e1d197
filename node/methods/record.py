"""record_*: records, their history, lists and proofs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from ledger import canonical
from ledger.ids import RECORD_ID
from ledger.records import history_key
from ledger.registry.act import index_prefix
from node.jsonrpc import NOT_FOUND, PARAMS_INVALID, Method, RpcError
from node.methods.parameters import Cursor, Limit, Page, Params, at
from node.methods.state import proven
from node.service import NodeService

RecordIdText = Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]{1,64}/[0-9a-f]{32}$")]


_SEQ = re.compile("[0-9]{1,15}", re.ASCII)


class ByRecord(Params, frozen=True):
    """A record."""

    id: RecordIdText


class HistoryOf(ByRecord, frozen=True):
    """A page of a record's versions, oldest first."""

    limit: Limit = 50
    cursor: Cursor | None = None


class ListRecords(Params, frozen=True):
    """A page of the records of one type, in order of id; of a state or an indexed field's value."""

    type: Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]{1,64}$")]
    limit: Limit = 50
    cursor: Cursor | None = None
    state: Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]{1,64}$")] | None = None
    field: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,31}$")] | None = None
    value: str | int | bool | None = None


def methods(service: NodeService) -> list[Method]:
    """The methods of this namespace."""
    door = _Records(service)
    return [
        Method("record_get", ByRecord, door.get, "The newest version of a record."),
        Method("record_history", HistoryOf, door.history, "Versions of a record."),
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

    async def history(self, params: HistoryOf) -> dict[str, Any]:
        """Oldest first; each version's hash is the next one's `prev`."""
        page = Page(self._service, params.cursor, _SEQ)
        newest = canonical.decode(self._value(params.id))
        key = f"record/{params.id}".encode("ascii")
        first = int(page.start or "0")
        last = min(first + params.limit, newest["seq"] + 1)
        versions: list[Any] = []
        for seq in range(first, min(last, newest["seq"])):
            value = self._service.chain.state.read(history_key(key, seq))
            assert value is not None, (params.id, seq)
            versions.append(canonical.decode(value))
        if first <= newest["seq"] < last:
            versions.append(newest)
        return page.answer(str(last) if last <= newest["seq"] else None, versions=versions)

    async def list_records(self, params: ListRecords) -> dict[str, Any]:
        """Each item is provable; the list does not prove that nothing is missing."""
        page = Page(self._service, params.cursor, RECORD_ID)
        if page.start and not page.start.startswith(params.type + "/"):
            raise RpcError(PARAMS_INVALID, "PARAMS_INVALID", "the cursor is of another list")
        if params.state is not None and params.field is not None:
            raise RpcError(PARAMS_INVALID, "PARAMS_INVALID", "want state or field, not both")
        items: list[Any] = []
        following: str | None = None
        for record in self._ids(params, page.start):
            if len(items) == params.limit:
                following = record
                break
            items.append(canonical.decode(self._value(record)))
        return {**page.answer(following, items=items), "complete": False}

    def _ids(self, params: ListRecords, cursor: str) -> Iterator[str]:
        """Record ids from the cursor on, by the narrowest index that was asked for."""
        store = self._service.machine.store
        if params.state is None and params.field is None:
            prefix = f"srecord/{params.type}/".encode("ascii")
            start = f"srecord/{cursor}".encode("ascii") if cursor else b""
            for key, _ in store.scan(prefix, start):
                yield key.decode("ascii").removeprefix("srecord/")
            return
        name = "state" if params.state is not None else str(params.field)
        value = params.state if params.state is not None else params.value
        prefix = index_prefix(params.type, name, str(value))
        for key, _ in store.scan(prefix, prefix + cursor.encode("ascii") if cursor else b""):
            yield key[len(prefix) :].decode("ascii")

    async def proof(self, params: ByRecord) -> dict[str, Any]:
        """The record's value, or its absence, against a certified header."""
        return proven(self._service, f"record/{params.id}")
