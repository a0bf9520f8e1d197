"""A service from file to verified receipt, as people do it: docs/services/authoring.md, 12."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import pytest

from tests.integration.network import Net
from tests.integration.shell import Shell

pytestmark = pytest.mark.process
SERVICE = Path(__file__).parent.parent / "services" / "dog-licence"
HEX = "ab" * 32
AGENCIES = ("health-agency", "land-registry", "treasury")


def vote(shell: Shell, proposal: str) -> None:
    """The other agencies of a quorum accept."""
    for agency in AGENCIES[1:]:
        shell.ok("gov", "vote", proposal, "--accept", "--profile", agency)


def person(shell: Shell, net: Net, folder: Path, name: str) -> None:
    """A person of the health agency, with a profile."""
    key = folder / f"{name}.jwk"
    shell.ok("id", "new", key)
    shell.ok("id", "register", name, key, "--profile", AGENCIES[0])
    genesis = net.home(0) / "genesis.json"
    rpc = net.info.nodes[0].rpc
    words = ("--rpc", rpc, "--genesis", genesis, "--party", name, "--jwk", key)
    shell.ok("profile", "add", name, *words)


def role(shell: Shell, folder: Path, name: str, *holders: str) -> None:
    """A vote on who grants a role, and the grants."""
    body = folder / f"{name}.json"
    body.write_text(json.dumps({"role": f"dog-licence.{name}", "party": AGENCIES[0]}))
    root = ("--kind", "role-root", "--body", body, "--rationale", HEX)
    shell.ok("gov", "propose", f"root-{name}", *root, "--profile", AGENCIES[0])
    vote(shell, f"root-{name}")
    shell.ok("document", "register", body, "--profile", AGENCIES[0])  # the block of effect
    for holder in holders:
        grant = ("gov", "grant", f"dog-licence.{name}", holder, "--days", "365")
        shell.ok(*grant, "--profile", AGENCIES[0])


@pytest.fixture(scope="module")
def town(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """The service in force, its staff appointed."""
    folder = tmp_path_factory.mktemp("people")
    shell = Shell(net, folder / "client")
    for agency in AGENCIES:
        info = net.folder / "net.json"
        shell.ok("profile", "add", agency, "--info-file", info, "--party", agency)
    propose = ("service", "propose", SERVICE, "--proposal", "dogs-1", "--rationale", HEX)
    shell.ok(*propose, "--profile", AGENCIES[0])
    vote(shell, "dogs-1")
    for name in ("holder", "ann", "cashier", "judge-a"):
        person(shell, net, folder, name)
    role(shell, folder, "clerk", "ann")
    role(shell, folder, "cashier", "cashier")
    role(shell, folder, "appeals-officer", "judge-a")
    return shell


def apply(shell: Shell) -> str:
    """A licence that waits for its fee."""
    create = ("do", "create", "dog-licence-licence", "holder=holder", f"dog={HEX}")
    made = shell.ok(*create, "--yes", "--profile", "holder")
    assert made["state"] == "applied"
    record: str = made["record"]
    return record


def do(shell: Shell, who: str, act: str, record: str, *values: str) -> dict[str, Any]:
    """An act that must be done."""
    done: dict[str, Any] = shell.ok("do", act, record, *values, "--yes", "--profile", who)
    return done


def test_a_licence_is_granted_and_its_receipt_verifies(town: Shell, tmp_path: Path) -> None:
    record = apply(town)
    receipt = f"receipt=R-{secrets.token_hex(3).upper()}"
    pay = ("do", "pay", record, receipt)
    error = town.fails(4, *pay, "amount=2999", "--yes", "--profile", "cashier")
    assert error["reason"] == "GUARD_FAILED"
    assert "fee_complete" in error["message"]
    error = town.fails(4, *pay, "amount=3000", "--yes", "--profile", "holder")
    assert error["reason"] == "NOT_AUTHORISED"
    assert do(town, "cashier", "pay", record, receipt, "amount=3000")["state"] == "paid"
    granted = do(town, "ann", "grant", record, f"tag={secrets.randbelow(10**6)}")
    assert granted["state"] == "active"
    shown = town.ok("record", "show", record, "--profile", "holder")
    assert shown["record"]["state"] == "active"
    listed = town.ok("record", "list", "dog-licence-licence", "--state", "active")
    assert record in [item["id"] for item in listed["items"]]
    history = town.ok("record", "history", record)
    assert [item["state"] for item in history["versions"]] == ["applied", "paid", "active"]
    told = town.raw("record", "history", record).stdout.splitlines()
    assert len(told) == 3
    for line, words in zip(told, ("holder create", "cashier pay", "ann grant"), strict=True):
        assert words in line
        assert "dog-licence@1" in line
    file = tmp_path / "granted.receipt.json"
    town.ok("receipt", "get", granted["tx"], "-o", file)
    assert town.ok("receipt", "verify", file)["valid"] is True


def test_an_appeal_is_allowed(town: Shell) -> None:
    record = apply(town)
    receipt = f"receipt=R-{secrets.token_hex(3).upper()}"
    do(town, "cashier", "pay", record, receipt, "amount=3000")
    assert do(town, "ann", "refuse", record, "reason_code=unsafe")["state"] == "refused"
    assert do(town, "holder", "appeal", record)["state"] == "appealed"
    assert do(town, "judge-a", "allow", record)["state"] == "paid"


def test_nothing_is_signed_unasked(town: Shell) -> None:
    record = apply(town)
    error = town.fails(2, "do", "pay", record, "receipt=R-1", "amount=3000", "--profile", "cashier")
    assert error["reason"] == "NOT_CONFIRMED"
    shown = town.ok("record", "show", record, "--profile", "holder")
    assert shown["record"]["state"] == "applied"


def test_mistakes_are_named(town: Shell) -> None:
    record = apply(town)
    misspelt = ("do", "pay", record, "reciept=R-1", "amount=3000", "--yes", "--profile", "cashier")
    assert "receipt" in town.fails(2, *misspelt)["message"]
    town.fails(2, "do", "pay", "no-record", "amount=3000", "--yes", "--profile", "cashier")
    town.fails(2, "do", "fly", record, "--yes", "--profile", "cashier")
