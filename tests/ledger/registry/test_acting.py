"""The doors: waiting acts, approvals, conflicts, universal acts, timers, migration."""

from __future__ import annotations

from typing import Any

import pytest

from ledger import canonical
from ledger.state import State
from node.authoring.stage import Stage
from tests.services.hostile import definition

SOURCE = """
service: club
version: 1
title: club
roles: {clerk: {}, judge: {}}
types:
  case:
    fields:
      owner: party
      paper: commitment
      number: {kind: integer, required: false}
      rank: integer!
    states: [open, held, shut]
    final: [shut]
    universal:
      rectify: role(clerk)
      error_declaration: role(clerk)
      court_order: count(2, role(judge))
    transitions:
      create: {to: open, by: party(owner) and role(clerk), if: {positive: "!has(data.number) || data.number > 0"}}
      sign: {from: open, to: open, by: role(clerk) and role(judge), if: {numbered: has(data.number)}, do: [{set: {field: rank, value: 1}}]}
      plan: {from: open, to: open, by: role(clerk), input: {at: integer}, do: [{timer: {name: ring, at: input.at}}]}
      drop: {from: open, to: open, by: role(clerk), do: [{cancel: {name: ring}}]}
      ring: {from: open, to: open, auto: true, if: {numbered: has(data.number)}, do: [{set: {field: rank, value: 7}}]}
      hold: {from: open, to: held, by: role(clerk)}
      shut: {from: [open, held], to: shut, by: role(clerk)}
  keeper:
    fields:
      case: {kind: record, types: [club-case]}
    states: [open]
    final: [open]
    transitions:
      create: {to: open, by: role(clerk), do: [{lock: {record: data.case, name: kept}}]}
"""  # noqa: E501
PAPER = "ab" * 32
NOTE = {"reason_code": "error", "commitment": "cd" * 32}


def marks_apart(state: State) -> dict[bytes, bytes]:
    """A state without the replay marks."""
    return {k: v for k, v in state.scan(b"") if not k.startswith((b"smark/", b"r", b"m", b"n"))}


class Club:
    """A stage with the club, its clerks and its judges."""

    def __init__(self, source: str = SOURCE) -> None:
        self.stage = Stage()
        assert self.stage.activate(definition(source))["reason"] == ""
        for party in ("ann", "ben", "eve"):
            self.stage.add_party(party, "town")
            self.stage.grant("club.clerk", party)
        for party in ("jim", "joe"):
            self.stage.add_party(party, "court")
            self.stage.grant("club.judge", party)
        self.stage.add_party("tom", "town")

    def run(self, by: str, op: str, **members: Any) -> dict[str, Any]:
        return self.stage.run(by, [{"op": op, **members}])

    def reason(self, by: str, op: str, **members: Any) -> str:
        """The reason of a refusal, which must leave no trace but the replay mark."""
        before = marks_apart(self.stage.state)
        entry = self.run(by, op, **members)
        if entry["reason"]:
            assert marks_apart(self.stage.state) == before
        return str(entry["reason"])

    def act(self, record: str, name: str, by: str = "ann", **given: Any) -> str:
        return self.reason(by, "record.act", id=record, transition=name, input=given)

    def begin(self, by: str = "ann", **data: Any) -> tuple[str, str]:
        """(record, pending id) of a creation that waits."""
        values = {"owner": "ann", "paper": PAPER, **data}
        entry = self.run(by, "record.create", type="club-case", version=1, data=values)
        assert entry["reason"] == "", entry
        return entry["results"][0]["record"], entry["results"][0]["pending"]

    def approve(self, by: str, record: str, pending: str) -> str:
        return self.reason(by, "record.approve", id=record, pending=pending)

    def case(self, **data: Any) -> str:
        record, pending = self.begin(**data)
        assert self.approve("ben", record, pending) == ""
        return record

    def value(self, record: str) -> dict[str, Any]:
        value: dict[str, Any] = self.stage.value(f"record/{record}")
        return value

    def timers(self, seconds: int) -> list[tuple[str, str, str]]:
        return [(e["name"], e["status"], e["reason"]) for e in self.stage.advance(seconds)]

    def now(self) -> int:
        return self.stage.time_ms // 1000


