"""The guide for authors, docs/services/authoring.md, followed word for word on a real network."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from ledger.crypto import Ed25519Signer
from ledger.jwk import PrivateJwk
from node.profiles import read_private_jwk
from tests.integration.guide import Block, Typist, blocks, follow, missing
from tests.integration.network import BIN, Net, client_operation
from tests.integration.shell import Shell

pytestmark = pytest.mark.process
ROOT = Path(__file__).parent.parent.parent
GUIDE = blocks(ROOT / "docs" / "services" / "authoring.md")
EXAMPLE = ROOT / "tests" / "services" / "market-stall"
LAST = max(number for number, block in enumerate(GUIDE) if block.kind == "sh")
HEX = "ab" * 32


@dataclass
class Town:
    """Where the guide was followed up to its last commands, which remove the network."""

    net: Net
    shell: Shell
    wrong: dict[int, str]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """The guide, typed; its last commands are typed at the end."""
    folder = tmp_path_factory.mktemp("guide")
    typist = Typist(folder / "town", folder / "client")
    net = Net(folder / "town" / "net")
    try:
        wrong = follow(typist, GUIDE[:LAST])
        yield Town(net, Shell(net, folder / "client"), wrong)
        assert follow(typist, GUIDE[LAST:]) == {}
        assert not net.folder.exists()
        assert (folder / "town" / "market-stall" / "service.yaml").exists()
    finally:
        net.clean()
        typist.close()


def test_the_guide_shows_what_comes_out(town: Town) -> None:
    assert town.wrong == {}
    assert '"internal error"' not in town.net.logs()


def test_the_example_is_the_one_that_the_services_tests_know() -> None:
    files = {block.file: block.text for block in GUIDE if block.file}
    for name in ("service.yaml", "scenario.yaml"):
        assert files[f"market-stall/{name}"] == (EXAMPLE / name).read_text(encoding="utf-8")


def test_every_other_block_is_of_a_known_kind() -> None:
    before: Block | None = None
    for block in GUIDE:
        assert block.kind in ("sh", "yaml", "text"), block.where
        if block.kind == "yaml":
            assert yaml.safe_load(block.text), block.where
        if block.kind == "text":
            assert before is not None
            assert before.kind == "sh" or "error:" in block.text, block.where
        before = block


def test_a_line_that_is_not_shown_is_noticed() -> None:
    assert missing("b …\nd\n", "a\nb 1\nc\nd\n") == ""
    assert missing("d\nb …\n", "a\nb 1\nc\nd\n") == "b …"


# ----- beside the guide, on its network


def applied(shell: Shell) -> str:
    """A permit that waits for its fee."""
    create = ("do", "create", "market-stall-permit", "trader=tom", f"goods={HEX}", "metres=1")
    made: dict[str, Any] = shell.ok(*create, "--yes", "--profile", "tom")
    assert made["state"] == "applied"
    return str(made["record"])


def pay(record: str, amount: int) -> tuple[str, ...]:
    """The cashier's act, with a receipt that nobody used."""
    receipt = f"receipt=R-{secrets.token_hex(3).upper()}"
    return ("do", "pay", record, receipt, f"amount={amount}")


def test_who_pays_is_not_who_confirms(town: Town) -> None:
    record = applied(town.shell)
    command = (*pay(record, 1_950), "--yes", "--profile")
    error = town.shell.fails(4, *command, "tom")
    assert error["reason"] == "NOT_AUTHORISED"
    assert error["message"].endswith(": pay is for cashier, but not the trader (tom)")
    assert town.shell.ok(*command, "carl")["state"] == "paid"
    history = town.shell.ok("record", "history", record)
    assert [version["state"] for version in history["versions"]] == ["applied", "paid"]
    told = town.shell.raw("record", "history", record).stdout.splitlines()
    for line, words in zip(told, ("tom create", "carl pay"), strict=True):
        assert words in line
        assert "market-stall@3" in line


def test_nothing_is_signed_unasked(town: Town) -> None:
    record = applied(town.shell)
    error = town.shell.fails(2, *pay(record, 1_950), "--profile", "carl")
    assert error["reason"] == "NOT_CONFIRMED"
    shown = town.shell.ok("record", "show", record, "--profile", "tom")
    assert shown["record"]["state"] == "applied"


