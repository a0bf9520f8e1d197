"""Proposals and votes of several agencies; roles and who may pass them on."""

from __future__ import annotations

from typing import Any

from ledger import canonical
from ledger.crypto import sha256
from ledger.ids import Epoch, Height
from ledger.registry import governance
from ledger.registry.act import Act, Refused
from ledger.registry.governance import Proposal
from ledger.registry.meter import Meter
from ledger.state import Draft
from ledger.validators import Member, ValidatorSet
from node.authoring.stage import CHAIN, FOUNDER, Stage
from tests.services.hostile import Play, definition

# alba runs two members, the others one each; the quorum of five is four.
AGENCIES = ("alba", "alba", "brno", "cork", "dole")
SET = ValidatorSet(
    Epoch(0),
    tuple(
        Member(a, f"m{i}", "A" * 41 + "BCDEF"[i] + "A", "", f"h:{i}")
        for i, a in enumerate(AGENCIES)
    ),
)
ROOT_BODY: dict[str, Any] = {"role": "odd.clerk", "party": FOUNDER}


class House:
    """Members' agencies on one draft."""

    def __init__(self) -> None:
        stage = Stage()
        stage.activate(definition())
        stage.add_party("ann", "alba")
        for agency in set(AGENCIES) | {"elba"}:
            stage.add_party(agency, agency)
        self.draft: Draft = stage.state.draft()

    def act(self, party: str, agency: str, now: int, height: int) -> Act:
        return Act(
            draft=self.draft,
            chain=CHAIN,
            height=Height(height),
            now=now,
            tx="",
            party=party,
            agency=agency,
            meter=Meter(100),
            effects_left=0,
            record_bytes_max=0,
        )

    def propose(
        self, party: str, *, agency: str = "", until: int = 100, name: str = "p", now: int = 1
    ) -> str:
        proposal = Proposal(name, "role-root", ROOT_BODY, party, "0" * 64, 9, until)
        try:
            result = governance.propose(self.act(party, agency or party, now, 5), SET, proposal)
        except Refused as refused:
            return refused.reason
        return str(result["status"])

    def withdraw(self, party: str, name: str = "p", now: int = 2) -> str:
        try:
            return str(governance.withdraw(self.act(party, party, now, 6), name)["status"])
        except Refused as refused:
            return refused.reason

    def found(self, name: str = "p") -> Proposal:
        value = governance.find(self.draft, name)
        assert value is not None
        return value

    def expire(self, now: int) -> list[str]:
        """What a block at `now` closes; its state is the next one's parent."""
        parent = self.draft.seal()
        self.draft = parent.draft()
        return governance.expire(self.draft, parent, now)

    def vote(self, party: str, *, accept: bool = True, now: int = 2, agency: str = "") -> str:
        try:
            act = self.act(party, agency or party, now, 6)
            result = governance.vote(act, SET, "p", accept=accept)
        except Refused as refused:
            return refused.reason
        return f"{result['status']} {result['accepting']}"


def test_a_quorum_of_members_accepts_whoever_runs_them() -> None:
    house = House()
    assert house.propose("alba") == "open"
    assert house.vote("brno") == "open 3"
    assert house.vote("brno") == "open 3"
    assert house.vote("cork") == "accepted 4"
    assert house.vote("dole") == "PROPOSAL_CLOSED"
    assert governance.take_effect(house.draft, Height(8)) == []
    assert governance.take_effect(house.draft, Height(9)) == ["p"]
    assert governance.take_effect(house.draft, Height(10)) == []
    found = governance.find(house.draft, "p")
    assert found is not None
    assert (found.status, found.outcome) == ("done", "")
    assert found.votes == {"alba": True, "brno": True, "cork": True}
    assert found.body is None, "the body leaves the state"
    assert found.body_hash == sha256(canonical.encode(ROOT_BODY)).hex()
    assert house.draft.get(b"gov/open/alba") is None


