"""Cases in which the two interpreters once differed, as small as they came; what holds now.

And references that lack a rule of versions, suspensions, migrations or grants for one agency: the
play must tell each of them from the chain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from node.authoring.stage import Stage
from tests.services import reference, relief
from tests.services.folders import Service
from tests.services.histories import RecordingGround
from tests.services.play import STEPS, failure
from tests.services.reference import UNIVERSAL, World
from tests.services.reference_rules import Refusing

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


# ----- references that lack a rule

Patch = Callable[[pytest.MonkeyPatch], None]
EXACT_CREATE, EXACT_OBSTACLES, EXACT_EFFECT = World.create, World._obstacles, World._create


def put(name: str, rule: Any) -> Patch:
    """Another rule in place of one of the reference's."""
    return lambda patch: patch.setattr(World, name, rule)


def passing(*reasons: str) -> Patch:
    """Timers are put off for these reasons only."""
    return lambda patch: patch.setattr(reference, "PASSING", reasons)


def unsuspended(name: str, when: Callable[..., bool] = lambda *given: True) -> Patch:
    """One of the reference's doors or effects, when it is used so, sees no suspension."""
    exact = getattr(World, name)

    def blind(self: World, *given: Any) -> Any:
        if not when(*given):
            return exact(self, *given)
        known, self.suspended = self.suspended, set()
        try:
            return exact(self, *given)
        finally:
            self.suspended = known

    return put(name, blind)


def allowing(problem: str) -> Patch:
    """Migrations for which one problem is none."""
    exact = World._obstacles
    return put("_obstacles", lambda self, one, two: exact(self, one, two) - {problem})


def pinned_in_force(self: World, value: dict[str, Any]) -> dict[str, Any]:
    """Suspended is who pins a suspended version, whatever it acts by."""
    return suspended_by(self, value, value["version"])


def current_in_force(self: World, value: dict[str, Any]) -> dict[str, Any]:
    """Suspended is a service as a whole, with its current version."""
    return suspended_by(self, value, self.current)


def suspended_by(world: World, value: dict[str, Any], version: int) -> dict[str, Any]:
    """The type of a record, unless a version is suspended."""
    if version in world.suspended:
        raise Refusing("DEFINITION_SUSPENDED")
    return world.form(value)


def holding(*, unasked: bool, elsewhere: bool, there: bool) -> Patch:
    """In which matters a grant for one agency counts: where no agency is asked for, in another
    one's, in its own."""

    def holds(self: World, party: str, policy: dict[str, Any], scope: dict[str, Any]) -> bool:
        agency, until = self.roles.get((policy["role"], party), (None, 0))
        if agency is None or self.now >= until:
            return self.now < until
        if policy.get("agency_of") is None:
            return unasked
        asked = self.agencies.get(scope["data"][policy["agency_of"]])
        return there if asked == agency else elsewhere

    return put("_holds", holds)


def create_anyhow(self: World, record: str, operation: dict[str, Any], *given: Any) -> bool:
    """Whoever names a version that is no longer current means the current one."""
    return EXACT_CREATE(self, record, {**operation, "version": self.current}, *given)


def from_pinned(self: World, source: int, target: int) -> set[str]:
    """Records of a version are what it says, wherever they have moved."""
    known, self.moved = self.moved, {}
    found = EXACT_OBSTACLES(self, source, target)
    self.moved = known
    return found


def pinning_pinned(self: World, effect: dict[str, Any], value: dict[str, Any], *given: Any) -> None:
    """A record that another one makes pins what its maker pins, whatever that acts by."""
    before = set(self.records)
    EXACT_EFFECT(self, effect, value, *given)
    for record in self.records.keys() - before:
        self.records[record]["version"] = value["version"]


def by_time(self: World, definition: dict[str, Any]) -> None:
    """Timers fire whatever a later version says."""
    for form in definition["types"].values():
        for transition in form["transitions"].values():
            transition["auto"] = True
    self.definitions[definition["version"]] = definition


LACKING: dict[str, Patch] = {
    "no suspension of acts": unsuspended("act"),
    "no suspension of approvals": unsuspended("approve"),
    "no suspension of creations": unsuspended("create"),
    "no suspension of universal acts": unsuspended("act", lambda r, act, *rest: act in UNIVERSAL),
    "no suspension of timers": unsuspended("_fire_timer"),
    "no suspension of records that others lock": unsuspended("_lock"),
    "no suspension of records that others fire": unsuspended("_fire"),
    "suspension of the version that is pinned": put("_in_force", pinned_in_force),
    "suspension of all versions": put("_in_force", current_in_force),
    "timers lost in a suspension": passing("LOCKED"),
    "timers of locked records lost": passing("DEFINITION_SUSPENDED"),
    "no timer that a version gave to people": put("activate", by_time),
    "creation by any version": put("create", create_anyhow),
    "no migration": put("followed", lambda self, version: version),
    "one migration only": put("followed", lambda self, v: self.moved.get(v, v)),
    "migration without states": allowing("STATES_MISSING"),
    "migration to other fields": allowing("FIELDS_DIFFER"),
    "migration to other indexes": allowing("INDEXES_DIFFER"),
    "migration to other aggregates": allowing("AGGREGATES_DIFFER"),
    "migration back": allowing("VERSION_UNKNOWN"),
    "migration judged by what is pinned": put("_obstacles", from_pinned),
    "records made pin what their maker pins": put("_create", pinning_pinned),
    "limited roles hold everywhere": holding(unasked=True, elsewhere=True, there=True),
    "limited roles hold where none is asked": holding(unasked=True, elsewhere=False, there=True),
    "limited roles hold for another agency": holding(unasked=False, elsewhere=True, there=True),
    "limited roles hold nowhere": holding(unasked=False, elsewhere=False, there=False),
}


def test_the_reference_that_lacks_nothing_agrees() -> None:
    assert failure(relief.first(), 0, range(STEPS)) == ""


@pytest.mark.parametrize("lack", LACKING)
def test_a_reference_without_a_rule_disagrees(lack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    LACKING[lack](monkeypatch)
    assert any(failure(relief.first(), seed, range(STEPS)) for seed in range(60))
