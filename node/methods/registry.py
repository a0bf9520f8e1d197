"""balance_*, task_*, deadline_*: what the services' records amount to."""

from __future__ import annotations

import re
import time
from typing import Annotated, Any

import msgspec

from ledger.ids import PARTY_ID, RECORD_ID
from ledger.registry import balances, pending, tasks
from ledger.registry.catalogue import find_service, find_version
from ledger.registry.pending import Pending
from ledger.state import Reader
from node.forms import ACCOUNT
from node.jsonrpc import NOT_FOUND, PARAMS_INVALID, Method, RpcError
from node.methods.parameters import Cursor, HeightNumber, Limit, Page, Params, at
from node.service import NodeService


class ByAccount(Params, frozen=True):
    """A unit (`<service>.<unit>`) and an account (`<record id>#<name>`, `party:<id>#<name>`)."""

    unit: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,64}\.[a-z0-9-]{1,64}$")]
    account: Annotated[str, msgspec.Meta(pattern="^[!-~]{1,128}#[!-~]{1,64}$")]


class StatementOf(ByAccount, frozen=True):
    """A page of an account's changes, newest first."""

    limit: Limit = 50
    cursor: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{24}$")] | None = None


class TasksOf(Params, frozen=True):
    """A page of what a party could sign."""

    party: Annotated[str, msgspec.Meta(pattern="^[a-z0-9.-]{1,64}$")]
    limit: Limit = 50
    cursor: Cursor | None = None


class ByTask(Params, frozen=True):
    """An act that waits, or waited in vain."""

    record: Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]{1,64}/[0-9a-f]{32}$")]
    pending: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]


class Deadlines(Params, frozen=True):
    """Up to a time (seconds since 1970); a year ahead unless given."""

    until: HeightNumber | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


_ACCOUNT = re.compile(f"(?:{RECORD_ID.pattern}|party:{PARTY_ID.pattern})#[!-~]{{1,64}}", re.ASCII)
_TASK = re.compile("[a-z0-9-]{1,64}/[0-9a-f]{32}/[0-9a-f]{16}", re.ASCII)
_DEADLINE = re.compile("([0-9]{1,16})/([a-z0-9-]{1,64}/[0-9a-f]{32})/([a-z][a-z0-9_]{0,31})")


def methods(service: NodeService) -> list[Method]:
    """The methods of this namespace."""
    door = _Registry(service)
    return [
        Method("balance_get", ByAccount, door.balance, "Amount of a unit on an account."),
        Method("balance_statement", StatementOf, door.statement, "Every change of an account."),
        Method("task_list", TasksOf, door.tasks, "What waits for a party's signature."),
        Method("task_get", ByTask, door.task, "An act that waits, or waited in vain."),
        Method("deadline_list", Deadlines, door.deadlines, "What fires by itself, soonest first."),
    ]


