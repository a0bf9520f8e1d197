"""The guide for authors, docs/services/authoring.md, followed word for word on a real network."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.guide import Block, Typist, blocks, follow, missing
from tests.integration.network import Net
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
    assert town.shell.fails(4, *command, "tom")["reason"] == "NOT_AUTHORISED"
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
    town.shell.fails(2, "do", "fly", record, "--yes", "--profile", "carl")


def test_acts_of_every_type_want_their_reasons(town: Town) -> None:
    record = applied(town.shell)
    rectify = ("do", "rectify", record, "field=goods", f"value={HEX}", f"commitment={HEX}")
    assert "reason_code" in town.shell.fails(2, *rectify, "--yes", "--profile", "olga")["message"]
    known = (*rectify, "reason_code=typo", "--yes", "--profile")
    assert town.shell.fails(4, *known, "tom")["reason"] == "NOT_AUTHORISED"
    assert town.shell.ok(*known, "olga")["state"] == "applied"
    order = ("do", "court_order", record, "reason_code=void", f"commitment={HEX}", "state=ended")
    assert town.shell.fails(4, *order, "--yes", "--profile", "olga")["reason"] == "NOT_AUTHORISED"


def test_a_proposal_without_effect_says_why(town: Town, tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text('{"service": "market-stall", "from": 1, "to": 2}')
    propose = ("gov", "propose", "stalls-5", "--kind", "migrate", "--body", body)
    error = town.shell.fails(4, *propose, "--rationale", HEX, "--profile", "treasury")
    assert error["reason"] == "PROPOSAL_INVALID"
    assert "want service, source and target" in error["message"]
