"""What an act costs is a rule of consensus: it depends on values alone, never on whether Python
keeps two equal values as one object, as versions of it do for more integers or fewer."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.executor import Execution, Executor
from ledger.registry.definition import SetEffect
from ledger.registry.fields import Field, IntegerField, PartyField, StringField
from node.authoring.stage import Stage
from tests.ledger.registry.specimen import act, create, do, kind, service, stage

FIELDS: dict[str, Field] = {"n": IntegerField(), "t": StringField(), "p": PartyField()}


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of the blocks executed so far."""
    seen: list[int] = []
    execute = Executor.execute

    def watched(self: Executor, *args: Any, **members: Any) -> Execution:
        execution = execute(self, *args, **members)
        seen.append(execution.cost)
        return execution

    monkeypatch.setattr(Executor, "execute", watched)
    return seen


def act_on(chain: Stage, record: str, transition: str, **given: Any) -> None:
    """One act in a block of its own."""
    assert do(chain, record, transition, given)["reason"] == ""


@pytest.mark.parametrize(("field", "small", "large"), [("n", 256, 300), ("t", "", "x")])
def test_setting_a_field_to_what_it_is_costs_the_same(
    costs: list[int], field: str, small: Any, large: Any
) -> None:
    give = act(
        input={"v": FIELDS[field]}, effects=(SetEffect(field, ["get", ["var", "input"], "v"]),)
    )
    chain = stage(service({"box": kind(FIELDS, acts={"give": give})}))
    for value in (small, large):
        record, entry = create(chain, "box", {"n": 1, "t": "y", "p": "ann", field: value})
        assert entry["reason"] == ""
        act_on(chain, record, "give", v=value)
    assert costs[-1] == costs[-3]


def test_a_party_set_again_is_looked_up_whichever_field_named_it(costs: list[int]) -> None:
    fields: dict[str, Field] = {"p": PartyField(), "q": PartyField()}
    acts = {
        "own": act(effects=(SetEffect("p", ["get", ["var", "data"], "p"]),)),
        "twin": act(effects=(SetEffect("p", ["get", ["var", "data"], "q"]),)),
        "none": act(),
    }
    chain = stage(service({"box": kind(fields, acts=acts)}))
    record, entry = create(chain, "box", {"p": "ann", "q": "ann"})
    assert entry["reason"] == ""
    for name in acts:
        act_on(chain, record, name)
    own, twin, none = costs[-3:]
    assert own == twin
    assert own - none == 30 + 2 + 6  # an effect, the nodes of its value, the check of a party


def test_the_record_acted_on_is_paid_for_by_its_size(costs: list[int]) -> None:
    fields: dict[str, Field] = {
        f"t{number}": StringField(max=256, required=False) for number in range(20)
    }
    chain = stage(service({"box": kind(fields, acts={"touch": act()})}))
    small, _ = create(chain, "box", {})
    large, entry = create(chain, "box", dict.fromkeys(fields, "x" * 256))
    assert entry["reason"] == ""
    act_on(chain, large, "touch")
    act_on(chain, small, "touch")
    units = [len(chain.state.get(f"record/{r}".encode()) or b"") // 256 for r in (large, small)]
    assert units[0] > 20
    assert costs[-2] - costs[-1] == 2 * (units[0] - units[1])  # read, and written
