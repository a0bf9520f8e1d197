"""Operations that somebody wrote down: of the form and the kinds that services want, before they
are signed. What is signed stays readable in a block, also when it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from ledger.ids import ChainId, PartyId
from ledger.modules.registry import ActOn, Create
from ledger.records import record_id
from ledger.registry.definition import Definition, Type
from ledger.registry.fields import Field
from node import answers
from node.answers import CommandError
from node.client import Client
from node.commands.context import Session
from node.commands.types import (
    acted_on,
    definition_of,
    given,
    inputs,
    kind_of,
    owner_of,
    unknown_type,
)
from node.commands.values import OnChain, check, check_names

_Form = TypeVar("_Form")


def check_operations(session: Session, operations: Sequence[Any], jti: str) -> None:
    """Asks a node for the definitions of services whose records are created or acted on.

    Raises CommandError for the first record.create or record.act that is of no known type or act,
    or whose values are not of their fields' kinds. Other operations have fixed forms, which the
    node checks before it takes them.
    """
    sheet = _Sheet(session.client, ChainId(session.profile.chain_id), session.party, jti)
    for index, operation in enumerate(operations):
        if isinstance(operation, dict):
            sheet.check(index, operation)


class _Sheet(OnChain):
    """What is on the chain, and what operations before the present one add to it."""

    def __init__(self, client: Client, chain: ChainId, party: PartyId, jti: str) -> None:
        super().__init__(client)
        self._chain, self._party, self._jti = chain, party, jti
        self._parties: set[str] = set()
        self._created: dict[str, tuple[str, Type]] = {}
        """Record id -> its type's name, and the type."""
        self._definitions: dict[tuple[str, int], Definition] = {}

    def party_exists(self, party: str) -> bool:
        return party in self._parties or super().party_exists(party)

    def record_type(self, record: str) -> str | None:
        made = self._created.get(record)
        return super().record_type(record) if made is None else made[0]

    def check(self, index: int, operation: dict[str, Any]) -> None:
        """Raises CommandError."""
        match operation.get("op"):
            case "record.create":
                self._creation(index, _of_form(Create, operation, index))
            case "record.act":
                self._act(index, _of_form(ActOn, operation, index))
            case "party.register" if isinstance(operation.get("party"), str):
                self._parties.add(operation["party"])
            case _:
                pass

    def _creation(self, index: int, operation: Create) -> None:
        service = owner_of(self._client, operation.type)
        if service is None:
            raise unknown_type(self._client, operation.type)
        wanted = (service, operation.version)
        if wanted not in self._definitions:
            self._definitions[wanted] = definition_of(self._client, *wanted)
        kind = kind_of(self._definitions[wanted], operation.type)
        # What is missing may still be set by the service's own effects.
        self._values(given(kind), operation.data, f"ops[{index}].data.", kind.fields)
        name = record_id(operation.type, self._chain, self._party, self._jti, index)
        self._created[name] = (operation.type, kind)

    def _act(self, index: int, operation: ActOn) -> None:
        kind = self._kind(operation.id, index)
        form = inputs(kind).get(operation.transition)
        if form is None:
            there = ", ".join(inputs(kind)) or "none"
            detail = f"ops[{index}]: there is no act {operation.transition}; there are: {there}"
            raise CommandError(answers.USAGE, "ACT_UNKNOWN", detail)
        where = f"ops[{index}].input."
        self._values(form, operation.input, where, {})
        missing = [n for n, f in form.items() if f.required and operation.input.get(n) is None]
        if missing:
            detail = f"missing: {', '.join(where + name for name in missing)}"
            raise CommandError(answers.USAGE, "FIELDS_MISSING", detail)

    def _kind(self, record: str, index: int) -> Type:
        """The type of a record that is acted on. Raises CommandError."""
        if record in self._created:
            return self._created[record][1]
        try:
            return acted_on(self._client, record)[1]
        except CommandError as error:
            if error.reason == "RECORD_UNKNOWN":
                error.message = f"ops[{index}].id: {error.message}"
                if index:
                    error.hint = "if effects of an operation before make it: --no-check"
            raise

    def _values(
        self,
        form: Mapping[str, Field],
        values: Mapping[str, Any],
        where: str,
        fields_of_type: Mapping[str, Field],
    ) -> None:
        check_names(form, values, fields_of_type, where)
        check(form, {n: v for n, v in values.items() if v is not None}, self, where)


def _of_form(form: type[_Form], operation: dict[str, Any], index: int) -> _Form:
    """The operation, typed. Raises CommandError."""
    try:
        return msgspec.convert(operation, form)
    except msgspec.ValidationError as error:
        detail = f"ops[{index}]: {error}; nothing was signed"
        raise CommandError(answers.USAGE, "OPERATION_INVALID", detail) from None