def test_mistakes_are_named(town: Town) -> None:
    record = applied(town.shell)
    misspelt = ("do", "pay", record, "reciept=R-1", "amount=1950", "--yes", "--profile", "carl")
    assert "receipt" in town.shell.fails(2, *misspelt)["message"]
    town.shell.fails(2, "do", "pay", "no-record", "amount=1950", "--yes", "--profile", "carl")
    error = town.shell.fails(2, "do", "fly", record, "--yes", "--profile", "carl")
    assert error["reason"] == "ACT_UNKNOWN"
    assert error["message"] == f"there is no act fly; {record} is applied, now: pay, rectify"


def height(shell: Shell) -> int:
    return int(shell.ok("status")["height"])


CODE = "reason_code=x"
CREATE = ("create", "market-stall-permit", "trader=tom", f"goods={HEX}", "metres=1")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ((*CREATE[:3], "goods=hello", "metres=1"), "goods: want a commitment, 64 lower-case hex"),
        ((*CREATE[:3], f"goods={HEX.upper()}", "metres=1"), "goods: want a commitment"),
        ((*CREATE[:4], "metres=13"), "metres: want a whole number from 1 to 12, got 13"),
        ((*CREATE[:4], "metres=long"), "metres: want a whole number from 1 to 12, got long"),
        ((*CREATE[:2], "trader=nobody", *CREATE[3:]), "trader: want a party that the ledger"),
        ((*CREATE, "fee=1"), "fee is set by the service's own acts"),
        (("pay", "RECORD", "receipt=r 1", "amount=1950"), "receipt: want a text of at most 24"),
        (("refuse", "RECORD", "reason_code=No papers"), "reason_code: want a code: lower-case"),
        (
            (
                "rectify",
                "RECORD",
                "reason_code=x",
                f"commitment={HEX}",
                "field=goods",
                "value=milk",
            ),
            "value: want a commitment, 64 lower-case hex digits; nothing was signed",
        ),
        (
            (
                "rectify",
                "RECORD",
                "reason_code=x",
                f"commitment={HEX}",
                "field=fee",
                f"value={HEX}",
            ),
            "field: want one of goods, got fee",
        ),
        (
            (
                "rectify",
                "RECORD",
                "reason_code=x",
                "commitment=my letter",
                "field=goods",
                "value=1",
            ),
            "commitment: want a commitment",
        ),
    ],
)
def test_a_value_of_another_kind_is_not_signed(
    town: Town, command: tuple[str, ...], message: str
) -> None:
    record = applied(town.shell)
    typed = [record if part == "RECORD" else part for part in command]
    before = height(town.shell)
    error = town.shell.fails(2, "do", *typed, "--yes", "--profile", "tom")
    assert error["message"].startswith(message)
    if "a commitment" in message:
        assert error["hint"] == "a commitment is 64 hex digits: muniment commit FILE"
        assert "hello" not in error["message"]
    assert height(town.shell) == before


def test_no_mistyped_commitment_is_submitted(town: Town) -> None:
    record = applied(town.shell)
    data = {"trader": "tom", "goods": HEX, "metres": 1}
    create = {"op": "record.create", "type": "market-stall-permit", "version": 3}
    rectify = {"op": "record.act", "id": record, "transition": "rectify"}
    given = {"reason_code": "x", "commitment": HEX, "field": "goods", "value": HEX}
    before = height(town.shell)
    for operation in (
        {**create, "data": {**data, "goods": "hello"}},
        {**rectify, "input": {**given, "commitment": "hello"}},
        {**rectify, "input": {**given, "value": "hello"}},
    ):
        submit = ("submit", "-", "--profile", "tom")
        error = town.shell.fails(2, *submit, stdin=json.dumps(operation))
        assert "want a commitment, 64 lower-case hex digits; nothing" in error["message"]
        assert "hello" not in error["message"]
        assert error["hint"] == "a commitment is 64 hex digits: muniment commit FILE"
    assert height(town.shell) == before
    fine = json.dumps({**create, "data": data})
    assert town.shell.ok("submit", "-", "--profile", "tom", stdin=fine)["status"] == "committed"
    fine = json.dumps({**rectify, "input": given})
    assert town.shell.ok("submit", "-", "--profile", "olga", stdin=fine)["status"] == "committed"


