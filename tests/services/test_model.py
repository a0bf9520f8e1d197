"""Random use of the services against the second interpreter, and what must always hold.

The engine and the reference get the same acts; they must agree on what is done, what waits and what
is refused, and on every record, balance and claim.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from ledger.ids import CHAIN_ID
from ledger.registry.definition import Definition
from node.authoring.compiler import compile_source
from node.authoring.source import parse
from node.authoring.stage import CHAIN, Stage, StageGround
from tests.services.reference import UNIVERSAL, World

ROOT = Path(__file__).parent.parent.parent
SERVICES = ("funds", "land", "documents", "casework")
PROOF = "ab" * 32
PROOFS = tuple(f"{number:02x}" * 32 for number in range(20))
TEXTS = (*(f"A-{number}" for number in range(12)), "12", "REF1", "REF2", "x")
SEEN: dict[str, set[str]] = {}
"""Service -> states that acts led to, over all runs: a model that does nothing proves nothing."""
AMOUNTS = (0, 1, 5, 10, 50, 100, 500_000, 1_000_000)


def load(name: str) -> Definition:
    """A service of services/."""
    text = (ROOT / "services" / name / "service.yaml").read_text(encoding="utf-8")
    definition, problems = compile_source(parse(text))
    assert definition is not None, problems
    return definition


class Model(RuleBasedStateMachine):
    """One service, two interpreters."""

    definition: Definition

    def __init__(self) -> None:
        super().__init__()
        assert CHAIN_ID.fullmatch(CHAIN)
        self.compiled: dict[str, Any] = json.loads(self.definition.encode())
        self.stage = Stage()
        entry = self.stage.activate(self.definition)
        assert entry["status"] == "committed", entry
        self.ground = StageGround(self.stage)
        self.world = World(self.compiled, CHAIN)
        self.parties: list[str] = []
        service = self.definition.service
        for number in range(2):
            for role in (*self.definition.roles, "citizen"):
                party, agency = f"{role[:20]}-{number}", f"agency-{number}"
                self.parties.append(party)
                self.ground.add_party(party, agency)
                self.world.agencies.update({party: agency, agency: agency})
                if role != "citizen":
                    self.ground.grant(f"{service}.{role}", party, None)
                    grant = self.stage.value(f"role/{service}.{role}/{party}")
                    self.world.roles[role, party] = (None, grant["until"])
        self.world.now = self.ground.now()
        self.records: list[str] = []
        self.waiting: list[tuple[str, str]] = []

    # ----- values that have a chance to be right

    def value(self, field: dict[str, Any], draw: Callable[[Any], Any]) -> Any:
        """A value for a field, mostly of its kind."""
        kind = field["kind"]
        if kind == "integer":
            return draw(st.sampled_from(AMOUNTS))
        if kind == "time":
            return self.world.now + draw(st.sampled_from((-5, 86_400, 40 * 86_400, 400 * 86_400)))
        if kind == "boolean":
            return draw(st.booleans())
        if kind == "choice":
            return draw(st.sampled_from(field["of"]))
        if kind == "party":
            return draw(st.sampled_from(self.parties))
        if kind == "record":
            fitting = [r for r in self.records if r.split("/")[0] in field["types"]]
            return draw(st.sampled_from(fitting or self.records or ["none/" + "0" * 32]))
        if kind == "list":
            items = st.lists(st.just(0), max_size=2).flatmap(lambda n: st.just(len(n)))
            return [self.value(field["items"], draw) for _ in range(draw(items))]
        if kind in ("hash", "commitment"):
            return draw(st.sampled_from(PROOFS))
        if kind == "code":
            return draw(st.sampled_from(("roads", "schools")))
        return draw(st.sampled_from(TEXTS))

    def values(self, fields: dict[str, Any], draw: Callable[[Any], Any]) -> dict[str, Any]:
        """Values for a form; optional ones now and then."""
        chosen = {}
        for name, field in fields.items():
            wanted = field.get("required", True) and field.get("origin") != "effect"
            if wanted or draw(st.integers(0, 9)) == 0:
                chosen[name] = self.value(field, draw)
        return chosen

    def signer(
        self, policy: Any, value: dict[str, Any], given: dict[str, Any], draw: Callable[[Any], Any]
    ) -> str:
        """Mostly somebody whose signature helps, sometimes anybody."""
        scope = self.world._scope(value, given, ["nobody"])
        useful = [p for p in self.parties if policy and self.world._useful(policy, p, scope)]
        anybody = draw(st.integers(0, 7)) == 0 or not useful
        chosen: str = draw(st.sampled_from(self.parties if anybody else useful))
        return chosen

    # ----- what people do

    @rule(data=st.data())
    def create(self, data: st.DataObject) -> None:
        """Somebody creates a record."""
        name = data.draw(st.sampled_from(sorted(self.compiled["types"])))
        form = self.compiled["types"][name]
        values = self.values(form["fields"], data.draw)
        kind = f"{self.definition.service}-{name}"
        blank = {"id": "", "state": "", "data": values}
        signer = self.signer(form["transitions"]["create"]["by"], blank, {}, data.draw)
        record = self.stage.record_id(kind, signer)
        version = self.definition.version
        operation = {"op": "record.create", "type": kind, "version": version, "data": values}
        reason, result = self.ground.run(signer, operation)
        self.world.pass_time(self.ground.now() - self.world.now)  # timers run before transactions
        done = self.world.create(record, kind, values, signer, result.get("pending", ""))
        self.compare(reason, result, done, operation)

    @rule(data=st.data())
    def act(self, data: st.DataObject) -> None:
        """Some act on records, the newest more often than not."""
        for _ in range(3 if self.records else 0):
            self.act_once(data)

    def act_once(self, data: st.DataObject) -> None:
        """Somebody acts on a record."""
        newest = list(self.world.records)[-4:]
        record = data.draw(st.sampled_from(newest) | st.sampled_from(self.records))
        form = self.world.type_of(record.split("/")[0])
        possible = [
            name
            for name, t in form["transitions"].items()
            if self.world.records[record]["state"] in t["from"]
        ]
        rare = data.draw(st.integers(0, 7)) == 0 or not possible
        name = data.draw(st.sampled_from(UNIVERSAL if rare else possible))
        if name in UNIVERSAL:
            given: dict[str, Any] = {"reason_code": "error", "commitment": PROOF}
            policy = form["universal"].get(name)
        else:
            given = self.values(form["transitions"][name]["input"], data.draw)
            policy = form["transitions"][name]["by"]
        signer = self.signer(policy, self.world.records[record], given, data.draw)
        operation = {"op": "record.act", "id": record, "transition": name, "input": given}
        reason, result = self.ground.run(signer, operation)
        self.world.pass_time(self.ground.now() - self.world.now)  # timers run before transactions
        done = self.world.act(record, name, given, signer, result.get("pending", ""))
        self.compare(reason, result, done, operation)

    @rule(data=st.data())
    def approve(self, data: st.DataObject) -> None:
        """Somebody signs what waits."""
        if not self.waiting:
            return
        record, pending = data.draw(st.sampled_from(self.waiting))
        waiting = self.world.pending.get((record, pending))
        signer = data.draw(st.sampled_from(self.parties))
        if waiting is not None and waiting["act"] != "create" and record in self.world.records:
            form = self.world.type_of(waiting["kind"])
            by = form["transitions"].get(waiting["act"], {}).get("by")
            policy = by or form["universal"].get(waiting["act"])
            value = self.world.records[record]
            signer = self.signer(policy, value, waiting["input"], data.draw)
        operation = {"op": "record.approve", "id": record, "pending": pending}
        reason, result = self.ground.run(signer, operation)
        self.world.pass_time(self.ground.now() - self.world.now)  # timers run before transactions
        done = self.world.approve(record, pending, signer)
        self.compare(reason, result, done, operation)

    @rule(days=st.sampled_from((0, 1, 8, 35, 400)))
    def pass_time(self, days: int) -> None:
        """Timers fire."""
        entries = self.ground.advance(days * 86_400 + 1)
        fired = self.world.pass_time(self.ground.now() - self.world.now)
        engine = [(e["record"], e["name"], e["status"] == "fired") for e in entries]
        assert engine == fired

    def compare(
        self, reason: str, result: dict[str, Any], done: bool, operation: dict[str, Any]
    ) -> None:
        """Both say the same of one act."""
        assert done == (not reason), (operation, reason, result)
        if done and operation["op"] != "record.create":
            SEEN.setdefault(self.definition.service, set()).add(str(result.get("state", "waits")))
        if done and "pending" in result:
            assert (result["record"], result["pending"]) in self.world.pending
            self.waiting.append((result["record"], result["pending"]))
        self.records = sorted(self.world.records)

    # ----- what always holds

    @invariant()
    def records_are_equal(self) -> None:
        """State, data, locks and timers of every record."""
        for record, wanted in self.world.records.items():
            found = self.stage.value(f"record/{record}")
            assert found is not None, record
            for part in ("state", "data", "locks", "timers", "seq"):
                assert found[part] == wanted[part], (record, part)

    @invariant()
    def nothing_is_made_or_lost(self) -> None:
        """No balance below 0; balances add up to what was minted and not burned."""
        service = self.definition.service
        totals: dict[str, int] = {}
        for (unit, account), amount in self.world.balances.items():
            held = self.stage.value(f"balance/{service}.{unit}/{account}")
            assert (held["amount"] if held else 0) == amount >= 0
            totals[unit] = totals.get(unit, 0) + amount
        for unit in self.definition.units:
            supply = self.stage.value(f"supply/{service}.{unit}") or {"minted": 0, "burned": 0}
            assert supply["minted"] - supply["burned"] == totals.get(unit, 0)


@pytest.mark.parametrize("name", SERVICES)
def test_the_engine_and_the_reference_agree(name: str) -> None:
    machine = type(f"Model_{name}", (Model,), {"definition": load(name)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            derandomize=True,  # the floor below must not depend on luck
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
        ),
    )
    assert len(SEEN[name]) >= 2, SEEN
