"""Acts leave nothing that a collector would have to find.

A daemon collects rarely. What is in no cycle is freed at once, and its memory is still in the
processor's cache when the next act asks for some; with cycles an act took twice as long.
"""

from __future__ import annotations

import gc

from ledger.registry.definition import AllPolicy, RolePolicy
from ledger.registry.fields import Field, PartyField, RecordField
from ledger.registry.meter import Value
from tests.ledger.registry.specimen import act, approve, create, do, kind, service, stage

ACTS = 50
GUARDS: tuple[tuple[str, list[Value]], ...] = (
    ("known", ["call", "holds", [["get", ["var", "data"], "who"], ["str", "clerk"]]]),
)


def test_acts_leave_no_cycles() -> None:
    both = AllPolicy((RolePolicy("clerk"), RolePolicy("judge")))
    fields: dict[str, Field] = {
        "who": PartyField(),
        "other": RecordField(required=False, types=("odd-box",)),
    }
    acts = {"touch": act(guards=GUARDS), "agree": act(both), "never": act(RolePolicy("judge"))}
    chain = stage(service({"box": kind(fields, acts=acts)}), "ben")
    chain.grant("odd.judge", "ben")
    first, _ = create(chain, "box", {"who": "ann"})
    data = {"who": "ann", "other": first}
    record, entry = create(chain, "box", data)
    assert entry["reason"] == ""
    gc.collect()
    gc.disable()
    try:
        for _ in range(ACTS):
            assert create(chain, "box", data)[1]["reason"] == ""
            assert do(chain, record, "touch")["reason"] == ""
            assert do(chain, record, "never")["reason"] == "NOT_AUTHORISED"
            waiting = do(chain, record, "agree")["results"][0]["pending"]
            assert approve(chain, record, waiting, "ben")["reason"] == ""
        left = gc.collect()
    finally:
        gc.enable()
    assert left < ACTS
