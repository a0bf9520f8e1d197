"""Smallest services, built in place, and a stage on which they are in force."""

from __future__ import annotations

from typing import Any

from ledger import canonical, records
from ledger.parties import party_key
from ledger.registry.definition import (
    CREATE,
    DEFINITION_TYPE,
    Definition,
    Policy,
    RolePolicy,
    Transition,
    Type,
    Unit,
)
from ledger.registry.fields import Field
from node.authoring.stage import Stage

CLERK = RolePolicy("clerk")


def kind(
    fields: dict[str, Field] | None = None,
    *,
    create: Transition | None = None,
    acts: dict[str, Transition] | None = None,
    **members: Any,
) -> Type:
    """A type of two states; a clerk makes its records."""
    made = create or Transition(to="open", by=CLERK)
    return Type(
        fields=fields or {},
        states=("open", "shut"),
        transitions={CREATE: made, **(acts or {})},
        **members,
    )


def act(by: Policy | None = CLERK, **members: Any) -> Transition:
    """A transition from open to open."""
    return Transition(to="open", source=("open",), by=by, **members)


def service(
    types: dict[str, Type], *, version: int = 1, units: dict[str, Unit] | None = None
) -> Definition:
    """A service named `odd`."""
    return Definition(
        type=DEFINITION_TYPE,
        service="odd",
        version=version,
        title_code="odd",
        roles=("clerk", "judge"),
        types=types,
        units=units or {},
    )


def document(definition: Definition) -> dict[str, Any]:
    """A definition as JSON, to be spoiled."""
    parsed: dict[str, Any] = canonical.decode(definition.encode())
    return parsed


def stage(definition: Definition, *clerks: str) -> Stage:
    """A chain with the service, and parties who are its clerks: `ann` and others."""
    made = Stage()
    assert made.activate(definition)["status"] == "committed"
    for party in ("ann", *clerks):
        made.add_party(party, f"{party}-agency")
        made.grant("odd.clerk", party)
    return made


def create(
    chain: Stage,
    name: str,
    data: dict[str, Any] | None = None,
    *,
    version: int = 1,
    by: str = "ann",
) -> tuple[str, dict[str, Any]]:
    """(record id, entry) of a record that `by` creates."""
    record = chain.record_id(f"odd-{name}", by)
    operation = {"op": "record.create", "type": f"odd-{name}", "version": version}
    return record, chain.run(by, [{**operation, "data": data or {}}])


def do(
    chain: Stage, record: str, transition: str, given: dict[str, Any] | None = None, by: str = "ann"
) -> dict[str, Any]:
    """Entry of an act."""
    operation = {"op": "record.act", "id": record, "transition": transition}
    return chain.run(by, [{**operation, "input": given or {}}])


def approve(chain: Stage, record: str, pending: str, by: str) -> dict[str, Any]:
    """Entry of an approval."""
    return chain.run(by, [{"op": "record.approve", "id": record, "pending": pending}])


def revoke_party(chain: Stage, party: str) -> None:
    """The party is trusted no longer, as party.revoke leaves it."""
    draft = chain.state.draft()
    old = draft.get(party_key(party))
    assert old is not None
    value = {**canonical.decode(old), "status": "revoked"}
    records.supersede(draft, party_key(party), old, value)
    state = draft.seal()
    state.store.stage(state.writes)
    state.store.flush()
    state.detach()
    chain.state = state
