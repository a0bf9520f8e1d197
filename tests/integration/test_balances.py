"""What accounts hold and how it came there, through the command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.network import Net, network
from tests.integration.shell import Shell
from tests.integration.voting import committed, vote_in
from tests.node.test_balances import MINTING
from tests.services.hostile import definition

pytestmark = pytest.mark.process
TREASURY = "treasury"
WORKS = 16


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    """A network with a service whose acts make coins."""
    with network(tmp_path_factory.mktemp("balances")) as running:
        vote_in(running, definition(MINTING))
        create = {"op": "record.create", "type": "odd-box", "version": 1}
        committed(running, TREASURY, {**create, "data": {"owner": TREASURY}})
        yield running


@pytest.fixture(scope="module")
def shell(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    made = Shell(net, tmp_path_factory.mktemp("client"))
    info = ("--info-file", net.folder / "net.json")
    made.ok("profile", "add", TREASURY, *info, "--party", TREASURY)
    return made


@pytest.fixture(scope="module")
def box(net: Net, shell: Shell) -> tuple[str, str]:
    """A record that made coins many times in one transaction, which is named."""
    record = str(shell.ok("record", "list", "odd-box")["items"][0]["id"])
    work = {"op": "record.act", "id": record, "transition": "work", "input": {}}
    txid, _ = committed(net, TREASURY, *[work] * WORKS)
    return record, txid


def test_a_balance_for_people_and_for_programs(shell: Shell, box: tuple[str, str]) -> None:
    purse, own = f"{box[0]}#purse", f"party:{TREASURY}#own"
    for account, each in ((purse, 7), (own, 2), (f"{box[0]}#none", 0)):
        command = ("balance", "show", "odd.coin", account)
        assert shell.raw(*command).stdout == f"{each * WORKS} odd.coin on {account}\n"
        found = shell.ok(*command)
        assert set(found) == {"unit", "account", "amount", "supply", "at"}
        assert found["amount"] == each * WORKS


def test_a_statement_to_its_end_and_in_parts(shell: Shell, box: tuple[str, str]) -> None:
    command = ("balance", "statement", "odd.coin", f"{box[0]}#purse")
    found = shell.ok(*command)
    assert set(found) == {"unit", "account", "items", "next_cursor", "at"}
    items = found["items"]
    assert [item["delta"] for item in items] == [-2, 9] * WORKS
    parts: list[Any] = []
    page = shell.ok(*command, "--limit", "5")
    while page["next_cursor"] is not None:
        parts += page["items"]
        page = shell.ok(*command, "--limit", "5", "--cursor", page["next_cursor"])
    assert parts + page["items"] == items
    told = shell.raw(*command, "--limit", "2").stdout.splitlines()
    height = items[0]["height"]
    assert [line.split() for line in told[:2]] == [
        ["block", str(height), "-2", "=", str(7 * WORKS), box[1]],
        ["block", str(height), "+9", "=", str(7 * WORKS + 2), box[1]],
    ]
    assert told[2].startswith("there is more; go on with: --cursor ")
    never = ("balance", "statement", "odd.coin", f"{box[0]}#none")
    assert shell.raw(*never).stdout == "never used\n"
    assert shell.fails(2, *command, "--cursor", "1:x")["reason"] == "CURSOR_INVALID"


def test_a_unit_of_no_service_is_not_found(shell: Shell) -> None:
    for command in ("show", "statement"):
        error = shell.fails(3, "balance", command, "even.coin", "party:treasury#own")
        assert error["reason"] == "SERVICE_UNKNOWN"
        assert "muniment service list" in error["hint"]


@pytest.mark.parametrize(
    ("unit", "account", "said"),
    [
        ("coin", "party:treasury#own", "unit: want SERVICE.NAME"),
        ("odd.coins", "party:treasury#own", "unit: the service has no such unit; there are: odd."),
        (
            "odd.coin",
            "treasury#own",
            "account: want RECORD#NAME, RECORD being a record's id, or pa",
        ),
        (
            "odd.coin",
            "own",
            "account: want RECORD#NAME, RECORD being a record's id, or party:PARTY",
        ),
    ],
)
def test_what_cannot_be_is_told(shell: Shell, unit: str, account: str, said: str) -> None:
    for command in ("show", "statement"):
        error = shell.fails(2, "balance", command, unit, account)
        assert error["reason"] == "PARAMS_INVALID"
        assert error["message"].startswith(said), error
        assert "muniment service list" in error["hint"]