def test_a_refusal_names_its_reason_once(town: Town) -> None:
    record = applied(town.shell)
    check = ("do", "check", record, "--yes", "--profile", "olga")
    shown = town.shell.raw(*check)
    assert shown.exit_code == 4
    assert shown.stderr.count("WRONG_STATE") == 1
    assert town.shell.fails(4, *check)["reason"] == "WRONG_STATE"


def test_times_and_lists_are_for_people(town: Town) -> None:
    record = applied(town.shell)
    town.shell.ok(*pay(record, 1_950), "--yes", "--profile", "carl")
    refuse = ("do", "refuse", record, "reason_code=no-papers", "--yes", "--profile")
    task = town.shell.ok(*refuse, "otto")["pending"]
    error = town.shell.fails(4, "task", "sign", record, task, "--yes", "--profile", "carl")
    words = ": refuse is for 2 different persons who are officer, but not the trader (tom)"
    assert error["message"].endswith(words)
    town.shell.ok("task", "sign", record, task, "--yes", "--profile", "olga")
    data = town.shell.ok("record", "show", record)["record"]["data"]
    assert data["deciders"] == ["otto", "olga"]
    until = datetime.fromtimestamp(data["appeal_until"], UTC).strftime("%Y-%m-%dT%H:%M")
    for command in ("show", "history"):
        text = town.shell.raw("record", command, record).stdout
        assert "otto, olga" in text
        assert until in text
        assert str(data["appeal_until"]) not in text
        assert "[" not in text


def test_a_reader_that_goes_ends_the_command_silently(town: Town) -> None:
    record = applied(town.shell)
    command = f"{BIN}/muniment record show {record} | true; echo ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "MUNIMENT_CLIENT_HOME": str(town.shell.home)}
    done = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("141\n", "")


def test_a_service_whose_scenario_fails_is_not_proposed(town: Town, tmp_path: Path) -> None:
    folder = tmp_path / "market-stall"
    shutil.copytree(EXAMPLE, folder)
    script = folder / "scenario.yaml"
    script.write_text(script.read_text().replace("fee: 3100", "fee: 9", 1))
    propose = ("service", "propose", folder, "--proposal", "stalls-9", "--rationale", HEX)
    before = height(town.shell)
    error = town.shell.fails(1, *propose, "--profile", "treasury")
    assert error["reason"] == "SCENARIO_FAILED"
    assert "want fee 9, got 3100" in error["message"]
    assert "--untested" in error["hint"]
    script.unlink()
    assert "--untested" in town.shell.fails(3, *propose, "--profile", "treasury")["hint"]
    assert height(town.shell) == before


def test_acts_of_every_type_want_their_reasons(town: Town) -> None:
    record = applied(town.shell)
    rectify = ("do", "rectify", record, "field=goods", f"value={HEX}", f"commitment={HEX}")
    assert "reason_code" in town.shell.fails(2, *rectify, "--yes", "--profile", "olga")["message"]
    known = (*rectify, "reason_code=typo", "--yes", "--profile")
    assert town.shell.fails(4, *known, "tom")["reason"] == "NOT_AUTHORISED"
    assert town.shell.ok(*known, "olga")["state"] == "applied"
    order = ("do", "court_order", record, "reason_code=void", f"commitment={HEX}", "state=ended")
    assert town.shell.fails(2, *order, "--yes", "--profile", "olga")["reason"] == "ACT_UNKNOWN"


def test_an_old_record_shows_by_which_version_it_acts(town: Town) -> None:
    found = town.shell.ok("record", "list", "market-stall-permit", "--profile", "tom")["items"]
    old = next(item["id"] for item in found if item["def"] == "market-stall@1")
    shown = town.shell.raw("record", "show", old, "--profile", "tom")
    assert "market-stall@1, acts by 2  version" in shown.stdout


