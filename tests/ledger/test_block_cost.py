"""The work of a block is bounded: proposer and validators agree where it ends, and what waits."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from ledger import canonical
from ledger.executor import BlockInvalid, Execution
from ledger.parameters import (
    EFFECT_COST,
    OPERATION_COST,
    PARAMETERS_KEY,
    Parameters,
    decode,
)
from tests.builders import make_genesis
from tests.chain import Chain, document
from tests.services.hostile import box
from tests.work import lines_run

CAP = 100_000
ONE: list[Any] = ["int", 1]
DEAR: list[Any] = ["or", ["==", ["list", [ONE] * 180], ["list", []]], ["bool", True]]
"""About 370 units."""


class Court:
    """A chain on which a dear service is in force, and boxes of agency-0."""

    def __init__(self, boxes: int, work: dict[str, Any], ring: dict[str, Any]) -> None:
        self.chain = Chain(make_genesis(4, parameters=Parameters(block_cost_max=CAP)))
        made = box(work)
        made["types"]["box"]["transitions"]["ring"].update(ring)
        vote_in(self.chain, "activate", {"definition": made})
        self.records: list[str] = []
        data = {"owner": "agency-0"}
        create = {"op": "record.create", "type": "odd-box", "version": 1, "data": data}
        while len(self.records) < boxes:
            entry = self.chain.run("agency-0", *[create] * 16)
            assert entry["reason"] == "", entry
            self.records += [result["record"] for result in entry["results"]]
        del self.records[boxes:]

    def act(self, record: str, jti: str = "") -> bytes:
        act = {"op": "record.act", "id": record, "transition": "work"}
        return self.chain.kit.sign("agency-0", jti or self.chain.jti(), [act])

    def set_cap(self, cap: int) -> None:
        """Another cap, whatever the bounds say."""
        value = self.chain.state.get(PARAMETERS_KEY)
        assert value is not None
        draft = self.chain.state.draft()
        changed = msgspec.structs.replace(decode(value), block_cost_max=cap)
        draft.put(PARAMETERS_KEY, canonical.encode(changed))
        self.chain.state = draft.seal()


def vote_in(chain: Chain, kind: str, body: dict[str, Any], height: int = 0) -> dict[str, Any]:
    """A proposal that three of four agencies accept; its value after the block of effect."""
    proposal = chain.jti()
    propose = {
        "op": "gov.propose",
        "proposal": proposal,
        "kind": kind,
        "body": body,
        "rationale": "0" * 64,
        "effective_height": height,
        "until": chain.time_ms // 1000 + 3_600,
    }
    entry = chain.run("agency-0", propose)
    assert entry["reason"] == "", entry
    vote = {"op": "gov.vote", "proposal": proposal, "accept": True}
    for agency in ("agency-1", "agency-2"):
        assert chain.run(agency, vote)["reason"] == ""
    chain.block()
    value: dict[str, Any] = chain.value(f"proposal/{proposal}")
    return value


def dear(guards: int = 16) -> dict[str, Any]:
    return {"guards": [[f"g{n}", DEAR] for n in range(guards)]}


def commit(chain: Chain, execution: Execution) -> None:
    chain.block(*[item.transaction.raw for item in execution.included])
    assert chain.state.root == execution.state.root


def test_a_dear_block_ends_where_the_proposer_ended_it_and_the_rest_follows() -> None:
    court = Court(40, dear(), {})
    chain = court.chain
    raws = [court.act(record) for record in court.records]
    sizes: list[int] = []
    while raws:
        execution = chain.execute(raws, select=True)
        assert execution.dropped == ()
        assert 0 < execution.cost <= CAP
        included = [item.transaction.raw for item in execution.included]
        assert included == raws[: len(included)], "in order, none passed over"
        judged = chain.execute(included)
        assert judged.cost == execution.cost
        assert judged.entries == execution.entries
        assert judged.state.root == execution.state.root
        if len(included) < len(raws):
            with pytest.raises(BlockInvalid, match="BLOCK_TOO_DEAR") as caught:
                chain.execute(raws[: len(included) + 1])
            assert caught.value.reason == "BLOCK_TOO_DEAR"
        commit(chain, execution)
        sizes.append(len(included))
        raws = raws[len(included) :]
    assert len(sizes) > 2
    assert all(chain.value(f"record/{record}")["seq"] == 1 for record in court.records)


def test_a_block_at_the_cap_is_valid_and_one_unit_above_it_is_not() -> None:
    court = Court(2, dear(1), {})
    raws = [court.act(record) for record in court.records]
    cost = court.chain.execute(raws).cost
    court.set_cap(cost)
    assert court.chain.execute(raws).cost == cost
    court.set_cap(cost - 1)
    with pytest.raises(BlockInvalid, match="BLOCK_TOO_DEAR"):
        court.chain.execute(raws)
    assert len(court.chain.execute(raws, select=True).included) == 1


def test_what_does_not_fit_leaves_nothing_behind() -> None:
    """No mark, no count of marks, no record: its (iss, jti) is free for the next block."""
    court = Court(2, dear(1), {})
    chain = court.chain
    raws = [court.act(record) for record in court.records]
    one = chain.execute(raws[:1])
    court.set_cap(one.cost)
    one = chain.execute(raws[:1])
    both = chain.execute(raws, select=True)
    assert both.state.writes == one.state.writes
    commit(chain, both)
    (entry,) = chain.block(raws[1])
    assert entry["status"] == "committed"


def test_costs_are_those_of_operations_effects_and_expressions_and_refusals_pay_them_too() -> None:
    court = Court(1, {"effects": [{"e": "set", "field": "kept", "value": ONE}] * 3}, {})
    chain = court.chain
    plain = chain.execute([chain.kit.sign("agency-0", "a", [document()] * 2)])
    assert plain.cost == 2 * OPERATION_COST
    unknown = {"op": "document.attest", "id": "deed/" + "0" * 32}
    refused = chain.execute([chain.kit.sign("agency-0", "b", [document(), unknown, document()])])
    assert json.loads(refused.entries[0])["operation"] == 1
    assert refused.cost == 2 * OPERATION_COST
    acted = chain.execute([court.act(court.records[0])])
    assert acted.cost > OPERATION_COST + 3 * EFFECT_COST
    late = {"op": "record.act", "id": court.records[0], "transition": "ring"}
    failed = chain.kit.sign(
        "agency-0", "c", [{**late, "transition": "work"}, {**late, "transition": "gone"}]
    )
    assert (
        chain.execute([failed]).cost == acted.cost + OPERATION_COST + 1
    )  # the record is read again


TIMER = {"effects": [{"e": "timer", "name": "ring", "at": ["+", ["var", "now"], ONE]}]}


def test_dear_timers_use_half_a_block_at_most_and_carry_over_in_their_order() -> None:
    court = Court(40, TIMER, dear())
    chain = court.chain
    for record in court.records:
        chain.block(court.act(record), time_ms=chain.time_ms + 1)
    fired: list[str] = []
    for _ in range(20):
        raws = [chain.kit.sign("agency-0", chain.jti(), [document()])]
        execution = chain.execute(raws, select=True, time_ms=chain.time_ms + 5_000)
        assert len(execution.included) == 1, "timers do not starve transactions"
        entries = [json.loads(entry) for entry in execution.entries[1:]]
        assert execution.cost - OPERATION_COST <= CAP // 2
        assert chain.block(*raws, time_ms=chain.time_ms + 5_000)[1:] == entries
        assert chain.state.root == execution.state.root
        fired += [entry["record"] for entry in entries]
        if not entries:
            break
        assert 0 < len(entries) < len(court.records)
    assert fired == sorted(court.records), "each fires once, late, in the order of their due times"


def test_timers_that_set_themselves_again_delay_the_others_and_starve_none() -> None:
    """A flood that is due in every block stands behind whatever was due before it rang last."""
    again = {"e": "timer", "name": "ring", "at": ["int", 0]}
    court = Court(41, TIMER, {**dear(), "effects": [again]})
    chain = court.chain
    for record in court.records[:40]:
        chain.block(court.act(record), time_ms=chain.time_ms + 1)
    chain.block(time_ms=chain.time_ms + 5_000)
    last = court.records[40]
    chain.block(court.act(last))
    blocks: list[list[str]] = []
    while not blocks or last not in blocks[-1]:
        entries = chain.block(time_ms=chain.time_ms + 5_000)
        blocks.append([entry["record"] for entry in entries])
        assert len(blocks) < 20
    # Whoever was due before it rings once before it, whatever rings again does so after it.
    rung = [record for block in blocks for record in block]
    before = rung[: rung.index(last)]
    assert len(before) == len(set(before))


def test_dear_transactions_do_not_starve_timers() -> None:
    court = Court(30, {**dear(), **TIMER}, dear(1))
    chain = court.chain
    chain.block(court.act(court.records[0]))
    raws = [court.act(record) for record in court.records[1:]]
    execution = chain.execute(raws, select=True, time_ms=chain.time_ms + 5_000)
    kinds = [json.loads(entry)["kind"] for entry in execution.entries]
    assert 0 < kinds.count("tx") < len(raws)
    assert kinds.count("timer") == 1


def test_a_hostile_service_costs_a_block_no_more_than_the_cap() -> None:
    """Before there was a cap, 500 such transactions evaluated three million expressions."""
    court = Court(1, dear(), {})
    raws = [court.act(court.records[0], f"h{n}") for n in range(500)]
    execution, lines = lines_run(lambda: court.chain.execute(raws, select=True))
    assert 10 < len(execution.included) < 30
    assert lines < 2_000_000


def test_what_a_transaction_or_timer_may_cost_fits_into_half_a_block() -> None:
    rules = Parameters()
    rules.check()
    assert rules.transaction_cost_max == 20_000 + 64 * EFFECT_COST + 16 * OPERATION_COST
    need = 2 * Parameters(expression_cost_max=100_000).transaction_cost_max
    Parameters(expression_cost_max=100_000, block_cost_max=need).check()
    with pytest.raises(ValueError, match="block_cost_max"):
        Parameters(expression_cost_max=100_000, block_cost_max=need - 1).check()
    with pytest.raises(ValueError, match="transaction_bytes_max"):
        Parameters(transaction_bytes_max=65_537, block_bytes_max=65_536).check()
