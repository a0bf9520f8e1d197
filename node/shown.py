"""Values as people read them: moments in UTC, lists without brackets of a program."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

NAMED: Final = ("guard", "field", "namespace", "unit", "state", "problem")
"""What a refusal's result may name: a condition, a field, a claim, a unit, a state, a problem."""


def moment(seconds: int) -> str:
    """A moment, UTC, to the minute; to the second where that says more."""
    try:
        found = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):  # beyond the year 9999
        return str(seconds)
    text = found.isoformat(timespec="seconds" if found.second else "minutes")
    return text.replace("+00:00", "Z")


def named(failed: Mapping[str, Any]) -> str:
    """What the result of a refusal names; empty when it names nothing."""
    return " ".join(str(failed[part]) for part in NAMED if failed.get(part))


def plain(value: Any, kind: str = "") -> str:
    """A value of a record; `kind` is its field's, or its items', where it is known."""
    if isinstance(value, list):
        return ", ".join(plain(item, kind) for item in value) or "(none)"
    if kind == "time" and type(value) is int:
        return moment(value)
    return written(value)


def written(value: Any) -> str:
    """A value as people write it in YAML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(written(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {written(v)}" for k, v in value.items()) + "}"
    return "null" if value is None else str(value)
