"""Who may do what was refused as NOT_AUTHORISED: in the words of the service's definition."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ledger import transaction
from ledger.parameters import BOUNDS
from ledger.registry.definition import CREATE, Type
from ledger.transaction import Inadmissible
from node.answers import CommandError
from node.authoring.words import Known, who
from node.client import Client
from node.commands.types import acted_on, definition_of, kind_of, owner_of

_FIXED: Final = {
    "party.register": "only an agency registers persons, as its own",
    "party.rotate": "its agency, a quorum of the agencies or, for an agency, its recovery key may",
    "party.revoke": "its agency, a quorum of the agencies or, for an agency, its recovery key may",
    "document.attest": "an agency may, other than that of who registered the document",
    "document.revoke": "who registered the document may, or their agency",
    "gov.propose": "only agencies that run a validator propose and vote",
    "gov.vote": "only agencies that run a validator propose and vote",
    "gov.withdraw": "only the agency that proposed it may",
}
"""Operations that are of no service (docs/spec/operations.md and registry.md, sections 7 and 8)."""


def who_may(client: Client, refused: dict[str, Any]) -> str:
    """Who may do the operation that was refused, as far as a node says; `refused` is the answer of
    `tx_get`. Empty when nothing is known."""
    entry, raw = refused.get("entry"), refused.get("tx")
    if entry is None or raw is None:
        return ""
    try:
        operations = transaction.decode(
            raw.encode("ascii"),
            bytes_max=BOUNDS["transaction_bytes_max"][1],
            operations_max=BOUNDS["operations_max"][1],
        ).ops
        return _of(client, operations[entry["operation"]])
    except (CommandError, Inadmissible, LookupError, TypeError, ValueError, msgspec.MsgspecError):
        return ""  # the refusal itself is what matters


def _of(client: Client, operation: dict[str, Any]) -> str:
    match operation["op"]:
        case "record.create":
            kind = _newest(client, operation["type"])
            return _told(kind, CREATE, {"data": operation["data"]})
        case "record.act":
            record, kind = acted_on(client, operation["id"])
            known = {"data": record["data"], "input": operation["input"]}
            return _told(kind, operation["transition"], known)
        case "record.approve":
            return _of_waiting(client, operation)
        case "role.grant" | "role.revoke":
            return _of_role(client, operation)
        case op:
            return _FIXED.get(op, "")


def _of_waiting(client: Client, operation: dict[str, Any]) -> str:
    """Who may sign an act that waits."""
    wanted = {"record": operation["id"], "pending": operation["pending"]}
    task = client.call("task_get", wanted)["task"]
    if task["transition"] == CREATE:
        return _told(_newest(client, task["type"]), CREATE, {"data": task["input"]})
    record, kind = acted_on(client, task["record"])
    known = {"data": record["data"], "input": task["input"]}
    return _told(kind, task["transition"], known)


def _of_role(client: Client, operation: dict[str, Any]) -> str:
    role = operation["role"]
    text = client.call("state_get", {"key": f"roleroot/{role}"})["value"]
    if text is None:
        return f"nobody grants {role}: members vote who does, with a proposal of kind role-root"
    root = msgspec.json.decode(text)["party"]
    if operation["op"] == "role.revoke":
        return f"{root} may, who granted it or who holds it"
    return f"{role} is granted by {root}, or passed on by who may, as far as their own grant goes"


def _newest(client: Client, record_type: str) -> Type:
    """The type as records are created now. Raises CommandError."""
    definition = definition_of(client, owner_of(client, record_type) or "")
    return kind_of(definition, record_type)


def _told(kind: Type, act: str, known: Known) -> str:
    """Who may do an act of a type."""
    if act in kind.universal:
        return f"{act} is for {who(kind.universal[act], known)}"
    transition = kind.transitions[act]
    if transition.by is not None:
        return f"{act} is for {who(transition.by, known)}"
    if transition.auto:
        return f"nobody does {act} by hand: it happens when its time comes"
    return f"nobody does {act} by hand: another record's act does it"
