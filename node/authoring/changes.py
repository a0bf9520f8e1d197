"""What a new version of a service changes for people."""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.registry.definition import Definition, Transition, Type
from ledger.registry.fields import Field
from node.authoring.words import effects, expression, who


def differences(old: Definition, new: Definition) -> list[str]:
    """What a new version changes for people, in plain words."""
    lines: list[str] = []
    for role in sorted(set(old.roles) ^ set(new.roles)):
        lines.append(f"role {role}: {'gone' if role in old.roles else 'new'}")
    for name in sorted(set(old.types) | set(new.types)):
        before, after = old.types.get(name), new.types.get(name)
        if before is None or after is None:
            lines.append(f"{name}: {'gone' if after is None else 'new'}")
            continue
        lines += [f"{name}: {line}" for line in _type_differences(before, after)]
    return lines


def _type_differences(before: Type, after: Type) -> list[str]:
    lines: list[str] = []
    for state in sorted(set(before.states) ^ set(after.states)):
        gone = state in before.states
        lines.append(f"state {state}: {'gone; records in it cannot migrate' if gone else 'new'}")
    lines += _field_differences("field", before.fields, after.fields)
    for act in sorted(set(before.transitions) | set(after.transitions)):
        lines += _act_differences(act, before.transitions.get(act), after.transitions.get(act))
    for act in sorted(set(before.universal) | set(after.universal)):
        was, is_now = before.universal.get(act), after.universal.get(act)
        if was != is_now:
            lines.append(f"{act}: was for {who(was)}, is for {who(is_now)}")
    for part in ("final", "indexes", "complete", "aggregates"):
        parts = getattr(before, part), getattr(after, part)
        if parts[0] != parts[1]:
            lines.append(f"{part}: {_form(parts[0])} becomes {_form(parts[1])}")
    return lines


def _field_differences(what: str, before: dict[str, Field], after: dict[str, Field]) -> list[str]:
    lines: list[str] = []
    for field in sorted(set(before) | set(after)):
        old, new = before.get(field), after.get(field)
        if old is None or new is None:
            lines.append(f"{what} {field}: {'gone' if new is None else 'new'}")
        elif old != new:
            lines.append(f"{what} {field}: {_form(old)} becomes {_form(new)}")
    return lines


def _act_differences(act: str, old: Transition | None, new: Transition | None) -> list[str]:
    if old is None or new is None:
        return [f"{act}: {'no longer possible' if new is None else 'new'}"]
    lines: list[str] = []
    if old.to != new.to:
        lines.append(f"{act}: leads to {new.to}, no longer to {old.to}")
    more = [state for state in new.source if state not in old.source]
    fewer = [state for state in old.source if state not in new.source]
    if more:
        lines.append(f"{act}: may start from more states: {', '.join(more)}")
    if fewer:
        lines.append(f"{act}: no longer starts from: {', '.join(fewer)}")
    if old.by != new.by:
        lines.append(f"{act}: was for {who(old.by)}, is for {who(new.by)}")
    before, after = dict(old.guards), dict(new.guards)
    for guard in sorted(set(before) | set(after)):
        if guard not in after:
            lines.append(f"{act}: no longer asks that {guard}")
        elif guard not in before:
            lines.append(f"{act}: newly asks that {guard}")
        elif before[guard] != after[guard]:
            was, is_now = expression(before[guard]), expression(after[guard])
            lines.append(f"{act}: asks something else by {guard}: {was} becomes {is_now}")
    lines += [f"{act}: {line}" for line in _field_differences("input", old.input, new.input)]
    if old.effects != new.effects:
        lines += [f"{act}: {line}" for line in _effect_differences(old, new)]
    return lines


def _effect_differences(old: Transition, new: Transition) -> list[str]:
    """Effects that are gone, new, or the same with other values, in the old and new order."""
    before, after = list(effects(old.effects)), list(effects(new.effects))
    gone = [effect for effect in before if effect not in after]
    fresh = [effect for effect in after if effect not in before]
    lines: list[str] = []
    for what, values in gone:
        other = next((effect for effect in fresh if effect[0] == what), None)
        if other is None:
            lines.append(f"no longer: {_effect(what, values)}")
        else:
            fresh.remove(other)
            lines.append(f"{what}: {values} becomes {other[1]}")
    lines += [f"newly: {_effect(what, values)}" for what, values in fresh]
    return lines or ["has the same effects in another order or number"]


def _effect(what: str, values: str) -> str:
    return f"{what}: {values}" if values else what


def _form(field: Any) -> str:
    return msgspec.json.encode(field).decode("utf-8")
