"""Lists longer than a page, proposals taken back and acts of several, through the command line."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger import canonical
from ledger.ids import PartyId
from ledger.records import record_id
from node.commands import pages
from tests.builders import signer
from tests.integration.network import Net, client_operation, document, network
from tests.integration.shell import Shell
from tests.services.hostile import SOURCE, definition

pytestmark = pytest.mark.process
MANY = 112
"""More than two pages of 50, and more than one of 100."""
BATCH = 16
"""Operations in one transaction, and open proposals of one agency."""
TREASURY, LAND, HEALTH = "treasury", "land-registry", "health-agency"
HEX = "ab" * 32
VISIT = """
  visit:
    fields:
      owner: party
      host: party
      on: time
      later: {kind: list, required: false, max: 4, items: time}
    states: [open]
    final: [open]
    transitions:
      create: {to: open, by: party(owner) and party(host)}
"""
PAIR = SOURCE.replace(
    "shut: {from: open, to: shut, by: party(owner)}",
    "shut: {from: open, to: shut, by: 'party(owner) and is(input.with)', input: {with: party,"
    " on: {kind: time, required: false}, codes: {kind: list, required: false, items: code}}}\n"
    "      wait: {from: open, to: open, by: party(owner),"
    " do: [{timer: {name: ring, at: now + 86400}}]}",
)


def batched(net: Net, operations: list[dict[str, Any]], party: str = TREASURY) -> list[Any]:
    """Results of operations, as many in a transaction as may be."""
    results: list[Any] = []
    for first in range(0, len(operations), BATCH):
        fate = net.commit(net.sign(party, *operations[first : first + BATCH]))
        assert fate["status"] == "committed", fate
        results += net.call(0, "tx_get", id=fate["id"])["entry"]["results"]
    return results


def proposal(name: str, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "op": "gov.propose",
        "proposal": name,
        "kind": kind,
        "body": body,
        "rationale": HEX,
        "effective_height": 0,
        "until": int(time.time()) + 3_600,
    }


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    """A network with a service, many boxes, each of whose acts waits and whose timer runs, and
    many proposals that were taken back."""
    with network(tmp_path_factory.mktemp("lists")) as running:
        made = canonical.decode(definition(PAIR + VISIT).encode())
        batched(running, [proposal("odd", "activate", {"definition": made})])
        for agency in (LAND, HEALTH):
            batched(running, [{"op": "gov.vote", "proposal": "odd", "accept": True}], agency)
        batched(running, [document(1)])
        data = {"owner": TREASURY}
        create = {"op": "record.create", "type": "odd-box", "version": 1, "data": data}
        boxes = [item["record"] for item in batched(running, [create] * MANY)]
        for act, given in (("wait", {}), ("shut", {"with": LAND})):
            operations = [
                {"op": "record.act", "id": box, "transition": act, "input": given} for box in boxes
            ]
            batched(running, operations)
        worked = {"op": "record.act", "id": max(boxes), "transition": "work", "input": {}}
        batched(running, [worked] * MANY)
        body = {"parameters": {"effects_max": 96}}
        for first in range(0, MANY, BATCH):
            names = [f"p-{number:03}" for number in range(first, first + BATCH)]
            batched(running, [proposal(name, "parameter", body) for name in names])
            batched(running, [{"op": "gov.withdraw", "proposal": name} for name in names])
        running.wait_equal()
        yield running


@pytest.fixture(scope="module")
def shell(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Profiles of three agencies; the treasury's is in use."""
    made = Shell(net, tmp_path_factory.mktemp("client"))
    for party in (TREASURY, LAND, HEALTH):
        made.ok("profile", "add", party, "--info-file", net.folder / "net.json", "--party", party)
    return made


