"""Whose signature counts: search that ends, signers who are still trusted, tasks that are shown."""

from __future__ import annotations

import pytest

from ledger.ids import ChainId
from ledger.registry import tasks
from ledger.registry.definition import AllPolicy, CountPolicy, PartyPolicy, RolePolicy
from ledger.registry.fields import PartyField
from node.authoring.stage import CHAIN, Stage
from tests.ledger.registry.specimen import (
    CLERK,
    act,
    approve,
    create,
    do,
    kind,
    revoke_party,
    service,
    stage,
)

CLERKS = ("bob", "cyd", "dan", "eve", "fay", "gil", "hal")


@pytest.mark.parametrize("policy", [CountPolicy(8, CLERK), AllPolicy((CLERK,) * 8)])
def test_eight_clerks_can_all_sign(policy: CountPolicy | AllPolicy) -> None:
    """The search tried every order of the signers, and the seventh was refused for its cost."""
    chain = stage(service({"a": kind(acts={"go": act(policy)})}), *CLERKS)
    record, _ = create(chain, "a")
    pending = do(chain, record, "go")["results"][0]["pending"]
    for party in CLERKS[:-1]:
        entry = approve(chain, record, pending, party)
        assert entry["status"] == "committed", (party, entry)
        assert entry["results"][0]["pending"] == pending
    assert approve(chain, record, pending, "hal")["results"][0]["seq"] == 1


def test_a_revoked_partys_signature_no_longer_counts() -> None:
    owned = kind(
        {"owner": PartyField()}, acts={"go": act(AllPolicy((PartyPolicy("owner"), CLERK)))}
    )
    chain = stage(service({"a": owned}), "bob")
    record, _ = create(chain, "a", {"owner": "ann"})
    pending = do(chain, record, "go")["results"][0]["pending"]
    revoke_party(chain, "ann")
    entry = approve(chain, record, pending, "bob")
    assert "seq" not in (entry["results"] or [{}])[0], "done with a signature of a revoked party"
    assert chain.value(f"record/{record}")["seq"] == 0


def _tasks(chain: Stage, party: str) -> int:
    now = chain.time_ms // 1000
    found, following = tasks.waiting_for(chain.state, ChainId(CHAIN), party, now, 50)
    assert following is None
    return len(found)


def test_tasks_are_listed_while_another_service_version_is_suspended() -> None:
    chain = stage(service({"a": kind(acts={"go": act(CountPolicy(2, CLERK))})}), "bob")
    record, _ = create(chain, "a")
    do(chain, record, "go")
    assert _tasks(chain, "bob") == 1
    chain.govern("suspend", {"service": "odd", "version": 1})
    assert _tasks(chain, "bob") == 0


def test_tasks_are_listed_when_a_migration_took_the_act_away() -> None:
    chain = stage(service({"a": kind(acts={"go": act(CountPolicy(2, CLERK))})}), "bob")
    record, _ = create(chain, "a")
    do(chain, record, "go")
    chain.activate(service({"a": kind()}, version=2))
    chain.govern("migrate", {"service": "odd", "source": 1, "target": 2})
    assert chain.value("service/odd")["moved"] == {"1": 2}
    assert _tasks(chain, "bob") == 0


def test_a_guard_on_all_signers_waits_for_them() -> None:
    two = ["==", ["call", "size", [["var", "signers"]]], ["int", 2]]
    made = kind(acts={"go": act(CountPolicy(2, CLERK), guards=(("two", two),))})
    chain = stage(service({"a": made}), "bob")
    record, _ = create(chain, "a")
    begun = do(chain, record, "go")
    assert begun["status"] == "committed"
    pending = begun["results"][0]["pending"]
    assert approve(chain, record, pending, "bob")["results"][0]["seq"] == 1


def test_no_number_of_declarations_keeps_a_court_out() -> None:
    universal = {"error_declaration": CLERK, "court_order": RolePolicy("judge")}
    chain = stage(service({"a": kind(universal=universal)}), "bob")
    chain.grant("odd.judge", "bob")
    record, _ = create(chain, "a")
    reason = {"reason_code": "r", "commitment": "0" * 64}
    for _ in range(70):
        entry = do(chain, record, "error_declaration", reason)
    assert entry["reason"] == "ACTS_FULL"
    entry = do(chain, record, "court_order", {**reason, "state": "shut"}, by="bob")
    assert entry["status"] == "committed"


def test_a_grant_for_one_agency_holds_only_there() -> None:
    inside = act(RolePolicy("judge", agency_of="owner"))
    owned = kind(
        {"owner": PartyField()}, acts={"there": inside, "anywhere": act(RolePolicy("judge"))}
    )
    chain = stage(service({"a": owned}))
    chain.add_party("bob", "court")
    chain.add_party("cyd", "court")
    chain.grant("odd.judge", "bob", "court")
    near, _ = create(chain, "a", {"owner": "cyd"})
    far, _ = create(chain, "a", {"owner": "ann"})
    assert do(chain, near, "there", by="bob")["status"] == "committed"
    assert do(chain, far, "there", by="bob")["reason"] == "NOT_AUTHORISED"
    assert do(chain, near, "anywhere", by="bob")["reason"] == "NOT_AUTHORISED"
    chain.grant("odd.judge", "bob")
    assert do(chain, far, "anywhere", by="bob")["status"] == "committed"