def test_a_creation_waits_and_is_approved() -> None:
    club = Club()
    record, pending = club.begin()
    assert club.value(record) is None
    assert club.approve("ann", record, pending) == "ALREADY_SIGNED"
    assert club.approve("tom", record, pending) == "NOT_AUTHORISED"
    assert club.approve("ben", record, "0" * 16) == "PENDING_UNKNOWN"
    assert club.approve("ben", record, pending) == ""
    assert club.value(record)["party"] == "ann"
    assert club.approve("eve", record, pending) == "PENDING_UNKNOWN"


def test_a_waiting_act_expires() -> None:
    club = Club()
    record, pending = club.begin()
    club.stage.advance(30 * 86_400)
    assert club.approve("ben", record, pending) == "PENDING_EXPIRED"


def test_a_waiting_creation_of_a_suspended_version_is_refused() -> None:
    club = Club()
    record, pending = club.begin()
    club.stage.govern("suspend", {"service": "club", "version": 1})
    assert club.approve("ben", record, pending) == "DEFINITION_SUSPENDED"


def test_what_could_not_be_done_now_is_refused_before_anybody_signs_in_vain() -> None:
    club = Club()
    data = {"owner": "ann", "paper": PAPER, "number": 0}
    entry = club.run("ann", "record.create", type="club-case", version=1, data=data)
    assert (entry["reason"], entry["results"]) == ("GUARD_FAILED", [{"guard": "positive"}])
    assert club.act(club.case(), "sign") == "GUARD_FAILED"


def test_a_waiting_act_of_an_older_revision_conflicts() -> None:
    club = Club()
    record = club.case(number=1)
    entry = club.run("ann", "record.act", id=record, transition="sign", input={})
    pending = entry["results"][0]["pending"]
    assert entry["results"][0]["signers"] == ["ann"]
    assert club.act(record, "plan", at=club.now() + 9) == ""
    assert club.approve("jim", record, pending) == "CONFLICT"


def test_expect_revision() -> None:
    club = Club()
    record = club.case()
    entry = club.run("ann", "record.act", id=record, transition="hold", input={}, expect_revision=5)
    assert (entry["reason"], entry["results"]) == ("CONFLICT", [{"revision": 0}])
    entry = club.run("ann", "record.act", id=record, transition="hold", input={}, expect_revision=0)
    assert entry["results"] == [{"record": record, "seq": 1, "state": "held"}]
    assert club.act(record, "hold") == "WRONG_STATE"


def test_more_than_eight_signers_are_not_collected() -> None:
    club = Club()
    record = club.case(number=1)
    entry = club.run("ann", "record.act", id=record, transition="sign", input={})
    pending = entry["results"][0]["pending"]
    for index in range(7):
        club.stage.add_party(f"c{index}", "town")
        club.stage.grant("club.clerk", f"c{index}")
        assert club.approve(f"c{index}", record, pending) == ""
    assert club.approve("jim", record, pending) == "TOO_MANY_SIGNERS"


@pytest.mark.parametrize(
    ("name", "given", "reason"),
    [
        ("rectify", {**NOTE, "field": "paper", "value": "zz"}, "INPUT_INVALID"),
        ("rectify", {**NOTE, "field": "owner", "value": PAPER}, "FIELD_NOT_RECTIFIABLE"),
        ("rectify", {**NOTE, "field": "nothing", "value": PAPER}, "INPUT_INVALID"),
        ("rectify", {**NOTE, "state": "shut"}, "INPUT_INVALID"),
        ("error_declaration", {"commitment": PAPER}, "INPUT_INVALID"),
        ("error_declaration", {"reason_code": "x"}, "INPUT_INVALID"),
        ("error_declaration", {**NOTE, "field": "paper"}, "INPUT_INVALID"),
        ("court_order", {**NOTE, "state": "gone"}, "INPUT_INVALID"),
        ("court_order", {**NOTE, "unlock": 1}, "INPUT_INVALID"),
        ("court_order", NOTE, "NOT_AUTHORISED"),
    ],
)
def test_universal_acts_refuse(name: str, given: dict[str, Any], reason: str) -> None:
    club = Club()
    assert club.act(club.case(), name, **given) == reason


