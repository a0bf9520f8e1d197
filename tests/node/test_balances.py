"""Amounts on accounts and their statements: a mistyped unit or account is no account with 0."""

from __future__ import annotations

from typing import Any

import pytest

from ledger import canonical
from node.jsonrpc import RpcError
from tests.node.test_paging import Node
from tests.services.hostile import SOURCE, definition

RAW = "odd#" + "x"
MINTING = SOURCE.replace(
    "work: {from: open, to: open, by: party(owner), do: [{set: {field: kept, value: 1}}]}",
    "work: {from: open, to: open, by: party(owner), do: ["
    "{mint: {unit: coin, account: account('purse'), amount: 9}}, "
    "{move: {unit: coin, from: account('purse'), to: \"party_account(data.owner, 'own')\","
    " amount: 2}}, "
    f"{{mint: {{unit: coin, account: \"'{RAW}'\", amount: 5}}}}, "
    f"{{burn: {{unit: coin, account: \"'{RAW}'\", amount: 5}}}}]}}",
).replace("  coin: {types: [box]}", "  coin: {types: [box]}\n  token: {types: [box]}")


@pytest.fixture(scope="module")
def node() -> Node:
    made = Node()
    body = {"definition": canonical.decode(definition(MINTING).encode())}
    made.propose("service-odd", "activate", body)
    vote = {"op": "gov.vote", "proposal": "service-odd", "accept": True}
    for agency in ("agency-1", "agency-2"):
        made.run(vote, party=agency)
    made.grown.block()
    return made


@pytest.fixture(scope="module")
def box(node: Node) -> str:
    (made,) = node.boxes(1)
    node.run({"op": "record.act", "id": made, "transition": "work", "input": {}})
    return made


METHODS = ("balance_get", "balance_statement")


def refused(
    node: Node, unit: str, account: str, reason: tuple[int, str] = (-32602, "PARAMS_INVALID")
) -> str:
    """What both methods say of a unit or an account that there cannot be."""
    said = set()
    for method in METHODS:
        with pytest.raises(RpcError) as caught:
            node.call(method, unit=unit, account=account)
        assert (caught.value.code, caught.value.reason) == reason
        said.add(caught.value.detail)
    assert len(said) == 1
    return said.pop()


def test_accounts_of_a_record_and_of_a_party(node: Node, box: str) -> None:
    for account, amount in ((f"{box}#purse", 7), ("party:agency-0#own", 2)):
        assert node.call("balance_get", unit="odd.coin", account=account)["amount"] == amount
        items = node.call("balance_statement", unit="odd.coin", account=account)["items"]
        assert (items[0]["balance"], sum(item["delta"] for item in items)) == (amount, amount)


def test_an_account_that_nobody_used_holds_nothing(node: Node, box: str) -> None:
    unused: list[tuple[str, str]] = [
        ("odd.coin", f"{box}#other"),
        ("odd.coin", f"odd-box/{'0' * 32}#purse"),
        ("odd.coin", "party:nobody#own"),
        ("odd.token", f"{box}#purse"),
    ]
    for unit, account in unused:
        assert node.call("balance_get", unit=unit, account=account)["amount"] == 0
        assert node.call("balance_statement", unit=unit, account=account)["items"] == []


def test_an_account_of_another_form_is_told_once_an_act_made_it(node: Node, box: str) -> None:
    found: dict[str, Any] = node.call("balance_statement", unit="odd.coin", account=RAW)
    assert [item["delta"] for item in found["items"]] == [-5, 5]
    assert node.call("balance_get", unit="odd.coin", account=RAW)["amount"] == 0


@pytest.mark.parametrize(
    "account",
    ["odd#purse", f"{'0' * 32}#purse", "party:#own", "party:Tom#own", "nobody#own", "odd-box/1#a"],
)
def test_an_account_that_cannot_be_is_refused(node: Node, box: str, account: str) -> None:
    said = refused(node, "odd.coin", account)
    assert said == ("account: want RECORD#NAME, RECORD being a record's id, or party:PARTY#NAME")


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ("odd.coins", "unit: the service has no such unit; there are: odd.coin, odd.token"),
        ("odd.odd.coin", "Expected"),
    ],
)
def test_a_unit_that_no_version_has_is_refused(node: Node, box: str, unit: str, said: str) -> None:
    assert refused(node, unit, f"{box}#purse").startswith(said)


def test_a_unit_of_no_service_is_not_found(node: Node, box: str) -> None:
    said = refused(node, "even.coin", f"{box}#purse", (-32001, "SERVICE_UNKNOWN"))
    assert said == "unit: no such service; want SERVICE.NAME, a service in force and a unit of it"


@pytest.mark.parametrize(("unit", "account"), [("coin", "party:a#b"), ("odd.coin", "party:a")])
def test_what_is_of_no_form_never_gets_so_far(node: Node, unit: str, account: str) -> None:
    refused(node, unit, account)