def whole(shell: Shell, *command: str, member: str = "items") -> list[Any]:
    """A list to its end in one go; in parts of 50 and of 60 it is the same."""
    found = shell.ok(*command)
    assert (found["next_cursor"], found["moved"]) == (None, False)
    items: list[Any] = found[member]
    for limit in (50, 60):
        parts: list[Any] = []
        page = shell.ok(*command, "--limit", str(limit))
        while True:
            assert len(page[member]) <= limit
            parts += page[member]
            following = page["next_cursor"]
            if following is None:
                break
            told = shell.raw(*command, "--limit", str(limit)).stdout.splitlines()
            assert len(told) == limit + 1
            assert told[-1].startswith("there is more; go on with: --cursor ")
            page = shell.ok(*command, "--limit", str(limit), "--cursor", following)
        assert parts == items
    assert len(shell.raw(*command).stdout.splitlines()) == len(items)
    assert shell.fails(2, *command, "--cursor", "nonsense")["reason"] == "CURSOR_INVALID"
    return items


def test_all_proposals(shell: Shell) -> None:
    names = [item["id"] for item in whole(shell, "gov", "list")]
    assert names == ["odd", *(f"p-{number:03}" for number in range(MANY))]


def test_all_that_waits_and_all_that_is_due(shell: Shell) -> None:
    tasks = whole(shell, "task", "list", "--party", LAND)
    assert len({task["record"] for task in tasks}) == MANY - 1  # one moved on since, in vain
    assert shell.raw("task", "list").stdout == "nothing waits\n"
    timers = whole(shell, "record", "deadlines")
    assert len({timer["record"] for timer in timers}) == MANY
    assert shell.raw("record", "deadlines", "--days", "0").stdout == "nothing is due\n"


def test_all_records_and_every_version(shell: Shell) -> None:
    records = whole(shell, "record", "list", "odd-box")
    assert len(records) == MANY
    assert records == whole(shell, "record", "list", "odd-box", "--where", f"owner={TREASURY}")
    versions = whole(shell, "record", "history", records[-1]["id"], member="versions")
    assert [version["seq"] for version in versions] == list(range(MANY + 2))
    told = shell.raw("record", "history", records[-1]["id"]).stdout.splitlines()
    assert f"{TREASURY} work" in told[-1]


