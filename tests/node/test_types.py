"""Which definition a command asks for when it deals with a record."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from ledger.registry.definition import CREATE, Definition, Transition
from node.client import Client
from node.commands.types import acted_on, acts_by
from tests.ledger.registry.specimen import act, kind, service

RECORD = "odd-box/" + "0" * 32


class _Node:
    """Records of version 1 act by version 3: it moved to 2, and that to 3."""

    def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "state_get":
            row = {"versions": {}, "current": 3, "moved": {"1": 2, "2": 3}}
            known = {"service/odd": msgspec.json.encode(row).decode()}
            return {"value": known.get(params["key"])}
        if method == "record_get":
            return {"record": {"id": RECORD, "type": "odd-box", "def": "odd@1"}}
        assert method == "service_get"
        return {"definition": msgspec.to_builtins(_version(params["version"]))}


def _version(number: int) -> Definition:
    acts: dict[str, Transition] = {f"act_{number}": act()}
    return service({"box": kind(acts=acts)}, version=number)


CLIENT = cast(Client, _Node())


def test_a_migrated_record_acts_by_where_its_version_moved() -> None:
    assert acts_by(CLIENT, "odd@1") == ("odd", 3)
    assert acts_by(CLIENT, "odd@3") == ("odd", 3)
    assert acts_by(CLIENT, "new@4") == ("new", 4)
    assert set(acted_on(CLIENT, RECORD)[1].transitions) == {CREATE, "act_3"}
