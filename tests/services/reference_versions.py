"""Versions of a definition in the second interpreter: which one a record acts by, whether it is
suspended, and what migrations are possible (registry.md, sections 3 and 7)."""

from __future__ import annotations

from typing import Any

from tests.services.reference_fields import Fields
from tests.services.reference_rules import Refusing

Form = dict[str, Any]
"""A type of a compiled definition."""


class Versions(Fields):
    """The versions that were activated; the last one is the current one."""

    service: str
    definitions: dict[int, dict[str, Any]]
    suspended: set[int]
    moved: dict[int, int]

    @property
    def current(self) -> int:
        """The version by which records are created."""
        return max(self.definitions)

    def followed(self, version: int) -> int:
        """By which version records of a version act. Who follows follows further migrations too."""
        while version in self.moved:
            version = self.moved[version]
        return version

    def form(self, value: dict[str, Any]) -> Form:
        """The type of a record, by the version that it acts by."""
        return self.form_at(value["type"], value["version"])

    def form_at(self, kind: str, version: int) -> Form:
        """A record type, by the version that records of a version act by."""
        found: Form = self._types_at(version)[kind[len(self.service) + 1 :]]
        return found

    def _types_at(self, version: int) -> dict[str, Form]:
        found: dict[str, Form] = self.definitions[self.followed(version)]["types"]
        return found

    def _in_force(self, value: dict[str, Any]) -> Form:
        """The type of a record that is to change."""
        if self.followed(value["version"]) in self.suspended:
            raise Refusing("DEFINITION_SUSPENDED")
        return self.form(value)

    # ----- governance

    def activate(self, definition: dict[str, Any]) -> None:
        """Another version, which is the current one from now on."""
        self.definitions[definition["version"]] = definition

    def problems(self, kind: str, body: dict[str, Any]) -> set[str]:
        """Everything for which a proposal would have no effect; which of them is told is open."""
        if kind == "activate":
            rising = body["definition"]["version"] > self.current
            return set() if rising else {"VERSION_NOT_RISING"}
        named = [body[part] for part in ("version", "source", "target") if part in body]
        if body["service"] != self.service:
            return {"SERVICE_UNKNOWN"}
        if set(named) - set(self.definitions):
            return {"VERSION_UNKNOWN"}
        return self._obstacles(body["source"], body["target"]) if kind == "migrate" else set()

    def govern(self, kind: str, body: dict[str, Any]) -> None:
        """What a proposal does that has no problems."""
        if kind == "activate":
            self.activate(body["definition"])
        elif kind == "migrate":
            self.moved[body["source"]] = body["target"]
        elif kind == "suspend":
            self.suspended.add(body["version"])
        else:
            self.suspended.discard(body["version"])

    def _obstacles(self, source: int, target: int) -> set[str]:
        """What keeps records of a version, as they act now, from acting by another one."""
        if target <= source:
            return {"VERSION_UNKNOWN"}
        old, new = (self.definitions[self.followed(version)] for version in (source, target))
        found = set()
        for name, form in old["types"].items():
            after = new["types"].get(name)
            if after is None or set(form["states"]) - set(after["states"]):
                found.add("STATES_MISSING")
            if after is None:
                continue
            if self._fields_differ(form["fields"], after["fields"]):
                found.add("FIELDS_DIFFER")
            if set(form["indexes"]) != set(after["indexes"]):
                found.add("INDEXES_DIFFER")
        if self._counted(old, old) != self._counted(new, old):
            found.add("AGGREGATES_DIFFER")
        return found

    @staticmethod
    def _fields_differ(old: dict[str, Any], new: dict[str, Any]) -> bool:
        def kinds(field: dict[str, Any] | None) -> list[Any]:
            field = field or {}
            return [field.get("kind"), field.get("items", {}).get("kind")]

        def required(fields: dict[str, Any], name: str) -> bool:
            return name in fields and fields[name].get("required", True) is True

        changed = any(kinds(field) != kinds(new.get(name)) for name, field in old.items())
        return changed or any(required(new, n) and not required(old, n) for n in new)

    @staticmethod
    def _counted(definition: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
        """The aggregates over types that another version has, too."""
        return {
            f"{owner} {name}": aggregate
            for owner, form in definition["types"].items()
            for name, aggregate in form["aggregates"].items()
            if aggregate["type"] in old["types"]
        }