def test_a_document_is_shown_as_it_stands(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    (deed,) = shell.ok("record", "list", "permit")["items"]
    shell.ok("document", "attest", deed["id"], "--profile", LAND)
    shell.ok("document", "revoke", deed["id"], "--reason-code", "mistake")
    monkeypatch.setattr(pages, "PAGE", 1)  # no document has more than 66 versions
    shown = shell.ok("document", "show", deed["id"])
    assert [version["seq"] for version in shown["versions"]] == [0, 1, 2]
    assert shown["record"]["state"] == "revoked"
    assert f"{deed['id']}  revoked" in shell.raw("document", "show", deed["id"]).stdout
    box = shell.ok("record", "list", "odd-box", "--limit", "1")["items"][0]["id"]
    error = shell.fails(3, "document", "show", box)
    assert (error["reason"], error["hint"]) == ("NO_DOCUMENT", f"muniment record history {box}")
    error = shell.fails(2, "do", "work", deed["id"], "--yes")
    assert error["reason"] == "NOT_OF_A_SERVICE"


def test_an_empty_list_says_what_there_is(shell: Shell) -> None:
    assert shell.raw("record", "list", "odd-box", "--state", "shut").stdout == "none\n"
    assert shell.raw("record", "list", "odd-box", "--where", f"owner={LAND}").stdout == "none\n"
    for command, code, reason, named in (
        (("odd-bax",), 3, "TYPE_UNKNOWN", "odd-box, odd-slip"),
        (("deed",), 3, "TYPE_UNKNOWN", "odd-box, odd-slip"),
        (("odd-box", "--state", "closed"), 2, "STATE_UNKNOWN", "open, shut"),
        (("odd-box", "--where", "number=1"), 2, "NOT_INDEXED", "owner"),
        (("odd-slip", "--where", "box=1"), 2, "NOT_INDEXED", "none"),
        (("permit", "--state", "registered"), 2, "NOT_INDEXED", "by type alone"),
        (("odd-box", "--where", "owner"), 2, "LOOKUP", "indexed-field=value"),
        (("odd-box", "--where", "owner=x", "--state", "open"), 2, "LOOKUP", "not both"),
    ):
        error = shell.fails(code, "record", "list", *command)
        assert error["reason"] == reason, error
        assert named in error["message"], error
    error = shell.fails(3, "do", "create", "odd-bax", "--yes")
    assert "odd-box, odd-slip" in error["message"]
    assert shell.raw("service", "list").stdout == "odd@1  active\n"


# ----- acts of several


def test_a_task_is_shown_signed_and_gone(shell: Shell) -> None:
    task = shell.ok("task", "list", "--profile", LAND, "--limit", "1")["items"][0]
    where = (task["record"], task["pending"])
    shown = shell.ok("task", "show", *where)["task"]
    assert (shown["transition"], shown["status"], shown["signers"]) == (
        "shut",
        "waiting",
        [TREASURY],
    )
    told = shell.raw("task", "show", *where)
    for words in (f"shut on {task['record']}  waiting", f"signed by {TREASURY}", LAND):
        assert words in told.stdout
    assert f"muniment task sign {' '.join(where)}" in told.stderr
    assert shell.fails(2, "task", "sign", *where, "--profile", LAND)["reason"] == "NOT_CONFIRMED"
    again = shell.fails(4, "task", "sign", *where, "--yes")
    assert again["reason"] == "ALREADY_SIGNED"
    stranger = shell.fails(4, "task", "sign", *where, "--yes", "--profile", HEALTH)
    assert stranger["reason"] == "NOT_AUTHORISED"
    assert shell.ok("record", "show", task["record"])["record"]["state"] == "open"
    done = shell.ok("task", "sign", *where, "--yes", "--profile", LAND)
    assert (done["record"], done["state"]) == (task["record"], "shut")
    assert where not in {(item["record"], item["pending"]) for item in waiting(shell)}
    for command in ("show", "sign"):
        error = shell.fails(3, "task", command, *where)
        assert (error["reason"], "task list" in error["hint"]) == ("PENDING_UNKNOWN", True)


def waiting(shell: Shell) -> list[Any]:
    found: list[Any] = shell.ok("task", "list", "--profile", LAND)["items"]
    return found


def test_an_act_of_two_from_its_beginning(shell: Shell) -> None:
    made = shell.ok("do", "create", "odd-box", f"owner={TREASURY}", "--yes")
    begun = shell.ok("do", "shut", made["record"], f"with={LAND}", "--yes")
    assert begun["record"] == made["record"]
    mine = [task for task in waiting(shell) if task["record"] == made["record"]]
    assert [task["pending"] for task in mine] == [begun["pending"]]
    text = shell.raw("task", "sign", made["record"], begun["pending"], "--yes", "--profile", LAND)
    assert (text.exit_code, f"{made['record']} is shut" in text.stdout) == (0, True)
    assert f"with {LAND}" in text.stderr, "who signs is shown what"


def test_what_waits_is_told_for_people(shell: Shell) -> None:
    noon, day = 1_774_958_400, "2026-03-31T12:00Z"
    box = shell.ok("do", "create", "odd-box", f"owner={TREASURY}", "--yes")["record"]
    shut = (f"with={LAND}", f"on={day}", "codes=no-papers,late")
    visit = (f"owner={TREASURY}", f"host={LAND}", f"on={day}", "later=2027-01-01,2028-01-01")
    shown = (
        (("shut", box, *shut), {"codes": "no-papers, late"}),
        (("create", "odd-visit", *visit), {"later": "2027-01-01T00:00Z, 2028-01-01T00:00Z"}),
    )
    for command, others in shown:
        begun = shell.ok("do", *command, "--yes")
        where = (begun["record"], begun["pending"])
        assert shell.ok("task", "show", *where)["task"]["input"]["on"] == noon, "for programs"
        told = shell.raw("task", "show", *where).stdout
        signed = shell.raw("task", "sign", *where, "--yes", "--profile", LAND)
        assert signed.exit_code == 0, signed.stderr
        lines = {name: text.strip() for name, text in map(_field, told.splitlines()[2:])}
        assert {"on": day, **others}.items() <= lines.items()
        for text in (told, signed.stderr):
            assert day in text
            assert str(noon) not in text
            assert "[" not in text
        assert shell.fails(3, "task", "show", *where)["reason"] == "PENDING_UNKNOWN"


def _field(line: str) -> tuple[str, str]:
    name, _, text = line.strip().partition(" ")
    return name, text


# ----- operations that somebody wrote


def height(shell: Shell) -> int:
    return int(shell.ok("status")["height"])


def box(**change: Any) -> dict[str, Any]:
    """record.create"""
    data = {"owner": TREASURY, **change}
    return {"op": "record.create", "type": "odd-box", "version": 1, "data": data}


def act(record: str, transition: str, **given: Any) -> dict[str, Any]:
    """record.act"""
    return {"op": "record.act", "id": record, "transition": transition, "input": given}


def test_operations_may_build_on_those_before(shell: Shell, net: Net) -> None:
    first = record_id("odd-box", net.chain, PartyId(TREASURY), "built", 1)
    operations = [
        client_operation(net.chain, "fresh", signer("fresh")),
        box(number=None),
        box(other=first, items=[1, 2]),
        act(first, "work"),
        act(first, "shut", **{"with": "fresh"}),
    ]
    done = shell.ok("submit", "-", "--jti", "built", stdin=json.dumps(operations))
    assert done["status"] == "committed"
    assert shell.ok("record", "show", first)["record"]["seq"] == 1
    assert shell.ok("submit", "-", stdin=json.dumps(act(first, "work")))["status"] == "committed"


def test_values_are_checked_before_they_are_signed(shell: Shell, net: Net) -> None:
    made = shell.ok("do", "create", "odd-box", f"owner={TREASURY}", "--yes")["record"]
    (deed, *_) = shell.ok("record", "list", "permit")["items"]
    unknown = f"odd-box/{'0' * 32}"
    before = height(shell)
    for operation, code, reason, message in (
        (box(number="1"), 2, "VALUE", "ops[0].data.number: want a whole number from -9007"),
        (box(owner="nobody"), 2, "VALUE", "ops[0].data.owner: want a party that the ledger knows"),
        (box(other=unknown), 2, "VALUE", "ops[0].data.other: want the id of a record of type"),
        (box(numbre=1), 2, "FIELD_UNKNOWN", "no field ops[0].data.numbre; there are: items, n"),
        (box(kept=1), 2, "FIELD_NOT_GIVEN", "ops[0].data.kept is set by the service's own acts"),
        ({**box(), "type": "odd-bax"}, 3, "TYPE_UNKNOWN", "no service has a type odd-bax"),
        ({**box(), "version": 2}, 3, "SERVICE_UNKNOWN", "no such service or version"),
        ({**box(), "data": "x"}, 2, "OPERATION_INVALID", "ops[0]: data: want"),
        ([box(), box(items=["x"])], 2, "VALUE", "ops[1].data.items: want at most 4 values"),
        (act(made, "shut", **{"with": "nobody"}), 2, "VALUE", "ops[0].input.with: want a party"),
        (act(made, "shut"), 2, "FIELDS_MISSING", "missing: ops[0].input.with"),
        (act(made, "work", why="x"), 2, "FIELD_UNKNOWN", "no field ops[0].input.why; there are: n"),
        (act(made, "wrok"), 2, "ACT_UNKNOWN", "ops[0]: there is no act wrok; there are: knock, r"),
        (act(unknown, "work"), 3, "RECORD_UNKNOWN", "ops[0].id: no record has this id"),
        (act(deed["id"], "work"), 2, "NOT_OF_A_SERVICE", f"{deed['id']} is a document"),
        (act("odd-box", "work"), 2, "OPERATION_INVALID", "ops[0]: id: want a record id"),
    ):
        error = shell.fails(code, "submit", "-", stdin=json.dumps(operation))
        assert (error["reason"], error["message"][: len(message)]) == (reason, message), error
    hint = shell.fails(3, "submit", "-", stdin=json.dumps([box(), act(unknown, "work")]))["hint"]
    assert "--no-check" in hint
    assert height(shell) == before, "nothing was signed"
    refused = shell.fails(4, "submit", "-", "--no-check", stdin=json.dumps(box(number="1")))
    assert refused["reason"] == "DATA_INVALID"
    assert height(shell) > before
    genesis = ("--genesis", net.home(0) / "genesis.json")
    key = ("--party", TREASURY, "--jwk", net.folder / "clients" / f"{TREASURY}.jwk")
    shell.ok("profile", "add", "dead", "--rpc", "http://127.0.0.1:1", *genesis, *key)
    shell.fails(6, "submit", "-", "--profile", "dead", stdin=json.dumps(box()))


# ----- proposals


def test_a_proposal_is_taken_back(shell: Shell, tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"parameters": {"effects_max": 96}}))
    reasons = tmp_path / "reasons.txt"
    reasons.write_text("more effects")
    rationale = shell.ok("commit", reasons)["commitment"]
    common = ("--kind", "parameter", "--body", body, "--rationale", rationale)
    assert shell.ok("gov", "propose", "effects", *common)["status"] == "open"
    assert shell.fails(4, "gov", "withdraw", "effects", "--profile", LAND)["reason"] == (
        "NOT_AUTHORISED"
    )
    assert shell.ok("gov", "withdraw", "effects")["status"] == "withdrawn"
    assert shell.ok("gov", "get", "effects")["proposal"]["status"] == "withdrawn"
    error = shell.fails(4, "gov", "withdraw", "effects")
    assert (error["reason"], "gov get" in error["hint"]) == ("PROPOSAL_CLOSED", True)
    assert shell.fails(4, "gov", "withdraw", "nothing")["reason"] == "PROPOSAL_UNKNOWN"
    for change, reason in (
        (("--kind", "parameters"), "KIND_UNKNOWN"),
        (("--rationale", "because"), "RATIONALE_INVALID"),
        (("--body", tmp_path / "none"), "BODY_UNREADABLE"),
        (("--body", reasons), "BODY_UNREADABLE"),
    ):
        assert shell.fails(2, "gov", "propose", "x", *common, *change)["reason"] == reason
    assert shell.fails(2, "gov", "propose", "a/b", *common)["reason"] == "PROPOSAL_ID"


