"""Admission: whether a transaction can be in a block at all (docs/spec/formats.md, section 3).

`parse` needs no state. The other rules stand here one by one, in the order of the specification's
table: a node asks them before it takes a transaction, the executor before it runs one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NoReturn

import msgspec

from ledger import marks, modules, transaction
from ledger.crypto import Verifier
from ledger.ids import ChainId, Kid, TxId
from ledger.operation import Operation
from ledger.parameters import Parameters
from ledger.parties import KeyStatus, Party, PartyKey, decode_party, find_owner, party_key
from ledger.state import Reader
from ledger.transaction import Inadmissible, Transaction


class Replayed(Inadmissible):
    """TX_REPLAYED: `first` is the transaction that used (iss, jti)."""

    def __init__(self, first: TxId) -> None:
        super().__init__("TX_REPLAYED", f"iss and jti were used by {first.hex()}")
        self.first = first


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """A transaction that is right as far as it can be told without the state."""

    transaction: Transaction
    operations: tuple[Operation, ...]


def parse(raw: bytes, parameters: Parameters, chain: ChainId, txid: TxId | None = None) -> Admitted:
    """The stateless rules, TX_TOO_LARGE to TX_WRONG_CHAIN. `txid` is the SHA-256 of `raw` if the
    caller knows it. Raises Inadmissible."""
    decoded = transaction.decode(
        raw,
        bytes_max=parameters.transaction_bytes_max,
        operations_max=parameters.operations_max,
        txid=txid,
    )
    operations = modules.parse_operations(decoded)
    if decoded.aud != chain:
        raise Inadmissible("TX_WRONG_CHAIN", f"aud: want {chain}, got {decoded.aud}")
    return Admitted(decoded, operations)


class Signatory(msgspec.Struct, frozen=True):
    """A party and one of its keys."""

    party: Party
    key: PartyKey
    can_sign: bool
    public_key: bytes
    """32 bytes."""


def resolve(tx: Transaction, state: Reader) -> Signatory:
    """The submitter and the key it names. Raises Inadmissible: TX_UNKNOWN_KEY, TX_KEY_REVOKED."""
    value = state.get(party_key(tx.iss))
    found = None if value is None else _signatory(value, tx.kid)
    if found is None:
        _refuse_unlisted(tx, state)
    if not found.can_sign:
        raise Inadmissible("TX_UNKNOWN_KEY", "kid names a key that cannot sign")
    if found.key.status is not KeyStatus.ACTIVE:
        raise Inadmissible("TX_KEY_REVOKED", f"the key was {found.key.status.value}")
    return found


@lru_cache(maxsize=8_192)
def _signatory(value: bytes, kid: Kid) -> Signatory | None:
    """A pure function of the party's bytes, asked for with the same ones by every transaction."""
    party = decode_party(value)
    key = party.key(kid)
    return None if key is None else Signatory(party, key, key.can_sign, key.public_key)


def _refuse_unlisted(tx: Transaction, state: Reader) -> NoReturn:
    """A party lists only its newest keys out of force; `key/<kid>` remembers them all."""
    owner = find_owner(state, tx.kid)
    if owner is None or owner.party != tx.iss:
        raise Inadmissible("TX_UNKNOWN_KEY", f"kid is not registered to {tx.iss}")
    raise Inadmissible("TX_KEY_REVOKED", f"the key was {owner.status.value}")


def check_signature(tx: Transaction, public_key: bytes, verifier: Verifier) -> None:
    """Raises Inadmissible: TX_SIGNATURE_INVALID."""
    if not verifier.verify(public_key, tx.signing_input, tx.signature):
        raise Inadmissible("TX_SIGNATURE_INVALID", "the signature is not the key's")


def check_limits(tx: Transaction, parameters: Parameters) -> None:
    """Raises Inadmissible: TX_TOO_LARGE, TX_TOO_MANY_OPERATIONS.

    Parsing says so too, but other parameters may have been in force then.
    """
    if len(tx.raw) > parameters.transaction_bytes_max:
        raise Inadmissible("TX_TOO_LARGE", f"want at most {parameters.transaction_bytes_max} bytes")
    if len(tx.ops) > parameters.operations_max:
        raise Inadmissible("TX_TOO_MANY_OPERATIONS", f"want at most {parameters.operations_max}")


def check_time(tx: Transaction, time_ms: int, parameters: Parameters) -> None:
    """Raises Inadmissible: TX_EXPIRED, TX_EXPIRY_TOO_FAR. `time_ms` is the block's time."""
    expiry_ms = tx.exp * 1000
    if time_ms >= expiry_ms:
        raise Inadmissible("TX_EXPIRED", f"exp {tx.exp} is at or before {time_ms} ms")
    if expiry_ms > time_ms + parameters.expiry_ahead_max_ms:
        raise Inadmissible(
            "TX_EXPIRY_TOO_FAR", f"exp: want at most {parameters.expiry_ahead_max_ms} ms ahead"
        )


def check_replay(tx: Transaction, state: Reader, time_ms: int) -> None:
    """Raises Replayed when (iss, jti) has a live mark."""
    first = marks.find_mark(state, tx.iss, tx.jti, time_ms)
    if first is not None:
        raise Replayed(first)


def check_quota(count: int, parameters: Parameters) -> None:
    """Raises Inadmissible: PARTY_MARKS_FULL. `count` is the marks of the party's agency."""
    if count >= parameters.marks_per_party_max:
        raise Inadmissible(
            "PARTY_MARKS_FULL", f"the agency has {count} live marks; wait until some expire"
        )