def test_universal_acts_are_noted_for_ever() -> None:
    club = Club()
    record = club.case()
    assert club.act(record, "rectify", **NOTE, field="paper", value="ef" * 32) == ""
    assert club.value(record)["data"]["paper"] == "ef" * 32
    assert club.act(record, "plan", at=club.now() + 9) == ""
    entry = club.run(
        "jim", "record.act", id=record, transition="court_order", input={**NOTE, "state": "shut"}
    )
    assert club.approve("joe", record, entry["results"][0]["pending"]) == ""
    value = club.value(record)
    assert (value["state"], value["timers"]) == ("shut", {})
    assert [note["act"] for note in value["acts"]] == ["rectify", "court_order"]
    assert value["acts"][1]["signers"] == ["jim", "joe"]
    for _ in range(46):  # the last 16 are for courts
        assert club.act(record, "error_declaration", **NOTE) == ""
    assert club.act(record, "error_declaration", **NOTE) == "ACTS_FULL"
    keeper = SOURCE.replace("error_declaration: role(clerk)", "").replace("club", "pub")
    assert definition(keeper).types["case"].universal.keys() == {"rectify", "court_order"}


def test_a_locked_record_takes_no_act_but_a_courts() -> None:
    club = Club()
    record = club.case(number=1)
    assert club.act(record, "plan", at=club.now() + 5) == ""
    lock = {"type": "club-keeper", "version": 1, "data": {"case": record}}
    assert club.reason("ann", "record.create", **lock) == ""
    assert club.reason("ann", "record.create", **lock) == "LOCKED"
    assert club.act(record, "hold") == "LOCKED"
    assert club.act(record, "error_declaration", **NOTE) == "LOCKED"
    # Its timer waits a day, and again, until the lock is gone.
    assert club.timers(6) == [("ring", "refused", "LOCKED")]
    assert club.value(record)["timers"]["ring"] == club.now() + 86_400
    entry = club.run(
        "jim", "record.act", id=record, transition="court_order", input={**NOTE, "unlock": True}
    )
    assert club.approve("joe", record, entry["results"][0]["pending"]) == ""
    assert club.timers(86_400) == [("ring", "fired", "")]
    assert club.value(record)["data"]["rank"] == 7


def test_a_refused_timer_is_gone_and_can_be_set_anew() -> None:
    club = Club()
    record = club.case()
    at = club.now() + 5
    assert club.act(record, "plan", at=at) == ""
    assert club.timers(6) == [("ring", "refused", "GUARD_FAILED")]
    assert club.value(record)["timers"] == {}
    assert club.timers(6) == []
    assert club.act(record, "plan", at=at) == ""
    assert club.timers(1) == [("ring", "refused", "GUARD_FAILED")]


def test_a_cancelled_timer_does_not_fire_and_a_new_time_replaces_the_old() -> None:
    club = Club()
    first, second = club.case(number=1), club.case(number=1)
    for record in (first, second):
        assert club.act(record, "plan", at=club.now() + 5) == ""
    assert club.act(first, "drop") == ""
    assert club.act(second, "plan", at=club.now() + 50) == ""
    assert club.timers(9) == []
    assert club.timers(50) == [("ring", "fired", "")]


def test_timers_fire_by_due_time_and_then_by_record() -> None:
    club = Club()
    records = [club.case(number=1) for _ in range(5)]
    now = club.now()
    for place, record in enumerate(records):
        assert club.act(record, "plan", at=now + (30 if place == 0 else 20)) == ""
    fired = [entry["record"] for entry in club.stage.advance(60)]
    assert fired == [*sorted(records[1:]), records[0]]


def test_timers_outlive_a_suspension() -> None:
    club = Club()
    record = club.case(number=1)
    assert club.act(record, "plan", at=club.now() + 5) == ""
    club.stage.govern("suspend", {"service": "club", "version": 1})
    assert club.act(record, "hold") == "DEFINITION_SUSPENDED"
    data = {"owner": "ann", "paper": PAPER}
    create = {"type": "club-case", "version": 1, "data": data}
    assert club.reason("ann", "record.create", **create) == "DEFINITION_SUSPENDED"
    assert club.timers(6) == [("ring", "refused", "DEFINITION_SUSPENDED")]
    club.stage.govern("resume", {"service": "club", "version": 1})
    assert club.timers(86_400) == [("ring", "fired", "")]


