"""An idle chain does in time what is due: proposals take effect, timers fire."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from ledger import canonical
from node import agenda
from tests.builders import GENESIS_TIME_MS
from tests.node.small_net import Net
from tests.services.hostile import box

NOW: list[Any] = ["var", "now"]


class Town:
    """Four idle nodes that voted a service in. A box's `work` sets a timer, which fires `ring`."""

    def __init__(self, seconds: int, ring: list[dict[str, Any]] | None = None) -> None:
        self.net = Net()
        self._serial = count()
        self.net.start()
        self.net.settle()
        at = ["+", NOW, ["int", seconds]]
        made = box({"effects": [{"e": "timer", "name": "ring", "at": at}], "input": {}})
        made["types"]["box"]["transitions"]["ring"]["effects"] = ring or []
        propose = {
            "op": "gov.propose",
            "proposal": "first",
            "kind": "activate",
            "body": {"definition": made},
            "rationale": "0" * 64,
            "effective_height": 0,
            "until": GENESIS_TIME_MS // 1000 + 3_600,
        }
        self.send(0, propose)
        for number in (1, 2):
            self.send(number, {"op": "gov.vote", "proposal": "first", "accept": True})

    def send(self, number: int, operation: dict[str, Any]) -> dict[str, Any]:
        """One agency's transaction, committed; its result."""
        raw = self.net.kit.sign(f"agency-{number}", f"jti-{next(self._serial)}", [operation])
        self.net.submit(number, raw)
        self.net.run(200)
        chain = self.net.nodes[0].machine.chain
        [entry] = [entry for entry in self.entries(chain.height) if entry["kind"] == "tx"]
        assert entry["reason"] == "", entry
        result: dict[str, Any] = entry["results"][0]
        return result

    def entries(self, height: int) -> list[dict[str, Any]]:
        """Entries of a block."""
        chain = self.net.nodes[0].machine.chain
        return [canonical.decode(item) for item in chain.archive.entries(height)]

    @property
    def height(self) -> int:
        heights = {node.height for node in self.net.nodes}
        assert len(heights) == 1, heights
        return heights.pop()

    def box(self) -> str:
        """A box whose timer is set."""
        data = {"owner": "agency-0"}
        create = {"op": "record.create", "type": "odd-box", "version": 1, "data": data}
        record: str = self.send(0, create)["record"]
        self.send(0, {"op": "record.act", "id": record, "transition": "work", "input": {}})
        return record


def test_an_accepted_proposal_takes_effect_without_a_transaction() -> None:
    town = Town(5)
    voted = town.height
    state = town.net.nodes[0].machine.chain.state
    assert state.get(b"service/odd") is None
    town.net.run(agenda.PAUSE_MS + 500)
    assert town.height == voted + 1
    assert town.net.nodes[0].machine.chain.state.get(b"service/odd") is not None
    town.net.run(10_000)
    assert town.height == voted + 1, "and then the chain is idle again"


def test_a_timer_fires_when_it_is_due_and_once() -> None:
    town = Town(5)
    town.net.run(2_000)
    record = town.box()
    before = town.height
    town.net.run(3_900)
    assert town.height == before
    town.net.run(2_500)
    assert town.height == before + 1
    [entry] = town.entries(town.height)
    assert (entry["kind"], entry["record"], entry["status"]) == ("timer", record, "fired")
    town.net.run(20_000)
    assert town.height == before + 1
    assert all(node.machine.core.replica.view == 0 for node in town.net.nodes)


def test_a_timer_that_sets_itself_again_does_not_make_the_chain_spin() -> None:
    town = Town(1, [{"e": "timer", "name": "ring", "at": ["int", 0]}])
    town.net.run(2_000)
    town.box()
    before = town.height
    town.net.run(10_000)
    assert 5 <= town.height - before <= 11


def test_a_node_whose_wall_clock_is_ahead_blames_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    town = Town(600)
    town.net.run(2_000)
    town.box()
    before = town.height
    ahead = town.net.nodes[2]
    handle = ahead.machine.handle

    def hurried(event: Any, now: Any) -> Any:
        return handle(event, type(now)(now.mono_ms, now.wall_ms + 3_600_000))

    monkeypatch.setattr(ahead.machine, "handle", hurried)
    town.net.run(30_000)
    assert town.height == before
    assert all(node.machine.core.replica.view == 0 for node in town.net.nodes)
