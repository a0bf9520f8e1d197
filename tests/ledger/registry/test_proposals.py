"""What members vote: parameters from a named block on; what loses its effect in the meantime."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.executor import BlockInvalid
from ledger.parameters import FIXED, Parameters
from ledger.registry.definition import DEFINITION_BYTES_MAX
from node.authoring.compiler import compile_source
from node.authoring.source import parse
from node.authoring.stage import Stage
from tests.builders import GENESIS_TIME_MS
from tests.chain import Chain, document
from tests.ledger.test_block_cost import vote_in
from tests.node.chains import Grown
from tests.services.hostile import SOURCE, Play, plain


def change(**values: Any) -> dict[str, Any]:
    return {"parameters": values}


def proposed(chain: Chain, kind: str, body: dict[str, Any]) -> str:
    """Why a proposal is refused, or empty."""
    entry = chain.run(
        "agency-0",
        {
            "op": "gov.propose",
            "proposal": chain.jti(),
            "kind": kind,
            "body": body,
            "rationale": "0" * 64,
            "effective_height": 0,
            "until": chain.time_ms // 1000 + 3_600,
        },
    )
    return str(entry["results"][0]["problem"]) if entry["reason"] == "PROPOSAL_INVALID" else ""


def test_parameters_change_at_the_named_block_and_not_before() -> None:
    chain = Chain()
    raws = [chain.kit.sign("agency-0", f"r{n}", [document()]) for n in range(3)]
    value = vote_in(chain, "parameter", change(block_transactions_max=2), height=10)
    assert (value["status"], value["effective_height"]) == ("accepted", 10)
    while chain.height < 8:
        chain.block()
    assert len(chain.execute(raws).included) == 3, "block 9 obeys what was before"
    chain.block()
    assert chain.value("sys/parameters")["block_transactions_max"] == 2
    with pytest.raises(BlockInvalid, match="BLOCK_TOO_LARGE"):
        chain.execute(raws)
    assert len(chain.execute(raws, select=True).included) == 2
    (name,) = [key for key, _ in chain.store.scan(b"sproposal/")]
    assert chain.value(name[1:].decode())["status"] == "done"


def test_without_a_height_they_change_two_blocks_after_the_last_vote() -> None:
    chain = Chain()
    value = vote_in(chain, "parameter", change(operations_max=1, effects_max=8))
    # Proposed in block 1, accepted in block 3, written by block 4, obeyed by block 5.
    assert (value["status"], value["effective_height"], chain.height) == ("done", 5, 4)
    raw = chain.kit.sign("agency-0", "two", [document(), document()])
    with pytest.raises(BlockInvalid, match="TX_TOO_MANY_OPERATIONS"):
        chain.execute([raw])
    dropped = chain.execute([raw], select=True).dropped
    assert [item.why.reason for item in dropped] == ["TX_TOO_MANY_OPERATIONS"]


def test_a_transaction_that_was_parsed_under_larger_limits_is_in_no_block() -> None:
    chain = Chain()
    vote_in(chain, "parameter", change(transaction_bytes_max=1_024))
    raw = chain.kit.sign("agency-0", "long", [document()] * 8)
    assert len(raw) > 1_024
    with pytest.raises(BlockInvalid, match="TX_TOO_LARGE"):
        chain.execute([raw])  # the chain of tests parses by the genesis


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (change(), "PARAMETER_UNKNOWN"),
        ({"parameters": [1]}, "want parameters, a map of names to numbers"),
        ({"name": "effects_max", "value": 9}, "want parameters, a map of names to numbers"),
        (change(effects_max="9"), "want parameters, a map of names to numbers"),
        (change(effects_max=True), "want parameters, a map of names to numbers"),
        (change(colour=1), "PARAMETER_UNKNOWN"),
        (change(check=1), "PARAMETER_UNKNOWN"),
        *((change(**{name: 1}), "PARAMETER_FIXED") for name in FIXED),
        (change(effects_max=7), "parameter effects_max: want 8 to 1000, got 7"),
        (change(effects_max=2**53 - 1), f"parameter effects_max: want 8 to 1000, got {2**53 - 1}"),
        (
            change(block_bytes_max=65_536, transaction_bytes_max=65_537),
            "parameter transaction_bytes_max: want at most block_bytes_max",
        ),
        (
            change(expression_cost_max=1_000_000),
            "parameter block_cost_max: want at least 2005440 with the others",
        ),
    ],
)
def test_parameters_stay_within_bounds_and_relations(body: dict[str, Any], problem: str) -> None:
    assert proposed(Chain(), "parameter", body) == problem


def test_two_changes_that_do_not_go_together_leave_the_first() -> None:
    """Each was right when it was proposed."""
    chain = Chain()
    first = vote_in(chain, "parameter", change(block_cost_max=100_000), height=20)
    second = vote_in(chain, "parameter", change(expression_cost_max=100_000), height=21)
    while chain.height < 20:
        chain.block()
    (one, two) = (chain.value(f"proposal/{item['id']}") for item in (first, second))
    assert (one["status"], two["status"]) == ("done", "failed")
    assert two["outcome"] == "parameter block_cost_max: want at least 205440 with the others"
    assert two["body"] is None
    assert chain.value("sys/parameters")["expression_cost_max"] == 20_000


def test_all_validators_switch_at_the_same_block_also_after_a_restart() -> None:
    kit = Grown().kit
    nodes = [Grown(kit), Grown(kit)]

    def block(*raws: bytes) -> None:
        candidates = [node.block(*raws) for node in nodes]
        assert candidates[0].block_hash == candidates[1].block_hash

    propose = {
        "op": "gov.propose",
        "proposal": "p",
        "kind": "parameter",
        "body": change(operations_max=1),
        "rationale": "0" * 64,
        "effective_height": 6,
        "until": GENESIS_TIME_MS // 1000 + 3_600,
    }
    block(nodes[0].tx(propose))
    vote = {"op": "gov.vote", "proposal": "p", "accept": True}
    block(*(nodes[0].tx(vote, party=f"agency-{n}") for n in (1, 2)))
    two = nodes[0].tx(document(), document())
    assert nodes[0].intake.admit(two, 0, 0)[0].status == "accepted"
    block()
    block()
    assert nodes[0].chain.parameters == Parameters()
    nodes[1] = Grown(kit, nodes[1].store)
    block()
    for node in nodes:
        assert node.chain.parameters == Parameters(operations_max=1)
        assert node.chain.height == 5
    # What waits and no block can hold any more is forgotten: nobody waits for the primary in vain.
    nodes[0].intake.committed((), False)
    assert len(nodes[0].intake.mempool) == 0
    assert nodes[0].intake.check(two, 0, 0).reason == "TX_TOO_MANY_OPERATIONS"
    assert nodes[1].intake.check(two, 0, 0).reason == "TX_TOO_MANY_OPERATIONS"
    restarted = Grown(kit, nodes[0].store)
    assert restarted.chain.parameters == Parameters(operations_max=1)


def test_a_stage_without_parameters_votes_none() -> None:
    entry = Stage().govern("parameter", change(effects_max=9))
    assert entry["results"] == [{"problem": "PARAMETER_UNKNOWN"}]


def test_an_accepted_definition_that_another_overtook_has_no_effect() -> None:
    play = Play()
    stage = play.stage
    made = {**plain(), "version": 2}
    for name, height in (("late", stage.height + 6), ("soon", 0)):
        body = {"definition": {**made, "version": 3} if name == "soon" else made}
        propose = {
            "op": "gov.propose",
            "proposal": name,
            "kind": "activate",
            "body": body,
            "rationale": "0" * 64,
            "effective_height": height,
            "until": stage.time_ms // 1000 + 3_600,
        }
        assert stage.run("founder", [propose])["reason"] == ""
    for _ in range(6):
        stage.advance(1)
    late = stage.value("proposal/late")
    assert (late["status"], late["outcome"]) == ("failed", "VERSION_NOT_RISING")
    assert stage.value("service/odd")["current"] == 3


def test_the_largest_definition_fits_into_a_transaction() -> None:
    """In base64url, with the longest names around it."""
    chain = Chain()
    filled = {"x": ""}
    room = DEFINITION_BYTES_MAX - len('{"x":""}')
    filled["x"] = "a" * room
    propose = {
        "op": "gov.propose",
        "proposal": "p" * 64,
        "kind": "k" * 64,
        "body": {"definition": filled},
        "rationale": "0" * 64,
        "effective_height": 2**53 - 1,
        "until": 2**53 - 1,
    }
    # The longest iss and chain name are at most 90 characters longer than these.
    raw = chain.kit.sign("agency-0", "j" * 64, [propose])
    assert len(raw) + 90 * 4 // 3 <= Parameters().transaction_bytes_max


def test_what_is_too_large_to_be_proposed_does_not_compile() -> None:
    texts = ", ".join(f"g{n}: \"'{'a' * 250}' != ''\"" for n in range(15))
    acts = "".join(
        f"      w{n}: {{from: open, to: open, by: party(owner), if: {{{texts}}}}}\n"
        for n in range(12)
    )
    made, problems = compile_source(parse(SOURCE.replace("      ring: {", acts + "      ring: {")))
    assert made is None
    (problem,) = problems
    assert problem.message.startswith("compiled, it has 55")
    assert problem.message.endswith(f"want {DEFINITION_BYTES_MAX} at most")
