"""Fields of records and inputs in the second interpreter (see tests/services/reference.py)."""

from __future__ import annotations

import re
from typing import Any

from tests.services.reference_rules import Refusing
from tests.services.reference_values import LIMIT, Values

CODE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
HEX64 = re.compile(r"[0-9a-f]{64}")


class Fields(Values):
    """registry.md, section 2."""

    def _check_fields(self, fields: dict[str, Any], values: dict[str, Any]) -> None:
        if set(values) - set(fields):
            raise Refusing
        for name, field in fields.items():
            value = values.get(name)
            if value is None:
                if field.get("required", True):
                    raise Refusing
            elif not self._fits(field, value):
                raise Refusing

    def _fits(self, field: dict[str, Any], value: Any) -> bool:
        kind = field["kind"]
        if kind in ("integer", "time"):
            low, high = field.get("minimum", 0), field.get("maximum", LIMIT)
            return type(value) is int and low <= value <= high
        if kind == "boolean":
            return type(value) is bool
        if kind == "list":
            fits = type(value) is list and len(value) <= field.get("max", 64)
            return fits and all(self._fits(field["items"], item) for item in value)
        if type(value) is not str:
            return False
        if kind == "string":
            pattern = re.compile(field.get("pattern", "[!-~]*"), re.DOTALL)
            return len(value) <= field.get("max", 64) and pattern.fullmatch(value) is not None
        if kind == "code":
            return CODE.fullmatch(value) is not None
        if kind == "choice":
            return value in field["of"]
        if kind == "party":
            return value in self.agencies
        if kind == "record":
            return value in self.records and self.records[value]["type"] in field["types"]
        return HEX64.fullmatch(value) is not None
