"""subscribe and unsubscribe: part of every connection of GET /ws (docs/spec/rpc.md)."""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import Annotated, Any, Protocol

import msgspec

from ledger.ids import HASH_HEX, RECORD_ID
from node.feed import Topic
from node.jsonrpc import METHOD_UNKNOWN, PARAMS_INVALID, Method, RpcError
from node.methods.parameters import HeightNumber, Params


class Filter(Params, frozen=True):
    """At most one member: iss or id of transactions, type or id of records."""

    iss: Annotated[str, msgspec.Meta(pattern="^[a-z0-9.-]{1,64}$")] | None = None
    id: Annotated[str, msgspec.Meta(max_length=128)] | None = None
    type: Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]{1,64}$")] | None = None


class Subscribe(Params, frozen=True):
    """A topic; from the next block on unless a height is given."""

    topic: Topic
    filter: Filter | None = None
    from_height: HeightNumber | None = None


class Unsubscribe(Params, frozen=True):
    """A subscription of this connection."""

    subscription: Annotated[str, msgspec.Meta(max_length=32)]


class Subscriber(Protocol):
    """A connection that pushes can be sent on."""

    def subscribe(self, params: Subscribe) -> str:
        """Id of a new subscription. Raises RpcError when there are too many."""
        ...

    def unsubscribe(self, subscription: str) -> bool:
        """Whether there was one."""
        ...


current: ContextVar[Subscriber | None] = ContextVar("current", default=None)
"""The connection that a call came on; None for POST."""


def methods() -> list[Method]:
    """The methods of this namespace."""
    return [
        Method("subscribe", Subscribe, subscribe, "Be told of blocks, transactions or records."),
        Method("unsubscribe", Unsubscribe, unsubscribe, "End a subscription."),
    ]


def _subscriber() -> Subscriber:
    found = current.get()
    if found is None:
        raise RpcError(METHOD_UNKNOWN, "WEBSOCKET_ONLY", "subscriptions live on GET /ws")
    return found


async def subscribe(params: Subscribe) -> dict[str, Any]:
    """Pushes carry the id in the answer and count from 0; every block once, in order."""
    connection = _subscriber()
    check_filter(params)
    return {"subscription": connection.subscribe(params)}


async def unsubscribe(params: Unsubscribe) -> dict[str, Any]:
    """No push of the subscription follows the answer."""
    return {"removed": _subscriber().unsubscribe(params.subscription)}


def check_filter(params: Subscribe) -> None:
    """Raises RpcError when the filter is not one of the topic."""
    chosen = params.filter or Filter()
    given = [name for name in Filter.__struct_fields__ if getattr(chosen, name) is not None]
    allowed: dict[Topic, dict[str, re.Pattern[str] | None]] = {
        "blocks": {},
        "transactions": {"iss": None, "id": HASH_HEX},
        "records": {"type": None, "id": RECORD_ID},
    }
    known = allowed[params.topic]
    if len(given) > 1 or not set(given) <= known.keys():
        wanted = " or ".join(known) or "nothing"
        raise RpcError(PARAMS_INVALID, "PARAMS_INVALID", f"filter: want {wanted}")
    pattern = known[given[0]] if given else None
    if pattern is not None and pattern.fullmatch(str(chosen.id)) is None:
        detail = f"filter.id: not an id of {params.topic}"
        raise RpcError(PARAMS_INVALID, "PARAMS_INVALID", detail)
