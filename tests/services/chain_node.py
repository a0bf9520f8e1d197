"""One chain without consensus that answers the JSON-RPC calls of a live ground, in memory."""

from __future__ import annotations

from typing import Any

from ledger import canonical
from ledger.crypto import sha256
from ledger.transaction import Inadmissible
from node.authoring.live import LiveGround
from node.client import RpcRefusal
from tests.builders import GENESIS_TIME_MS
from tests.node.chains import Grown

TICK_MS = 1_000


class ChainNode:
    """Every transaction is a block; the clock moves a second for each, and when it is told to."""

    def __init__(self) -> None:
        self.grown = Grown()
        self.time_ms = GENESIS_TIME_MS
        self._moved_ms = 0

    @property
    def ground(self) -> LiveGround:
        """A scenario's ground on this chain."""
        return LiveGround(self.call, self.grown.kit.agency_signers, self.move)

    def move(self, seconds: int) -> None:
        """Let time pass before the next block."""
        self._moved_ms += seconds * 1_000

    def call(self, method: str, params: dict[str, Any]) -> Any:
        """The parts of JSON-RPC that a live ground uses."""
        answer: Any = getattr(self, "_" + method)(**params)
        return answer

    def _chain_getGenesis(self) -> Any:
        return {"chain_id": self.grown.chain.id}

    def _chain_getValidators(self) -> Any:
        validators = self.grown.chain.validators
        members = [{"agency": member.agency} for member in validators.members]
        return {"quorum": validators.quorum, "members": members}

    def _chain_getBlock(self, height: int) -> Any:
        entries = self.grown.chain.archive.entries(height)
        return {"entries": [canonical.decode(item) for item in entries]}

    def _node_status(self) -> Any:
        return {"height": self.grown.chain.height, "time_ms": self.grown.chain.header.time_ms}

    def _state_get(self, key: str) -> Any:
        value = self.grown.chain.state.get(key.encode("ascii"))
        return {"value": None if value is None else value.decode("utf-8")}

    def _gov_get(self, proposal: str) -> Any:
        return {
            "proposal": canonical.decode(self._state_get(f"proposal/{proposal}")["value"].encode())
        }

    def _tx_submit(self, tx: str) -> Any:
        raw = tx.encode("ascii")
        self.time_ms += TICK_MS + self._moved_ms
        self._moved_ms = 0
        try:
            candidate = self.grown.block(raw, time_ms=self.time_ms)
        except Inadmissible as error:
            raise RpcRefusal(_error(error.reason, error.detail)) from None
        dropped = candidate.execution.dropped
        if dropped:
            raise RpcRefusal(_error(dropped[0].why.reason, dropped[0].why.detail))
        return {"id": sha256(raw).hex()}

    def _tx_wait(self, id: str, timeout_ms: int) -> Any:
        place = self.grown.chain.archive.location(bytes.fromhex(id))
        return {"height": None if place is None else place[0]}

    def _tx_get(self, id: str) -> Any:
        place = self.grown.chain.archive.location(bytes.fromhex(id))
        assert place is not None
        return {"entry": self._chain_getBlock(place[0])["entries"][place[1]]}


def _error(reason: str, detail: str) -> dict[str, Any]:
    return {"code": -32003, "message": detail, "data": {"reason": reason}}
