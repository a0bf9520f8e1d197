"""What waits, what is held, what was parsed before the rules changed, what a store must hold."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.block import Block
from ledger.crypto import Ed25519Verifier, sha256
from ledger.executor import BlockInvalid
from ledger.ids import Height, TxId
from ledger.parameters import Parameters
from ledger.store import MemoryStore, StoreDamaged
from node.chain import Chain
from node.machine import Patience
from node.outputs import Answer, Output, Submitted
from tests.builders import GENESIS_TIME_MS, make_genesis
from tests.node.chains import Grown, document
from tests.node.small_net import Net

OPERATIONS = 64
DEAR = Parameters(
    block_transactions_max=10_000,
    block_bytes_max=8_388_608,
    block_cost_max=100_000,
    expression_cost_max=1_000,
    effects_max=8,
    operations_max=OPERATIONS,
)
"""31 transactions of 64 operations use up a block, which has room for thousands."""


def _views(net: Net) -> set[int]:
    return {node.machine.core.replica.view for node in net.nodes}


@pytest.mark.parametrize(
    "parameters",
    [DEAR, Parameters(block_transactions_max=31, operations_max=OPERATIONS)],
    ids=["full by cost", "full by number"],
)
def test_nobody_complains_of_a_primary_whose_blocks_are_full(
    monkeypatch: pytest.MonkeyPatch, parameters: Parameters
) -> None:
    net = Net(parameters=parameters)
    for node in net.nodes:
        monkeypatch.setattr(node.machine, "_patience", Patience(request_ms=150))
    net.start()
    net.settle()
    ops = [document(number) for number in range(OPERATIONS)]
    raws = tuple(net.kit.sign("agency-0", f"jti-{number}", ops) for number in range(200))
    net.post(net.nodes[1], Submitted(raws, 0))
    net.run(1_500)
    chain = net.nodes[0].machine.chain
    blocks = [chain.archive.block(height) for height in range(1, chain.height + 1)]
    sizes = [len(block.transactions) for block in blocks if block is not None]
    assert sum(sizes) == 200
    assert sizes[1:-1] == [31] * (len(sizes) - 2)
    assert _views(net) == {0}


# ----- parameters that change


WALL_MS = GENESIS_TIME_MS + 5_500
"""The clock of a node whose head is a little older, as a head always is."""
SOON = GENESIS_TIME_MS // 1000 + 300


def _change(grown: Grown, **changes: int) -> None:
    """Let three of four agencies vote other parameters in; they are in force when this returns."""
    propose = {
        "op": "gov.propose",
        "proposal": "change",
        "kind": "parameter",
        "body": {"parameters": changes},
        "rationale": "0" * 64,
        "effective_height": 0,
        "until": grown.chain.header.time_ms // 1000 + 3_000,
    }
    vote = {"op": "gov.vote", "proposal": "change", "accept": True}
    before = grown.chain.parameters
    _commit(grown, grown.tx(propose, exp=SOON))
    _commit(grown, *[grown.tx(vote, party=f"agency-{n}", exp=SOON) for n in (1, 2)])
    _commit(grown)
    assert grown.chain.parameters != before


def _commit(grown: Grown, *raws: bytes) -> None:
    candidate = grown.block(*raws)
    grown.intake.committed(candidate.transactions, keys_changed=False)
    grown.intake.retry_all(0, WALL_MS)


def test_what_was_accepted_is_not_lost_when_other_parameters_take_effect() -> None:
    """The head is a little older than the clock by which a client's expiry was found right."""
    grown = Grown(make_genesis(4, parameters=Parameters(expiry_ahead_max_ms=600_000)))
    raw = grown.tx(exp=WALL_MS // 1000 + 600)
    assert grown.intake.admit(raw, 0, WALL_MS)[0].status == "accepted"
    _change(grown, effects_max=65)
    assert grown.chain.header.time_ms < WALL_MS
    assert TxId(sha256(raw)) in grown.intake.mempool


def test_what_the_new_parameters_forbid_does_not_wait() -> None:
    grown = Grown(make_genesis(4, parameters=Parameters(expiry_ahead_max_ms=600_000)))
    raw = grown.tx(exp=WALL_MS // 1000 + 600)
    assert grown.intake.admit(raw, 0, WALL_MS)[0].status == "accepted"
    _change(grown, expiry_ahead_max_ms=300_000)
    assert TxId(sha256(raw)) not in grown.intake.mempool


def test_what_was_parsed_before_a_change_is_judged_as_if_parsed_after_it() -> None:
    kit = make_genesis(4)
    here, there = Grown(kit), Grown(kit)
    large = here.tx(*[document(number) for number in range(16)], jti="large")
    small = here.tx(jti="small")
    for raw in (large, small):
        assert here.intake.admit(raw, 0, GENESIS_TIME_MS)[0].status == "accepted"
    known = {
        waiting.admitted.transaction.id: waiting.admitted for waiting in here.intake.mempool.all()
    }
    for grown in (here, there):
        grown._number = 100
        _change(grown, transaction_bytes_max=2_048, operations_max=15)
    assert here.chain.block_hash == there.chain.block_hash
    assert TxId(sha256(large)) not in here.intake.mempool
    assert TxId(sha256(small)) in here.intake.mempool
    time_ms = here.chain.header.time_ms + 1_000
    made = here.chain.build(0, time_ms, list(known.values()), (), frozenset(known))
    assert made.block.transactions == (small,)
    assert there.chain.judge(made.block, {}, frozenset()).block_hash == made.block_hash
    with pytest.raises(ValueError, match="TX_TOO_LARGE"):
        here.chain._executor.execute(
            here.chain.state,
            epoch=here.chain.epoch,
            validators=here.chain.validators,
            height=Height(made.header.height),
            time_ms=time_ms,
            transactions=list(known.values()),
        )
    spoiled = Block(made.block.header, made.block.commit, (large,), ())
    for chain in (here.chain, there.chain):
        chain._candidates.clear()
        with pytest.raises(BlockInvalid):
            chain.judge(spoiled, known if chain is here.chain else {}, frozenset())


# ----- what a store is opened from


def _copied(grown: Grown) -> MemoryStore:
    return MemoryStore(dict(grown.store.scan(b"")).items())


def test_a_store_of_the_former_layout_is_refused_when_it_is_opened() -> None:
    """Else the node would vote, and stop when the first one asks it for a block."""
    grown = Grown()
    grown.block(grown.tx())
    store = _copied(grown)
    rows: dict[bytes, bytes | None] = {}
    for table in (b"B", b"H"):
        for key, value in store.scan(table):
            if key.endswith(b"entries"):
                continue
            rows[key] = None
            if table == b"B":
                rows[b"B" + key[9:]] = value
    store.stage(rows)
    store.flush()
    with pytest.raises(StoreDamaged, match="body of block 1"):
        Chain(store, grown.kit.genesis, Ed25519Verifier())


def test_a_store_whose_entries_lie_elsewhere_is_refused_when_it_is_opened() -> None:
    """Else the node would answer that its blocks have no entries, and make receipts of nothing."""
    grown = Grown()
    grown.block(grown.tx())
    store = _copied(grown)
    rows: dict[bytes, bytes | None] = {}
    for key, value in store.scan(b"B"):
        if key.endswith(b"entries"):
            rows[key], rows[b"e" + key[1:9]] = None, value
    store.stage(rows)
    store.flush()
    with pytest.raises(StoreDamaged, match="entries of block 1 are missing; if another version"):
        Chain(store, grown.kit.genesis, Ed25519Verifier())


@pytest.mark.parametrize("value", [b"{", b"[]", b'{"block_bytes_max":"1"}'])
def test_parameters_that_cannot_be_read_are_damage(value: bytes) -> None:
    grown = Grown()
    grown.block(grown.tx())
    store = _copied(grown)
    store.stage({b"ssys/parameters": value})
    store.flush()
    with pytest.raises(StoreDamaged):
        Chain(store, grown.kit.genesis, Ed25519Verifier())


# ----- held submissions


def _tickets(outputs: list[Output]) -> list[int]:
    return [output.ticket for output in outputs if isinstance(output, Answer)]


def test_a_single_validator_answers_and_commits_all_that_it_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = Net(1)
    node = net.nodes[0]
    monkeypatch.setattr(node.machine, "_patience", Patience(admit_below=2))
    net.start()
    net.settle()
    answered: list[int] = []
    original = node.machine.handle

    def handle(event: Any, now: Any) -> list[Output]:
        outputs = original(event, now)
        answered.extend(_tickets(outputs))
        return outputs

    monkeypatch.setattr(node.machine, "handle", handle)
    for ticket in range(20):
        raws = tuple(
            net.kit.sign("agency-0", f"jti-{ticket}-{number}", [document()]) for number in range(3)
        )
        net.post(node, Submitted(raws, ticket))
    net.run(3_000)
    assert answered == list(range(20))
    chain = node.machine.chain
    done = sum(len(chain.archive.entries(height)) for height in range(1, chain.height + 1))
    assert (done, len(node.machine.mempool)) == (60, 0)
