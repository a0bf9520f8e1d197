"""The registry of operations: name to schema and handler (docs/spec/operations.md)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from ledger.modules import document, party, registry, system
from ledger.operation import Module, Operation, OperationType
from ledger.transaction import Inadmissible, Transaction


def _register(modules: tuple[Module, ...]) -> Mapping[str, OperationType]:
    registry: dict[str, OperationType] = {}
    for module in modules:
        for name, operation in module.OPERATIONS.items():
            assert name not in registry, f"two modules define {name}"
            registry[name] = operation
    return MappingProxyType(registry)


REGISTRY: Final = _register((document, party, registry, system))
"""Every operation of the ledger by name."""


def parse_operations(
    transaction: Transaction, registry: Mapping[str, OperationType] = REGISTRY
) -> tuple[Operation, ...]:
    """The transaction's operations, typed. Raises Inadmissible.

    TX_UNKNOWN_OPERATION when any name is unknown, else TX_SCHEMA_INVALID when any member is not
    as specified; the detail names operation and member.
    """
    types: list[OperationType] = []
    for operation in transaction.ops:
        kind = registry.get(operation["op"])
        if kind is None:
            raise Inadmissible("TX_UNKNOWN_OPERATION", f"op {operation['op'][:64]!r}")
        types.append(kind)
    parsed: list[Operation] = []
    for index, (operation, kind) in enumerate(zip(transaction.ops, types, strict=True)):
        try:
            fields = msgspec.convert(operation, kind.fields)
        except msgspec.ValidationError as error:
            raise Inadmissible("TX_SCHEMA_INVALID", f"ops[{index}]: {error}") from None
        parsed.append(Operation(operation["op"], fields, kind.apply))
    return tuple(parsed)