class _Registry:
    def __init__(self, service: NodeService) -> None:
        self._service = service

    def _check(self, params: ByAccount) -> None:
        """A mistyped unit or account would hold 0 like one that nobody used. Raises RpcError."""
        state = self._service.chain.state
        _check_unit(state, params.unit)
        if _ACCOUNT.fullmatch(params.account) is None:
            # An expression may have put an account of its own form together: that one is told.
            store = self._service.machine.store
            if next(balances.statement(store, params.unit, params.account), None) is None:
                raise RpcError(PARAMS_INVALID, "PARAMS_INVALID", f"account: want {ACCOUNT}")

    async def balance(self, params: ByAccount) -> dict[str, Any]:
        """The amount, and the unit's supply; provable as state key `balance/<unit>/<account>`."""
        self._check(params)
        state = self._service.chain.state
        supply = balances.supply(state, params.unit)
        return {
            "unit": params.unit,
            "account": params.account,
            "amount": balances.balance(state, params.unit, params.account),
            "supply": {"minted": supply.minted, "burned": supply.burned},
            "at": at(self._service),
        }

    async def statement(self, params: StatementOf) -> dict[str, Any]:
        """Newest first; the deltas of all pages add up to the amount of `balance_get`."""
        self._check(params)
        items: list[dict[str, Any]] = []
        following: str | None = None
        start = bytes.fromhex(params.cursor or "")
        store = self._service.machine.store
        for height, number, row in balances.statement(store, params.unit, params.account, start):
            if len(items) == params.limit:
                following = f"{height:016x}{number:08x}"
                break
            record, _, name = row.timer.partition("#")
            items.append(
                {
                    "height": height,
                    "number": number,
                    "tx": row.tx or None,
                    "timer": {"record": record, "name": name} if row.timer else None,
                    "delta": row.delta,
                    "balance": row.balance,
                }
            )
        return {
            "unit": params.unit,
            "account": params.account,
            "items": items,
            "next_cursor": following,
            "at": at(self._service),
        }

    def _now(self) -> int:
        return max(self._service.chain.header.time_ms // 1000, int(time.time()))

    async def tasks(self, params: TasksOf) -> dict[str, Any]:
        """Acts that began and need more signatures, which this party could give. A page looks at so
        many acts only: it may hold fewer than `limit`, or none, and have a next one."""
        chain = self._service.chain
        page = Page(self._service, params.cursor, _TASK)
        found, following = tasks.waiting_for(
            chain.state, chain.id, params.party, self._now(), params.limit, page.start
        )
        return page.answer(following, items=[_shown(item) for item in found])

    async def task(self, params: ByTask) -> dict[str, Any]:
        """What is done is no longer there: it is a version of its record."""
        state = self._service.chain.state
        found = pending.find(state, params.record, params.pending)
        status = "waiting" if found is not None and found.until > self._now() else "expired"
        found = found or pending.find_expired(state, params.record, params.pending)
        if found is None:
            raise RpcError(NOT_FOUND, "PENDING_UNKNOWN", "no such act waits or waited in vain")
        return {"task": {**_shown(found), "status": status}, "at": at(self._service)}

    async def deadlines(self, params: Deadlines) -> dict[str, Any]:
        """Timers of all records."""
        until = params.until if params.until is not None else self._now() + 366 * 86_400
        page = Page(self._service, params.cursor, _DEADLINE)
        start = _DEADLINE.fullmatch(page.start)
        first = (0, "", "") if start is None else (int(start[1]), start[2], start[3])
        found = tasks.deadlines(self._service.chain.state, until, params.limit + 1, first)
        items = [
            {"at": when, "record": record, "transition": name}
            for when, record, name in found[: params.limit]
        ]
        more = [f"{when}/{record}/{name}" for when, record, name in found[params.limit :]]
        return page.answer(more[0] if more else None, items=items)


def _check_unit(state: Reader, unit: str) -> None:
    """Raises RpcError unless some version of the service has the unit."""
    if state.has(balances.supply_key(unit)):
        return
    service, _, name = unit.partition(".")
    found = find_service(state, service)
    if found is None:
        detail = "unit: no such service; want SERVICE.NAME, a service in force and a unit of it"
        raise RpcError(NOT_FOUND, "SERVICE_UNKNOWN", detail)
    there: dict[str, None] = {}
    for version in found.versions:
        row = find_version(state, service, int(version))
        assert row is not None
        there.update(dict.fromkeys(row[0].definition.units))
    if name not in there:
        named = ", ".join(f"{service}.{known}" for known in there) or "none"
        detail = f"unit: the service has no such unit; there are: {named}"
        raise RpcError(PARAMS_INVALID, "PARAMS_INVALID", detail)


def _shown(item: Pending) -> dict[str, Any]:
    return {
        "record": item.record,
        "pending": item.id,
        "type": item.type,
        "transition": item.transition,
        "input": item.input,
        "signers": list(item.signers),
        "until": item.until,
    }
