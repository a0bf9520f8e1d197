"""Who may do what was refused as NOT_AUTHORISED, as the commands tell it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from node.answers import NOT_FOUND, REJECTED, CommandError
from node.authoring.compiler import compile_source
from node.authoring.source import parse
from node.client import Client
from node.commands.context import Session
from node.jsonrpc import Method, RpcError
from node.methods import governance, record, registry, state
from node.profiles import Profile
from node.service import NodeService
from tests.services.chain_node import ChainNode

STALL = Path(__file__).parent.parent / "services" / "market-stall" / "service.yaml"
MORE = """\
  note:
    fields: {}
    states: [made]
    final: [made]
    transitions:
      create: {to: made, internal: true}
  pact:
    fields: {one: party, other: party, town: party, friends: {kind: list, items: party, max: 4}}
    states: [open, shut]
    final: [shut]
    transitions:
      create: {to: open, by: party(one) and party(other)}
      shut:
        from: open
        to: shut
        by: role(officer of town) or agency(one) or each(input.heirs) or is(agency_of(data.one))
        input: {heirs: {kind: list, items: party, max: 4}}
"""
PEOPLE = {"hall": ("olga", "otto", "carl"), "homes": ("tom", "tim")}
HEX = "ab" * 32


class Door:
    """A client of a node with one chain, on which the market stall is in force."""

    def __init__(self) -> None:
        self.node = ChainNode()
        self.ground = self.node.ground
        text = STALL.read_text(encoding="utf-8") + MORE
        definition, problems = compile_source(parse(text))
        assert definition is not None, problems
        for agency, people in PEOPLE.items():
            for person in people:
                self.ground.add_party(person, agency)
        self.ground.activate(definition)
        for role, person in (("officer", "olga"), ("officer", "otto"), ("cashier", "carl")):
            self.ground.grant(f"market-stall.{role}", person, None)
        grown = self.node.grown
        parts = SimpleNamespace(chain=grown.chain, machine=SimpleNamespace(store=grown.store))
        self._methods: dict[str, Method] = {
            method.name: method
            for module in (governance, record, registry, state)
            for method in module.methods(cast(NodeService, parts))
        }
        self.silent = False
        """Whether it answers nothing but what became of a transaction."""

    def call(self, name: str, params: dict[str, Any], seconds: float = 15) -> Any:
        """As `node.client.Client` does it."""
        if name == "tx_wait":
            return {"status": "refused", "reason": self._entry(params["id"])["reason"]}
        if name == "tx_get":
            height, index = self._place(params["id"])
            block = self.node.grown.chain.archive.block(height)
            assert block is not None
            raw = block.transactions[index].decode("ascii")
            return {"tx": raw, "entry": self._entry(params["id"])}
        if self.silent:
            raise CommandError(NOT_FOUND, "UNREACHABLE", "no node answers")
        method = self._methods[name]
        given = msgspec.convert(params, method.params)

        async def answer() -> Any:
            return await method.handler(given)

        try:
            return asyncio.run(answer())
        except RpcError as error:
            raise CommandError(NOT_FOUND, error.reason, error.detail) from None

    def _place(self, txid: str) -> tuple[int, int]:
        place = self.node.grown.chain.archive.location(bytes.fromhex(txid))
        assert place is not None
        return place

    def _entry(self, txid: str) -> dict[str, Any]:
        height, index = self._place(txid)
        entries = self.node.call("chain_getBlock", {"height": height})["entries"]
        found: dict[str, Any] = entries[index]
        return found

    def done(self, party: str, operation: dict[str, Any]) -> dict[str, Any]:
        """The result of an operation that must be committed."""
        reason, result = self.ground.run(party, operation)
        assert reason == "", reason
        return result

    def told(self, party: str, operation: dict[str, Any]) -> str:
        """What a command says, after the id, of an operation that must be refused."""
        reason, _ = self.ground.run(party, operation)
        assert reason == "NOT_AUTHORISED", reason
        session = Session(cast(Profile, None), cast(Client, self))
        with pytest.raises(CommandError) as refused:
            session.wait(self.ground.steps[-1], 1)
        assert (refused.value.code, refused.value.reason) == (REJECTED, "NOT_AUTHORISED")
        start = f"transaction {self.ground.steps[-1]}: NOT_AUTHORISED"
        assert refused.value.message.startswith(start)
        return refused.value.message.removeprefix(start)


@pytest.fixture(scope="module")
def door() -> Door:
    return Door()


def create(kind: str, **data: Any) -> dict[str, Any]:
    return {"op": "record.create", "type": f"market-stall-{kind}", "version": 1, "data": data}


def act(record_id: str, name: str, **given: Any) -> dict[str, Any]:
    return {"op": "record.act", "id": record_id, "transition": name, "input": given}


def checked(door: Door) -> str:
    """A permit that was paid and checked by olga."""
    made = door.done("tom", create("permit", trader="tom", goods=HEX, metres=1))["record"]
    receipt = f"R-{door.node.grown.chain.height}"
    door.done("carl", act(made, "pay", receipt=receipt, amount=1_900))
    door.done("olga", act(made, "check"))
    return str(made)


def test_who_may_act_is_said_in_the_definitions_words(door: Door) -> None:
    permit = checked(door)
    for party, operation, words in (
        ("olga", create("permit", trader="tom", goods=HEX, metres=1), "create is for the trader "
         "(tom)"),
        ("olga", act(permit, "grant", pitch="A7"), "grant is for officer, but not the officer "
         "(olga) or the trader (tom)"),
        ("tim", act(permit, "rectify", reason_code="x", commitment=HEX, field="goods", value=HEX),
         "rectify is for officer"),
        ("olga", create("note"), "nobody does create by hand: another record's act does it"),
    ):  # fmt: skip
        assert door.told(party, operation) == f": {words}"
    door.done("otto", act(permit, "grant", pitch=f"P{door.node.grown.chain.height}"))
    lapse = "nobody does lapse by hand: it happens when its time comes"
    assert door.told("olga", act(permit, "lapse")) == f": {lapse}"


def test_who_may_sign_what_waits(door: Door) -> None:
    permit = checked(door)
    task = door.done("otto", act(permit, "refuse", reason_code="no-papers"))["pending"]
    words = "refuse is for 2 different persons who are officer, but not the trader (tom)"
    approve = {"op": "record.approve", "id": permit, "pending": task}
    assert door.told("tim", approve) == f": {words}"
    pact = door.done("tom", create("pact", one="tom", other="tim", town="hall", friends=[]))
    approve = {"op": "record.approve", "id": pact["record"], "pending": pact["pending"]}
    assert door.told("olga", approve) == ": create is for the one (tom) and the other (tim)"


def test_parties_are_named_where_they_are_known(door: Door) -> None:
    given = create("pact", one="tom", other="tim", town="hall", friends=[])
    waits = door.done("tom", given)
    approve = {"op": "record.approve", "id": waits["record"], "pending": waits["pending"]}
    pact = door.done("tim", approve)["record"]
    words = (
        "shut is for officer of the agency of town (hall) or the agency of the one (tom) or each "
        "of the heirs (carl, otto) or the party `agency_of(data.one)`"
    )
    assert door.told("tim", act(pact, "rectify", reason_code="x", commitment=HEX)) == ""
    assert door.told("agency-0", act(pact, "shut", heirs=["carl", "otto"])) == f": {words}"


def test_operations_of_no_service(door: Door) -> None:
    vote = "only agencies that run a validator propose and vote"
    done = door.done("hall", {"op": "document.register", "type": "deed", "title_code": "deed",
                              "commitment": HEX})  # fmt: skip
    until = door.ground.now() + 9_000
    grant = {"op": "role.grant", "party": "tim", "until": until, "agency": None}
    root = door.ground.value("roleroot/market-stall.officer")["party"]
    for party, operation, words in (
        ("hall", {"op": "gov.vote", "proposal": "none", "accept": True}, vote),
        ("hall", {"op": "document.attest", "id": done["record"]}, "an agency may, other than that "
         "of who registered the document"),
        ("homes", {"op": "document.revoke", "id": done["record"], "reason_code": "x"},
         "who registered the document may, or their agency"),
        ("tim", {**grant, "role": "market-stall.officer"}, f"market-stall.officer is granted by "
         f"{root}, or passed on by who may, as far as their own grant goes"),
        ("tim", {**grant, "role": "market-stall.appeals-officer"}, "nobody grants "
         "market-stall.appeals-officer: members vote who does, with a proposal of kind role-root"),
        ("tim", {"op": "role.revoke", "role": "market-stall.officer", "party": "olga"},
         f"{root} may, who granted it or who holds it"),
        ("tim", {"op": "party.revoke", "party": "tom", "kids": [], "reason_code": "x"},
         "its agency, a quorum of the agencies or, for an agency, its recovery key may"),
    ):  # fmt: skip
        assert door.told(party, operation) == f": {words}", operation["op"]


def test_a_node_that_says_no_more_leaves_the_refusal(door: Door) -> None:
    permit = checked(door)
    door.silent = True
    try:
        assert door.told("olga", act(permit, "grant", pitch="A7")) == ""
    finally:
        door.silent = False
