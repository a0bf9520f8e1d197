"""A mistake in the rules is told to the operator: every validator refused it alike."""

from __future__ import annotations

from typing import Any

from ledger.entry import refused_entry, timer_entry
from ledger.executor import DEFECT
from ledger.ids import Height, TxId
from node.metrics import Counts
from node.service import NodeService

TX = TxId(b"t" * 32)


class Log:
    """What was said."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []

    def error(self, _: str, **parts: Any) -> None:
        self.said.append(parts)


def test_who_watches_sees_it() -> None:
    service: Any = NodeService.__new__(NodeService)
    service.counts, service._log = Counts(), Log()
    entries = (
        refused_entry(Height(7), 0, TX, DEFECT, 0),
        timer_entry(Height(7), 1, "odd-box/" + "0" * 32, "ring", DEFECT, {}),
        refused_entry(Height(7), 2, TX, "GUARD_FAILED", 0, ({"guard": DEFECT},)),
    )
    assert service._count(entries, 2) == 2
    assert (service.counts.transactions_refused, service.counts.transactions_committed) == (2, 0)
    assert service.counts.defects == 2
    assert [said["tx"] for said in service._log.said] == [TX.hex(), ""]
    assert service._log.said[1]["timer"] == "ring"