def test_an_agency_may_change_its_mind() -> None:
    house = House()
    assert house.propose("alba") == "open"
    assert house.vote("alba", accept=False) == "rejected 0"
    assert (house.found().status, house.found().body) == ("rejected", None)
    assert house.expire(1_000) == [], "what is closed does not expire"
    assert house.vote("alba") == "PROPOSAL_CLOSED"


def test_two_members_that_refuse_reject() -> None:
    house = House()
    assert house.propose("brno") == "open"
    assert house.vote("cork", accept=False) == "open 1"
    assert house.vote("dole", accept=False) == "rejected 1"


def test_who_may_not_propose_and_vote() -> None:
    house = House()
    assert house.propose("ann", agency="alba") == "NOT_AUTHORISED"
    assert house.propose("elba") == "NOT_AUTHORISED"
    assert house.vote("alba") == "PROPOSAL_UNKNOWN"
    assert house.propose("alba", until=1) == "UNTIL_OUT_OF_RANGE"
    assert house.propose("alba", until=2 + 90 * 86_400) == "UNTIL_OUT_OF_RANGE"
    assert house.propose("alba") == "open"
    assert house.propose("alba") == "PROPOSAL_EXISTS"
    assert house.vote("ann", agency="alba") == "NOT_AUTHORISED"
    assert house.vote("elba") == "NOT_AUTHORISED"
    assert house.vote("brno", now=100) == "PROPOSAL_CLOSED"


def test_what_is_due_at_one_height_takes_effect_in_the_order_of_ids() -> None:
    house = House()
    for name in ("q", "p"):
        assert house.propose("alba", name=name) == "open"
        for party in ("brno", "cork"):
            governance.vote(house.act(party, party, 2, 6), SET, name, accept=True)
    assert governance.take_effect(house.draft, Height(30)) == ["p", "q"]


def test_its_proposer_withdraws_an_open_proposal() -> None:
    house = House()
    assert house.withdraw("alba") == "PROPOSAL_UNKNOWN"
    assert house.propose("brno") == "open"
    assert house.withdraw("alba") == "NOT_AUTHORISED"
    assert house.withdraw("brno", now=100) == "PROPOSAL_CLOSED"
    assert house.withdraw("brno") == "withdrawn"
    assert (house.found().status, house.found().body) == ("withdrawn", None)
    assert house.withdraw("brno") == "PROPOSAL_CLOSED"
    assert house.vote("cork") == "PROPOSAL_CLOSED"
    assert house.propose("brno") == "PROPOSAL_EXISTS", "ids are not used twice"


def test_an_accepted_proposal_cannot_be_withdrawn() -> None:
    house = House()
    assert house.propose("alba") == "open"
    assert house.vote("brno") == "open 3"
    assert house.vote("cork") == "accepted 4"
    assert house.found().body == ROOT_BODY
    assert house.withdraw("alba") == "PROPOSAL_CLOSED"


def test_an_agency_has_sixteen_open_proposals_at_most() -> None:
    house = House()
    for number in range(16):
        assert house.propose("brno", name=f"p{number}") == "open"
    assert house.propose("brno") == "PROPOSALS_FULL"
    assert house.propose("cork") == "open", "each agency has its own"
    assert house.withdraw("brno", "p3") == "withdrawn"
    assert house.propose("brno", name="q") == "open"
    assert house.propose("brno", name="r") == "PROPOSALS_FULL"
    assert house.expire(100) == [*sorted({"p", "q", *(f"p{n}" for n in range(16))} - {"p3"})]
    assert house.propose("brno", name="r", now=101, until=200) == "open"


def test_what_is_open_until_its_end_expires_first_come_first_and_so_many_a_block() -> None:
    house = House()
    ends = {
        f"{agency}{n}": 50 + n for agency in ("alba", "brno", "cork", "dole") for n in range(16)
    }
    for name, until in ends.items():
        assert house.propose(name[:4], name=name, until=until) == "open"
    assert house.propose("dole", until=40) == "PROPOSALS_FULL"
    assert house.expire(49) == []
    assert house.expire(50) == ["alba0", "brno0", "cork0", "dole0"]
    assert (house.found("alba0").status, house.found("alba0").body) == ("expired", None)
    for name in ("alba", "brno", "cork", "dole"):
        assert house.propose(name, name=f"{name}-again", until=60) == "open"
    first = house.expire(1_000)
    assert len(first) == governance.EXPIRED_PER_BLOCK_MAX == 64
    assert first[:4] == ["alba1", "brno1", "cork1", "dole1"]
    assert house.expire(1_000) == []


