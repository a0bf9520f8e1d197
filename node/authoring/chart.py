"""A type's machine as a statechart that `sismic` reads: the skeleton, without conditions or roles.

Every act is an event, whoever fires it: a person, a timer or another record. What must hold and who
may act is not in the chart: sismic's guards are Python, the engine's are not. So the chart allows
all that the engine allows, and more.
"""

from __future__ import annotations

from typing import Any

import yaml

from ledger.registry.definition import CREATE, Type

ANY_STATE = "any state"
"""Encloses all states; universal acts lead out of it. No state's name has a space."""
COURT_ORDER = "court_order"


def court_order(state: str | None) -> str:
    """The event of a court order that names a state, or none: then the state stays."""
    return COURT_ORDER if state is None else f"{COURT_ORDER}({state})"


def machine_chart(name: str, kind: Type) -> str:
    """YAML of the chart of a type; `name` is the type's full name."""
    states = [_state(state, kind) for state in kind.states]
    enclosing: dict[str, Any] = {"name": ANY_STATE, "initial": kind.transitions[CREATE].to}
    universal = [
        # An event without a target leaves the state as it is.
        *({"event": act} for act in kind.universal),
        *(
            {"event": court_order(state), "target": state}
            for state in (kind.states if COURT_ORDER in kind.universal else ())
        ),
    ]
    if universal:
        enclosing["transitions"] = universal
    # A final state right below the root would end the chart; courts may order a record out of it.
    root = {"name": f"record of {name}", "initial": ANY_STATE}
    chart = {"name": name, "root state": {**root, "states": [{**enclosing, "states": states}]}}
    text: str = yaml.safe_dump({"statechart": chart}, sort_keys=False, width=100)
    return text


def _state(state: str, kind: Type) -> dict[str, Any]:
    leaving = [
        {"event": act, "target": transition.to}
        for act, transition in kind.transitions.items()
        if state in transition.source
    ]
    form: dict[str, Any] = {"name": state}
    if state in kind.final:
        form["type"] = "final"
    if leaving:
        form["transitions"] = leaving
    return form
