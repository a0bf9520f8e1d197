"""Cases in which the two interpreters once differed, as small as they came; what holds now."""

from __future__ import annotations

from typing import Any

from node.authoring.stage import Stage
from tests.services.folders import Service
from tests.services.histories import RecordingGround

DAY = 86_400
PROOF = "ab" * 32


def staffed(name: str, **roles: str) -> RecordingGround:
    """A service on a stage of its own; role -> who hold it, by commas."""
    stage = Stage()
    stage.activate(Service.load(name).definition)
    ground = RecordingGround(stage)
    for role, holders in roles.items():
        for holder in holders.split(","):
            ground.add_party(holder, "town")
            ground.grant(f"{name}.{role}", holder, None)
    return ground


def create(kind: str, **data: Any) -> dict[str, Any]:
    """record.create of version 1."""
    return {"op": "record.create", "type": kind, "version": 1, "data": data}


def act(record: str, name: str, **given: Any) -> dict[str, Any]:
    """record.act."""
    return {"op": "record.act", "id": record, "transition": name, "input": given}


def done(ground: RecordingGround, party: str, operation: dict[str, Any]) -> dict[str, Any]:
    """The result of an operation that must not be refused."""
    reason, result = ground.run(party, operation)
    assert not reason, (operation, reason, result)
    return result


def test_data_are_checked_before_anybody_else_is_asked_to_sign() -> None:
    """The reference let a mortgage of 0 wait for its second signature."""
    ground = staffed("land", surveyor="sue", cadastre="carl", registrar="rita,rob")
    for party in ("anna", "bank"):
        ground.add_party(party, "people")
    parcel = create("land-parcel", number="A-1", geometry=PROOF, area=900)
    parcel_id = done(ground, "sue", parcel)["record"]
    done(ground, "carl", act(parcel_id, "register"))
    title = done(ground, "rita", create("land-title", parcel=parcel_id, source=PROOF))["record"]
    done(ground, "rita", act(title, "allot", owner="anna", shares=1_000_000))
    done(ground, "rob", act(title, "open"))
    debt = {"title": title, "lender": "bank", "borrower": "anna", "contract": PROOF}
    refused = ground.run("bank", create("land-mortgage", **debt, amount=0))
    assert refused == ("DATA_INVALID", {"field": "amount"})
    assert "pending" in done(ground, "bank", create("land-mortgage", **debt, amount=1))


def test_a_timer_that_is_refused_leaves_a_version_without_it() -> None:
    """The reference took the timer away from the version that was there."""
    ground = staffed("casework", judge="jan,jill")
    ground.add_party("anna", "people")
    case = {"applicant": "anna", "procedure": "building-permit", "file": PROOF}
    record = done(ground, "anna", create("casework-case", **case))["record"]
    order = {"reason_code": "urgent", "commitment": PROOF, "state": "decided"}
    waiting = done(ground, "jan", act(record, "court_order", **order))
    signed = {"op": "record.approve", "id": record, "pending": waiting["pending"]}
    assert done(ground, "jill", signed)["seq"] == 1
    entries = ground.advance(8 * DAY)
    assert [(e["name"], e["status"], e["reason"]) for e in entries] == [
        ("escalate", "refused", "WRONG_STATE")
    ]
    value = ground.value(f"record/{record}")
    assert (value["seq"], value["state"], value["timers"]) == (2, "decided", {})
    assert ground.advance(30 * DAY) == []
