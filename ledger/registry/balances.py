"""Double-entry balances: never negative, supply conserved (registry.md, section 3).

Every change of an account is posted to table `y` beside the state (formats, section 13), so that
a statement of account needs no search through blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

import msgspec

from ledger import canonical
from ledger.ids import INTEGER_MAX, Height
from ledger.state import Draft, Reader
from ledger.store import Store

STATEMENT_TABLE: Final = b"y"
PLACE_BYTES: Final = 12
"""Of a posting: 8-byte height, 4-byte running number in the block."""


class Amount(msgspec.Struct, frozen=True):
    """Value of `balance/<unit>/<account>`."""

    amount: int


class Supply(msgspec.Struct, frozen=True):
    """Value of `supply/<unit>`."""

    minted: int
    burned: int


class Posting(msgspec.Struct, frozen=True, array_like=True):
    """One change of an account, as table `y` holds it (MessagePack)."""

    tx: str
    """Transaction id, hex; empty when a timer fired."""
    timer: str
    """`<record id>#<timer name>`; empty when a transaction did it."""
    delta: int
    balance: int
    """The account's amount after the change."""


class Cause(Protocol):
    """Why balances change: the act, and the block that it is in."""

    draft: Draft
    height: Height
    tx: str
    timer: str


_amount = msgspec.json.Decoder(Amount)
_supply = msgspec.json.Decoder(Supply)


def balance_key(unit: str, account: str) -> bytes:
    """State key of a balance."""
    return f"balance/{unit}/{account}".encode("ascii")


def supply_key(unit: str) -> bytes:
    """State key of a unit's supply."""
    return f"supply/{unit}".encode("ascii")


def balance(state: Reader, unit: str, account: str) -> int:
    """Amount on an account; 0 when it was never used."""
    key = balance_key(unit, account)
    value = state.get(key) if state.has(key) else None  # accounts are new as often as not
    return 0 if value is None else _amount.decode(value).amount


def supply(state: Reader, unit: str) -> Supply:
    """What was minted and burned of a unit."""
    value = state.get(supply_key(unit))
    return Supply(0, 0) if value is None else _supply.decode(value)


def account_prefix(unit: str, account: str) -> bytes:
    """Raw key of an account's newest place; its postings follow under this prefix."""
    return STATEMENT_TABLE + f"{unit}\x00{account}\x00".encode("ascii")


def statement(
    store: Store, unit: str, account: str, start: bytes = b""
) -> Iterator[tuple[int, int, Posting]]:
    """(height, number, posting) of an account, newest first, from place `start` downwards.

    Reads the store alone: the caller's head must be staged there.
    """
    prefix = account_prefix(unit, account)
    for key, value in store.scan(prefix, prefix + start if start else b"", reverse=True):
        place = key[len(prefix) :]
        if not place:
            return  # the row of the newest place stands before all postings
        yield int.from_bytes(place[:8], "big"), int.from_bytes(place[8:], "big"), _row(value)


_row = msgspec.msgpack.Decoder(Posting).decode


def _change(cause: Cause, unit: str, account: str, before: int, delta: int) -> None:
    """Change an amount that was `before`, and post the change."""
    if not delta:
        return
    draft = cause.draft
    amount = before + delta
    assert 0 <= amount <= INTEGER_MAX
    if amount:
        draft.put(balance_key(unit, account), canonical.encode(Amount(amount)))
    else:
        draft.delete(balance_key(unit, account))
    prefix = account_prefix(unit, account)
    newest = draft.written(prefix)  # a posting of this height is of this block
    number = 0 if newest is None else int.from_bytes(newest[8:], "big") + 1
    place = cause.height.to_bytes(8, "big") + number.to_bytes(4, "big")
    posting = Posting(cause.tx, cause.timer, delta, amount)
    draft.write(prefix + place, msgspec.msgpack.encode(posting))
    draft.write(prefix, place)


def move(cause: Cause, unit: str, source: str, target: str, amount: int) -> str:
    """Move an amount; empty, or the stable reason why not."""
    if amount < 0:
        return "AMOUNT_NEGATIVE"
    held = balance(cause.draft, unit, source)
    if held < amount:
        return "BALANCE_SHORT"
    _change(cause, unit, source, held, -amount)
    _change(cause, unit, target, balance(cause.draft, unit, target), amount)
    return ""


def mint(cause: Cause, unit: str, account: str, amount: int) -> str:
    """Bring an amount into being; empty, or the stable reason why not."""
    if amount < 0:
        return "AMOUNT_NEGATIVE"
    known = supply(cause.draft, unit)
    if known.minted + amount > INTEGER_MAX:
        return "SUPPLY_OVERFLOW"
    _change(cause, unit, account, balance(cause.draft, unit, account), amount)
    minted = Supply(known.minted + amount, known.burned)
    cause.draft.put(supply_key(unit), canonical.encode(minted))
    return ""


def burn(cause: Cause, unit: str, account: str, amount: int) -> str:
    """Take an amount out of being; empty, or the stable reason why not."""
    if amount < 0:
        return "AMOUNT_NEGATIVE"
    held = balance(cause.draft, unit, account)
    if held < amount:
        return "BALANCE_SHORT"
    known = supply(cause.draft, unit)
    _change(cause, unit, account, held, -amount)
    burned = Supply(known.minted, known.burned + amount)
    cause.draft.put(supply_key(unit), canonical.encode(burned))
    return ""