def grant(play: Play, by: str, party: str, **members: Any) -> str:
    until = play.stage.time_ms // 1000 + 1_000
    operation = {"op": "role.grant", "role": "odd.clerk", "party": party, "until": until}
    return play.do({**operation, **members}, by=by)


def revoke(play: Play, by: str, party: str) -> str:
    return play.do({"op": "role.revoke", "role": "odd.clerk", "party": party}, by=by)


def test_roles_are_granted_by_their_root_and_passed_on_within_bounds() -> None:
    play = Play()
    later = play.stage.time_ms // 1000 + 2_000
    assert grant(play, "ann", "ben") == "NOT_AUTHORISED"
    assert grant(play, FOUNDER, "nobody") == "PARTY_UNKNOWN"
    assert grant(play, FOUNDER, "ben", until=1) == "UNTIL_PAST"
    assert grant(play, FOUNDER, "ben", role="odd.king") == "NOT_AUTHORISED"
    assert grant(play, FOUNDER, "ben", delegable=True, agency="town") == ""
    play.stage.add_party("eve", "town")
    assert grant(play, "ben", "eve", delegable=True, agency="town") == "NOT_AUTHORISED"
    assert grant(play, "ben", "eve", until=later, agency="town") == "NOT_AUTHORISED"
    assert grant(play, "ben", "eve") == "NOT_AUTHORISED"
    assert grant(play, "ben", "eve", agency="court") == "NOT_AUTHORISED"
    now = play.stage.time_ms // 1000
    assert grant(play, "ben", "eve", agency="town", until=now + 900) == ""
    assert grant(play, "ben", "eve", agency="town", until=now + 800) == ""


def test_a_holder_does_not_replace_what_somebody_else_granted() -> None:
    play = Play()
    assert grant(play, FOUNDER, "ben", delegable=True) == ""
    now = play.stage.time_ms // 1000
    assert grant(play, "ben", "ann", until=now + 5) == "NOT_AUTHORISED"
    assert play.stage.value("role/odd.clerk/ann")["by"] == FOUNDER


def test_a_grant_ends_by_revocation_and_by_time() -> None:
    play = Play()
    play.stage.add_party("eve", "town")
    box = play.made()
    slip = play.create({"box": box, "amount": 1}, "slip")
    assert revoke(play, "ann", "ben") == "GRANT_UNKNOWN"
    assert grant(play, FOUNDER, "ben", delegable=True) == ""
    assert revoke(play, "eve", "ben") == "NOT_AUTHORISED"
    assert play.do(slip, by="ben") == ""
    play.stage.advance(1_001)
    assert play.do(slip, by="ben") == "NOT_AUTHORISED"
    assert revoke(play, FOUNDER, "ben") == "GRANT_UNKNOWN"
    assert revoke(play, "ann", "ann") == ""
    assert play.do(slip) == "NOT_AUTHORISED"


def test_a_role_within_an_agency_counts_in_its_matters_only() -> None:
    text = """
service: office
version: 1
title: office
roles: {clerk: {}}
types:
  case:
    fields: {owner: party}
    states: [open]
    final: [open]
    transitions:
      create: {to: open, by: role(clerk of owner)}
"""
    stage = Stage()
    stage.activate(definition(text))
    for party, agency in (("ann", "town"), ("ben", "court")):
        stage.add_party(party, agency)
    stage.grant("office.clerk", "ann", "town")
    case: dict[str, Any] = {"op": "record.create", "type": "office-case", "version": 1}
    assert stage.run("ann", [{**case, "data": {"owner": "ann"}}])["reason"] == ""
    assert stage.run("ann", [{**case, "data": {"owner": "ben"}}])["reason"] == "NOT_AUTHORISED"