def test_more_proposals_than_an_agency_may_have(shell: Shell, net: Net, tmp_path: Path) -> None:
    body = {"parameters": {"effects_max": 96}}
    names = [f"full-{number}" for number in range(BATCH)]
    batched(net, [proposal(name, "parameter", body) for name in names])
    file = tmp_path / "body.json"
    file.write_text(json.dumps(body))
    more = ("gov", "propose", "one-more", "--kind", "parameter", "--body", file)
    error = shell.fails(4, *more, "--rationale", HEX)
    assert (error["reason"], "gov withdraw" in error["hint"]) == ("PROPOSALS_FULL", True)
    shell.ok("gov", "withdraw", names[0])
    assert shell.ok(*more, "--rationale", HEX)["status"] == "open"


def test_a_parameter_is_voted(shell: Shell, net: Net, tmp_path: Path) -> None:
    file = tmp_path / "body.json"
    file.write_text(json.dumps({"parameters": {"effects_max": 80}}))
    propose = ("gov", "propose", "eighty", "--kind", "parameter", "--body", file)
    shell.ok(*propose, "--rationale", HEX, "--profile", LAND)
    shell.ok("gov", "vote", "eighty", "--accept")
    assert shell.ok("gov", "vote", "eighty", "--accept", "--profile", HEALTH)["status"] == (
        "accepted"
    )
    batched(net, [document(2)])
    batched(net, [document(3)])
    value = json.loads(shell.ok("rpc", "state_get", "key=sys/parameters")["value"])
    assert value["effects_max"] == 80
