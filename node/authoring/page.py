"""A service's page for people, and what a new version changes for them."""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.registry.definition import (
    AgencyPolicy,
    AllPolicy,
    AnyPolicy,
    CountPolicy,
    Definition,
    EachPolicy,
    ExceptPolicy,
    IsPolicy,
    PartyPolicy,
    Policy,
    RolePolicy,
    Transition,
    Type,
)


def who(policy: Policy | None) -> str:
    """A policy in words."""
    if policy is None:
        return "nobody by hand"
    if isinstance(policy, RolePolicy):
        scope = f" of the agency of {policy.agency_of}" if policy.agency_of else ""
        return f"{policy.role}{scope}"
    if isinstance(policy, PartyPolicy):
        return f"the {policy.field}"
    if isinstance(policy, AgencyPolicy):
        return f"the agency of the {policy.field}"
    if isinstance(policy, IsPolicy):
        return "the party that the record names"
    if isinstance(policy, EachPolicy):
        return "each party of a list"
    if isinstance(policy, AllPolicy):
        return " and ".join(who(part) for part in policy.of)
    if isinstance(policy, AnyPolicy):
        return " or ".join(who(part) for part in policy.of)
    if isinstance(policy, CountPolicy):
        return f"{policy.n} different {who(policy.of)}"
    if isinstance(policy, ExceptPolicy):
        return f"{who(policy.of)}, but not {' or '.join(who(part) for part in policy.but)}"
    raise AssertionError(policy)


def service_page(definition: Definition, source: Any, about: str = "") -> str:
    """Markdown: every type, state, act, who may do it and what must hold; `about` comes first."""
    lines = [
        f"# {definition.service}, version {definition.version}",
        "",
        f"Definition `{definition.hash.hex()}`.",
        "",
        *([about.strip(), ""] if about.strip() else []),
        "## Roles",
        "",
        "| role | |",
        "|---|---|",
    ]
    roles = (source.get("roles") or {}) if isinstance(source, dict) else {}
    for role in definition.roles:
        lines.append(f"| {role} | {(roles.get(role) or {}).get('doc', '')} |")
    for name, kind in definition.types.items():
        written = ((source.get("types") or {}).get(name) or {}) if isinstance(source, dict) else {}
        lines += ["", f"## {name}", "", str(written.get("doc", "")), ""]
        lines += _fields(kind, written.get("fields") or {})
        final = ", ".join(kind.final)
        lines += [
            "",
            f"States: {', '.join(kind.states)}" + (f"; final: {final}." if final else "."),
        ]
        head = "| act | from | to | who | what must hold | |"
        lines += ["", head, "|---|---|---|---|---|---|"]
        for act, transition in kind.transitions.items():
            told = (written.get("transitions") or {}).get(act) or {}
            lines.append(_row(act, transition, str(told.get("doc", ""))))
        for act, policy in kind.universal.items():
            lines.append(f"| {act} | any | | {who(policy)} | a reason code and a commitment | |")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _fields(kind: Type, written: dict[str, Any]) -> list[str]:
    lines = ["| field | kind | |", "|---|---|---|"]
    for name, field in kind.fields.items():
        form = str(type(field).__struct_config__.tag)
        notes = [] if field.required else ["optional"]
        if field.origin == "effect":
            notes.append("set by the acts")
        if field.privacy == "committed":
            notes.append("the content stays off the chain")
        told = written.get(name)
        if isinstance(told, dict) and told.get("doc"):
            notes.insert(0, str(told["doc"]).rstrip("."))
        lines.append(f"| {name} | {form} | {'; '.join(notes)} |")
    return lines


def _row(act: str, transition: Transition, told: str) -> str:
    acting = "when its time comes" if transition.auto else who(transition.by)
    if transition.internal:
        acting = "another record's act"
    guards = ", ".join(name.replace("_", " ") for name, _ in transition.guards)
    source = ", ".join(transition.source)
    return f"| {act} | {source} | {transition.to} | {acting} | {guards} | {told} |"


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
    for field in sorted(set(before.fields) | set(after.fields)):
        old, new = before.fields.get(field), after.fields.get(field)
        if old is None or new is None:
            lines.append(f"field {field}: {'gone' if new is None else 'new'}")
        elif old != new:
            lines.append(f"field {field}: {_form(old)} becomes {_form(new)}")
    for act in sorted(set(before.transitions) | set(after.transitions)):
        lines += _act_differences(act, before.transitions.get(act), after.transitions.get(act))
    return lines


def _act_differences(act: str, old: Transition | None, new: Transition | None) -> list[str]:
    if old is None or new is None:
        return [f"{act}: {'no longer possible' if new is None else 'new'}"]
    lines: list[str] = []
    if (old.source, old.to) != (new.source, new.to):
        lines.append(f"{act}: leads elsewhere: {', '.join(new.source) or 'start'} to {new.to}")
    if old.by != new.by:
        lines.append(f"{act}: was for {who(old.by)}, is for {who(new.by)}")
    before, after = dict(old.guards), dict(new.guards)
    for guard in sorted(set(before) | set(after)):
        if guard not in after:
            lines.append(f"{act}: no longer asks that {guard}")
        elif guard not in before:
            lines.append(f"{act}: newly asks that {guard}")
        elif before[guard] != after[guard]:
            lines.append(f"{act}: asks something else by {guard}")
    if old.input != new.input:
        lines.append(f"{act}: wants other input")
    if old.effects != new.effects:
        lines.append(f"{act}: has other effects")
    return lines


def _form(field: Any) -> str:
    return msgspec.json.encode(field).decode("utf-8")
