"""tx_*: submit, check, look up, wait, receipt."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec

from ledger import canonical
from ledger.ids import TxId
from node import receipts
from node.jsonrpc import LIMIT, NOT_FOUND, TX_REJECTED, UNAVAILABLE, Method, RpcError
from node.methods.parameters import ById, CompactJws, HashHex, Params, at, txid_of
from node.outputs import Outcome
from node.runtime import Stopped
from node.service import NodeService

LIMIT_REASONS = frozenset({"MEMPOOL_FULL", "MEMPOOL_QUOTA"})
RETRY_AFTER_MS = 500
EXPIRY_LOOK_SECONDS = 1.0


class Submit(Params, frozen=True):
    """One transaction."""

    tx: CompactJws


class SubmitMany(Params, frozen=True):
    """Transactions, each answered on its own."""

    txs: Annotated[tuple[CompactJws, ...], msgspec.Meta(min_length=1, max_length=100)]


class Wait(Params, frozen=True):
    """A transaction and how long to wait for it."""

    id: HashHex
    timeout_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 10_000


def methods(service: NodeService) -> list[Method]:
    """The methods of this namespace."""
    door = _Transactions(service)
    return [
        Method("tx_submit", Submit, door.submit, "Offer a transaction; returns after admission."),
        Method("tx_submitMany", SubmitMany, door.submit_many, "Offer up to 100 transactions."),
        Method("tx_check", Submit, door.check, "Whether a transaction would be admitted now."),
        Method("tx_get", ById, door.get, "A transaction and what became of it."),
        Method("tx_wait", Wait, door.wait, "Wait until a transaction is in a block."),
        Method("tx_receipt", ById, door.receipt, "The receipt, checkable offline."),
    ]


def _rejection(outcome: Outcome) -> RpcError:
    if outcome.reason in LIMIT_REASONS:
        return RpcError(
            LIMIT, outcome.reason, outcome.detail, retryable=True, retry_after_ms=RETRY_AFTER_MS
        )
    data: dict[str, Any] = {"id": outcome.id.hex()} if outcome.id is not None else {}
    return RpcError(TX_REJECTED, outcome.reason, outcome.detail, **data)


class _Transactions:
    def __init__(self, service: NodeService) -> None:
        self._service = service

    async def _offer(self, raws: list[bytes]) -> tuple[Outcome, ...]:
        service = self._service
        stopping = RpcError(UNAVAILABLE, "STOPPING", "the node is stopping", retryable=True)
        if service.stopping or service.runtime is None:
            raise stopping
        if service.syncing:
            detail = f"the node is {service.behind} blocks behind; ask another one"
            raise RpcError(UNAVAILABLE, "SYNCING", detail, retryable=True)
        try:
            return await service.runtime.submit(raws)
        except Stopped:
            raise stopping from None

    async def submit(self, params: Submit) -> dict[str, Any]:
        """Admit one transaction: signature, key, chain, expiry and replay are checked here."""
        (outcome,) = await self._offer([params.tx.encode()])
        if outcome.reason:
            raise _rejection(outcome)
        assert outcome.id is not None
        return {"id": outcome.id.hex(), "status": outcome.status}

    async def submit_many(self, params: SubmitMany) -> dict[str, Any]:
        """Admit each transaction on its own; one that is refused does not touch the others."""
        batch_max = self._service.config.rpc.batch_max
        if len(params.txs) > batch_max:
            detail = f"want at most {batch_max} transactions, got {len(params.txs)}"
            raise RpcError(LIMIT, "BATCH_TOO_LARGE", detail)
        outcomes = await self._offer([tx.encode() for tx in params.txs])
        results: list[dict[str, Any]] = []
        for outcome in outcomes:
            known = None if outcome.id is None else outcome.id.hex()
            if outcome.reason:
                results.append({"id": known, "error": _rejection(outcome).to_json()})
            else:
                results.append({"id": known, "status": outcome.status})
        return {"results": results}

    async def check(self, params: Submit) -> dict[str, Any]:
        """Check a transaction as admission would, and change nothing."""
        now = self._service.now()
        outcome = self._service.machine.intake.check(params.tx.encode(), now.mono_ms, now.wall_ms)
        return {
            "id": None if outcome.id is None else outcome.id.hex(),
            "admissible": not outcome.reason,
            "reason": outcome.reason,
            "detail": outcome.detail,
        }

    async def get(self, params: ById) -> dict[str, Any]:
        """The transaction itself, its entry, and its status."""
        txid = txid_of(params.id)
        status = self.status(txid)
        chain = self._service.chain
        entry: Any = None
        raw: bytes | None = None
        if status["height"] is not None:
            block = chain.archive.block(status["height"])
            assert block is not None
            raw = block.transactions[status["index"]]
            entry = canonical.decode(chain.archive.entries(status["height"])[status["index"]])
        else:
            waiting = self._service.machine.mempool.get(txid)
            raw = None if waiting is None else waiting.admitted.transaction.raw
        text = None if raw is None else raw.decode("ascii")
        return {**status, "tx": text, "entry": entry, "at": at(self._service)}

    def status(self, txid: TxId) -> dict[str, Any]:
        """pending, committed, refused, expired or unknown."""
        machine = self._service.machine
        place = machine.chain.archive.location(txid)
        answer: dict[str, Any] = {
            "id": txid.hex(),
            "status": "unknown",
            "height": None,
            "index": None,
            "reason": "",
        }
        if place is not None:
            entry = canonical.decode(machine.chain.archive.entries(place[0])[place[1]])
            answer["status"], answer["reason"] = entry["status"], entry["reason"]
            answer["height"], answer["index"] = place
        elif txid in machine.mempool:
            answer["status"] = "pending"
        elif txid in machine.intake.expired:
            answer["status"] = "expired"
        return answer

    async def wait(self, params: Wait) -> dict[str, Any]:
        """Answer as soon as the transaction is in a block, or when the time is over."""
        txid = txid_of(params.id)
        waiters = self._service.waiters
        status = self.status(txid)
        if status["status"] in ("committed", "refused", "expired") or not params.timeout_ms:
            return status
        future = waiters.add(txid)
        if future is None:
            raise RpcError(
                LIMIT,
                "WAITERS_FULL",
                "too many clients wait; poll tx_get",
                retryable=True,
                retry_after_ms=RETRY_AFTER_MS,
            )
        deadline = asyncio.get_running_loop().time() + params.timeout_ms / 1000
        try:
            # A commit wakes the waiter; expiry is seen at the next look.
            while status["status"] in ("pending", "unknown") and not future.done():
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0:
                    break
                await asyncio.wait((future,), timeout=min(left, EXPIRY_LOOK_SECONDS))
                status = self.status(txid)
        finally:
            waiters.remove(txid, future)
        return self.status(txid)

    async def receipt(self, params: ById) -> dict[str, Any]:
        """The transaction's receipt, anchored at a certified block."""
        made = receipts.receipt(self._service.chain, txid_of(params.id))
        if made is None:
            raise RpcError(NOT_FOUND, "TX_UNKNOWN", "the transaction is in no block")
        return made.to_json()
