"""Refusals as scenarios write them: `GUARD_FAILED fee_complete`, `lapse refused LOCKED`."""

from __future__ import annotations

from typing import Any

from node.shown import named


def said_of(reason: str, failed: dict[str, Any]) -> str:
    """A refusal: the reason, and what it names."""
    return f"{reason} {named(failed)}".strip()


def is_refused_so(wanted: str, reason: str, failed: dict[str, Any]) -> bool:
    """Whether a refusal is the one that a step wants. A condition or field is always named, since
    a record has many; of a claim, a unit or a state the reason may be enough."""
    bare = not {"guard", "field"} & failed.keys()
    return reason != "" and (wanted == said_of(reason, failed) or (bare and wanted == reason))


def named_by(entry: dict[str, Any]) -> dict[str, Any]:
    """What failed, of a timer's entry that was refused."""
    results: list[dict[str, Any]] = entry["results"]
    return results[0] if results else {}


def came(entry: dict[str, Any]) -> str:
    """A timer's entry: its name, and how it was refused if it was."""
    if entry["status"] == "fired":
        return str(entry["name"])
    return f"{entry['name']} refused {said_of(entry['reason'], named_by(entry))}"


def comes_so(wanted: str, entry: dict[str, Any]) -> bool:
    """Whether a timer did what a step wants: `lapse`, or `lapse refused WRONG_STATE`."""
    name, refused, reason = str(wanted).partition(" refused ")
    if name != entry["name"] or bool(refused) != (entry["status"] == "refused"):
        return False
    return not refused or is_refused_so(reason.strip(), entry["reason"], named_by(entry))
