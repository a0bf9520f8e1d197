"""balance_*, task_*, deadline_*: what the services' records amount to."""

from __future__ import annotations

import time
from typing import Annotated, Any

import msgspec

from ledger.registry import balances, tasks
from node.jsonrpc import Method
from node.methods.parameters import HeightNumber, Limit, Params, at
from node.service import NodeService


class ByAccount(Params, frozen=True):
    """A unit (`<service>.<unit>`) and an account (`<record id>#<name>`, `party:<id>#<name>`)."""

    unit: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,64}\.[a-z0-9-]{1,64}$")]
    account: Annotated[str, msgspec.Meta(pattern="^[ -~]{1,192}$")]


class StatementOf(ByAccount, frozen=True):
    """A page of an account's changes, newest first."""

    limit: Limit = 50
    cursor: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{24}$")] | None = None


class TasksOf(Params, frozen=True):
    """A party."""

    party: Annotated[str, msgspec.Meta(pattern="^[a-z0-9.-]{1,64}$")]
    limit: Limit = 50


class Deadlines(Params, frozen=True):
    """Up to a time (seconds since 1970); a year ahead unless given."""

    until: HeightNumber | None = None
    limit: Limit = 50


def methods(service: NodeService) -> list[Method]:
    """The methods of this namespace."""
    door = _Registry(service)
    return [
        Method("balance_get", ByAccount, door.balance, "Amount of a unit on an account."),
        Method("balance_statement", StatementOf, door.statement, "Every change of an account."),
        Method("task_list", TasksOf, door.tasks, "What waits for a party's signature."),
        Method("deadline_list", Deadlines, door.deadlines, "What fires by itself, soonest first."),
    ]


class _Registry:
    def __init__(self, service: NodeService) -> None:
        self._service = service

    async def balance(self, params: ByAccount) -> dict[str, Any]:
        """The amount, and the unit's supply; provable as state key `balance/<unit>/<account>`."""
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
        """Acts that began and need more signatures, which this party could give."""
        chain = self._service.chain
        found = tasks.waiting_for(chain.state, chain.id, params.party, self._now(), params.limit)
        items = [
            {
                "record": item.record,
                "pending": item.id,
                "type": item.type,
                "transition": item.transition,
                "input": item.input,
                "signers": list(item.signers),
                "until": item.until,
            }
            for item in found
        ]
        return {"items": items, "at": at(self._service)}

    async def deadlines(self, params: Deadlines) -> dict[str, Any]:
        """Timers of all records."""
        until = params.until if params.until is not None else self._now() + 366 * 86_400
        found = tasks.deadlines(self._service.chain.state, until, params.limit)
        items = [{"at": when, "record": r, "transition": name} for when, r, name in found]
        return {"items": items, "at": at(self._service)}