def outcome(club: Club, kind: str, body: dict[str, Any]) -> str:
    """Why a proposal has no effect, at once or later; empty when it has one."""
    result = club.stage.govern(kind, body)["results"][0]
    if "problem" in result:
        return str(result["problem"])
    proposal = result["proposal"]
    return str(club.stage.value(f"proposal/{proposal}")["outcome"])


def activate(club: Club, source: str) -> str:
    body = {"definition": canonical.decode(definition(source).encode())}
    return outcome(club, "activate", body)


def version(number: int, *changes: tuple[str, str]) -> str:
    """The club's source as another version, with some changes."""
    text = SOURCE.replace("version: 1", f"version: {number}")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def test_a_migration_lets_old_records_act_by_new_rules() -> None:
    club = Club()
    record = club.case(number=1)
    assert club.act(record, "plan", at=club.now() + 5) == ""
    by_people = version(
        2,
        (
            "ring: {from: open, to: open, auto: true,",
            "ring: {from: open, to: open, by: role(judge),",
        ),
        ("[{timer: {name: ring, at: input.at}}]", "[{set: {field: rank, value: 3}}]"),
        ("[{cancel: {name: ring}}]", "[{set: {field: rank, value: 4}}]"),
    )
    assert activate(club, by_people) == ""
    assert club.act(record, "ring", by="jim") == "NOT_AUTHORISED"
    assert outcome(club, "migrate", {"service": "club", "source": 1, "target": 2}) == ""
    # Its timer was set under rules by which time did it; now people do.
    assert club.timers(6) == [("ring", "refused", "NOT_AUTO")]
    assert club.act(record, "ring", by="jim") == ""
    assert club.value(record)["def"] == "club@1"
    data = {"owner": "ann", "paper": PAPER}
    create = {"type": "club-case", "version": 1, "data": data}
    assert club.reason("ann", "record.create", **create) == "VERSION_NOT_CURRENT"


def test_values_of_a_migrated_record_are_measured_by_the_rules_it_acts_by() -> None:
    """Those of other records were, when they were written, and are not measured again."""
    club = Club()
    small, large = club.case(number=1), club.case(number=9)
    narrow = version(2, ("{kind: integer, required: false}", NARROW))
    assert activate(club, narrow) == ""
    assert club.act(large, "hold") == ""  # still by the first version
    assert outcome(club, "migrate", {"service": "club", "source": 1, "target": 2}) == ""
    assert club.act(small, "hold") == ""
    assert club.act(large, "shut") == "DATA_INVALID"


NARROW = "{kind: integer, required: false, maximum: 5}"
COUNTED = (
    "    universal:\n",
    "    aggregates:\n      kept: {type: keeper, link: case, states: [open]}\n    universal:\n",
)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ([("held", "kept")], "STATES_MISSING"),
        ([("  keeper:", "  guard:")], "STATES_MISSING"),
        ([("number", "figure")], "FIELDS_DIFFER"),
        ([("paper: commitment", "paper: hash")], "FIELDS_DIFFER"),
        ([("integer, required: false}", "integer}")], "FIELDS_DIFFER"),
        ([COUNTED], "AGGREGATES_DIFFER"),
        ([("    universal:\n", "    indexes: [number]\n    universal:\n")], "INDEXES_DIFFER"),
    ],
)
def test_a_migration_that_records_cannot_follow(
    changes: list[tuple[str, str]], wanted: str
) -> None:
    club = Club()
    text = version(2, *changes)
    if wanted == "FIELDS_DIFFER" and "paper" in changes[0][0]:
        text = text.replace("rectify: role(clerk)", "")
    assert activate(club, text) == ""
    assert outcome(club, "migrate", {"service": "club", "source": 1, "target": 2}) == wanted


def test_versions_only_rise() -> None:
    club = Club()
    assert activate(club, version(3)) == ""
    assert activate(club, version(2)) == "VERSION_NOT_RISING"
    assert activate(club, version(3)) == "VERSION_NOT_RISING"
