"""What an operation is, what it may see, and how it says no."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import msgspec

from ledger.crypto import Verifier
from ledger.ids import ChainId, Height
from ledger.parameters import Parameters
from ledger.parties import Party, find_party, party_key
from ledger.state import Draft
from ledger.transaction import Transaction
from ledger.validators import ValidatorSet


class Refusal(msgspec.Struct, frozen=True):
    """The operation's answer is no; `reason` is a stable code of docs/spec/operations.md."""

    reason: str
    results: tuple[dict[str, Any], ...] = ()
    """What failed, in the service's own words: which guard, which field."""


Outcome: TypeAlias = dict[str, Any] | Refusal
"""An operation's result object, or its refusal."""


class Context(msgspec.Struct):
    """What an operation may see and do: the draft, its block, its transaction."""

    draft: Draft
    chain: ChainId
    height: Height
    time_ms: int
    parameters: Parameters
    validators: ValidatorSet
    """The set in force in this block."""
    verifier: Verifier
    transaction: Transaction
    party: Party
    """The submitter as the transaction's first operation finds it; see `issuer`."""
    index: int = 0
    """Index of the operation in its transaction, from 0."""
    expression_cost: int = 0
    """What the transaction's expressions have cost so far."""
    effects: int = 0
    """How many effects the transaction has had so far."""

    def issuer(self) -> Party:
        """The submitter as it is now: an earlier operation may have changed it (of an earlier
        transaction, `party` knows)."""
        iss = self.transaction.iss
        if self.index and self.draft.wrote(party_key(iss)):
            party = find_party(self.draft, iss)
            assert party is not None, "a party is never deleted"
            return party
        return self.party


class OperationType(msgspec.Struct, frozen=True):
    """One kind of operation."""

    fields: Any
    """Schema of its members, `op` included: a Struct or a tagged union of them. Their
    `__post_init__` may raise ValueError."""
    apply: Callable[[Any, Context], Outcome]
    """Executes it on the draft. A refusal may leave writes behind: the executor rolls back."""


class Operation(msgspec.Struct, frozen=True, gc=False):
    """An operation whose form is valid."""

    name: str
    fields: msgspec.Struct
    apply: Callable[[Any, Context], Outcome]


class Module(Protocol):
    """A group of operations. Modules know nothing of one another."""

    @property
    def OPERATIONS(self) -> Mapping[str, OperationType]:
        """By whole name, `<module>.<name>`."""
        ...
