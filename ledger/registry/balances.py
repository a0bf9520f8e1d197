"""Double-entry balances: never negative, supply conserved (registry.md, section 3)."""

from __future__ import annotations

import msgspec

from ledger import canonical
from ledger.ids import INTEGER_MAX
from ledger.state import Draft, Reader


class Amount(msgspec.Struct, frozen=True):
    """Value of `balance/<unit>/<account>`."""

    amount: int


class Supply(msgspec.Struct, frozen=True):
    """Value of `supply/<unit>`."""

    minted: int
    burned: int


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
    value = state.get(balance_key(unit, account))
    return 0 if value is None else _amount.decode(value).amount


def supply(state: Reader, unit: str) -> Supply:
    """What was minted and burned of a unit."""
    value = state.get(supply_key(unit))
    return Supply(0, 0) if value is None else _supply.decode(value)


def _put(draft: Draft, unit: str, account: str, amount: int) -> None:
    if amount:
        draft.put(balance_key(unit, account), canonical.encode(Amount(amount)))
    else:
        draft.delete(balance_key(unit, account))


def move(draft: Draft, unit: str, source: str, target: str, amount: int) -> str:
    """Move an amount; empty, or the stable reason why not."""
    if amount < 0:
        return "AMOUNT_NEGATIVE"
    held = balance(draft, unit, source)
    if held < amount:
        return "BALANCE_SHORT"
    _put(draft, unit, source, held - amount)
    _put(draft, unit, target, balance(draft, unit, target) + amount)
    return ""


def mint(draft: Draft, unit: str, account: str, amount: int) -> str:
    """Bring an amount into being; empty, or the stable reason why not."""
    if amount < 0:
        return "AMOUNT_NEGATIVE"
    known = supply(draft, unit)
    if known.minted + amount > INTEGER_MAX:
        return "SUPPLY_OVERFLOW"
    _put(draft, unit, account, balance(draft, unit, account) + amount)
    draft.put(supply_key(unit), canonical.encode(Supply(known.minted + amount, known.burned)))
    return ""


def burn(draft: Draft, unit: str, account: str, amount: int) -> str:
    """Take an amount out of being; empty, or the stable reason why not."""
    if amount < 0:
        return "AMOUNT_NEGATIVE"
    held = balance(draft, unit, account)
    if held < amount:
        return "BALANCE_SHORT"
    known = supply(draft, unit)
    _put(draft, unit, account, held - amount)
    draft.put(supply_key(unit), canonical.encode(Supply(known.minted, known.burned + amount)))
    return ""