def test_a_role_is_revoked(town: Town) -> None:
    shell = town.shell
    role = "market-stall.cashier"
    shell.ok("gov", "grant", role, "olga", "--profile", "health-agency")
    assert shell.fails(4, "gov", "revoke", role, "olga", "--profile", "tom")["reason"] == (
        "NOT_AUTHORISED"
    )
    shell.ok("gov", "revoke", role, "olga", "--profile", "health-agency")
    gone = shell.fails(4, "gov", "revoke", role, "olga", "--profile", "health-agency")
    assert gone["reason"] == "GRANT_UNKNOWN"


def joined(town: Town, folder: Path) -> None:
    """A municipality of the guide: an agency that a quorum took in, without a validator."""
    shell, net, key = town.shell, town.net, folder / "municipality.jwk"
    shell.ok("id", "new", key)
    signer = read_private_jwk(key).signer()
    assert isinstance(signer, Ed25519Signer)
    recovery = PrivateJwk.signing(secrets.token_bytes(32)).public
    operation = {
        **client_operation(net.chain, "municipality", signer),
        "kind": "agency",
        "title_code": "municipality",
        "recovery_key": recovery.to_json(),
    }
    file = folder / "agency.json"
    file.write_text(json.dumps(operation))
    of = ("--jti", "join-1", "--iss", "treasury")
    for agency in ("health-agency", "land-registry", "treasury"):
        shell.ok("approve", file, *of, "--add", "--profile", agency)
    shell.ok("submit", file, *of[:2], "--profile", "treasury")
    own = ("--party", "municipality", "--jwk", key)
    genesis = ("--genesis", net.home(0) / "genesis.json")
    shell.ok("profile", "add", "municipality", "--rpc", net.info.nodes[0].rpc, *genesis, *own)


def test_an_organisation_without_a_validator_does_what_the_guide_says(
    town: Town, tmp_path: Path
) -> None:
    shell = town.shell
    joined(town, tmp_path)
    as_it, root = ("--profile", "municipality"), ("--profile", "health-agency")
    shell.ok("id", "new", tmp_path / "clerk.jwk")
    shell.ok("id", "register", "clerk", tmp_path / "clerk.jwk", *as_it)
    assert shell.ok("id", "get", "clerk")["party"]["agency"] == "municipality"
    paper = tmp_path / "paper.txt"
    paper.write_text("a paper")
    (made,) = shell.ok("document", "register", paper, *root)["documents"]
    shell.ok("document", "attest", made["record"], *as_it)
    assert shell.ok("receipt", "verify", paper, *as_it)["valid"]
    # A role in its own matters, passed on to its people; no more than that.
    limited = ("--agency", "municipality")
    shell.ok("gov", "grant", "market-stall.officer", "municipality", *limited, "--delegable", *root)
    grant = ("gov", "grant", "market-stall.officer", "clerk", "--days", "9")
    shell.ok(*grant, *limited, *as_it)
    error = shell.fails(4, *grant, *as_it)
    assert "market-stall.officer is granted by health-agency" in error["message"]
    # The root of a role.
    body = tmp_path / "root.json"
    body.write_text('{"role": "market-stall.appeals-officer", "party": "municipality"}')
    propose = ("gov", "propose", "root-9", "--kind", "role-root", "--body", body)
    shell.ok(*propose, "--rationale", HEX, *root)
    for agency in ("land-registry", "treasury"):
        shell.ok("gov", "vote", "root-9", "--accept", "--profile", agency)
    shell.ok("document", "register", body, *root)  # the block in which it takes effect
    shell.ok("gov", "grant", "market-stall.appeals-officer", "clerk", *as_it)
    # No vote.
    for command in (("gov", "vote", "root-9", "--accept"), (*propose, "--rationale", HEX)):
        error = shell.fails(4, *command, *as_it)
        assert error["message"].endswith("only agencies that run a validator propose and vote")


def test_a_proposal_without_effect_says_why(town: Town, tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text('{"service": "market-stall", "from": 1, "to": 2}')
    propose = ("gov", "propose", "stalls-5", "--kind", "migrate", "--body", body)
    error = town.shell.fails(4, *propose, "--rationale", HEX, "--profile", "treasury")
    assert error["reason"] == "PROPOSAL_INVALID"
    assert "want service, source and target" in error["message"]
