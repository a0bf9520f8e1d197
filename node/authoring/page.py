"""A service's page for people."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from ledger.ids import INTEGER_MAX
from ledger.registry.definition import (
    ClaimEffect,
    Definition,
    Effect,
    Transition,
    Type,
    effects_of,
)
from ledger.registry.fields import (
    ChoiceField,
    Field,
    IntegerField,
    ListField,
    RecordField,
    StringField,
)
from node.authoring.consequences import UNIVERSAL, consequences
from node.authoring.words import code, who

_FENCE: Final = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_TOP: Final = re.compile(r"^# ", re.MULTILINE)
_HEADING: Final = re.compile(r"^(?=#{1,5} )", re.MULTILINE)


def service_page(definition: Definition, source: Any, about: str = "") -> str:
    """Markdown: every type, state and act, who may do it, what must hold, what it changes.

    `about` comes first.
    """
    lines = [
        f"# {definition.service}, version {definition.version}",
        "",
        f"Definition `{definition.hash.hex()}`.",
        "",
        *([_below(about.strip()), ""] if about.strip() else []),
        "## Roles",
        "",
        "| role | |",
        "|---|---|",
    ]
    roles = (source.get("roles") or {}) if isinstance(source, dict) else {}
    for role in definition.roles:
        lines.append(f"| {role} | {(roles.get(role) or {}).get('doc', '')} |")
    if any(isinstance(effect, ClaimEffect) for effect in _effects(definition)):
        lines += ["", "What a record claims, no other can claim until it is released."]
    for name, kind in definition.types.items():
        written = ((source.get("types") or {}).get(name) or {}) if isinstance(source, dict) else {}
        lines += ["", f"## {name}", "", str(written.get("doc", "")), ""]
        lines += _fields(kind, written.get("fields") or {})
        final = ", ".join(kind.final)
        lines += [
            "",
            f"States: {', '.join(kind.states)}" + (f"; final: {final}." if final else "."),
        ]
        head = "| act | from | to | who | what must hold | what it changes | |"
        lines += ["", head, "|---|---|---|---|---|---|---|"]
        for act, transition in kind.transitions.items():
            told = (written.get("transitions") or {}).get(act) or {}
            lines.append(_row(act, transition, str(told.get("doc", ""))))
        for act, policy in kind.universal.items():
            reasons = "a reason code and a commitment"
            lines.append(f"| {act} | any | | {who(policy)} | {reasons} | {UNIVERSAL[act]} | |")
        lines += _inputs(kind, written.get("transitions") or {})
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _effects(definition: Definition) -> Iterator[Effect]:
    for kind in definition.types.values():
        for transition in kind.transitions.values():
            yield from effects_of(transition.effects)


def _below(about: str) -> str:
    """`about` with its headings one level lower when it has one of the page's own level."""
    parts = _FENCE.split(about)  # every second one is a block of code
    if not any(_TOP.search(part) for part in parts[::2]):
        return about
    return "".join(
        part if number % 2 else _HEADING.sub("#", part) for number, part in enumerate(parts)
    )


def _fields(kind: Type, written: dict[str, Any]) -> list[str]:
    lines = ["| field | kind | |", "|---|---|---|"]
    for name, field in kind.fields.items():
        lines.append(f"| {name} | {_form(field)} | {_notes(field, written.get(name))} |")
    return lines


def _inputs(kind: Type, written: dict[str, Any]) -> list[str]:
    """What acts ask for, with its limits; nothing when they ask for nothing."""
    lines = []
    for act, transition in kind.transitions.items():
        told = (written.get(act) or {}).get("input") or {}
        for name, field in transition.input.items():
            lines.append(f"| {name} | {act} | {_form(field)} | {_notes(field, told.get(name))} |")
    return ["", "| asked for | by | kind | |", "|---|---|---|---|", *lines] if lines else []


def _notes(field: Field, told: Any) -> str:
    """What else is to be said of a field or an input; `told` is what its author wrote."""
    notes = [] if field.required else ["optional"]
    if field.origin == "effect":
        notes.append("set by the acts")
    if field.privacy == "committed":
        notes.append("the content stays off the chain")
    if isinstance(told, dict) and told.get("doc"):
        notes.insert(0, str(told["doc"]).rstrip("."))
    return "; ".join(notes)


def _form(field: Field) -> str:
    """A field's kind, with what limits its values."""
    kind = str(type(field).__struct_config__.tag)
    if isinstance(field, IntegerField):
        if field.maximum == INTEGER_MAX:
            return f"{kind}, {field.minimum} or more" if field.minimum > -INTEGER_MAX else kind
        return f"{kind}, {field.minimum} to {field.maximum}"
    if isinstance(field, StringField):
        pattern = field.pattern.replace("|", "\\|")
        return f"{kind} of the form `{pattern}`, at most {field.max} characters"
    if isinstance(field, ChoiceField):
        return f"{kind} of {', '.join(field.of)}"
    if isinstance(field, RecordField):
        return f"{kind} of type {' or '.join(field.types)}"
    if isinstance(field, ListField):
        return f"{kind} of at most {field.max}, each {_form(field.items)}"
    return kind


def _row(act: str, transition: Transition, told: str) -> str:
    acting = "when its time comes" if transition.auto else who(transition.by)
    if transition.internal:
        acting = "another record's act"
    guards = "; ".join(
        f"{name.replace('_', ' ')}: {code(tree)}" for name, tree in transition.guards
    )
    source = ", ".join(transition.source)
    changed = consequences(transition.effects)
    return f"| {act} | {source} | {transition.to} | {acting} | {guards} | {changed} | {told} |"
