"""What must hold of any chain that services ran on, read from its store."""

from __future__ import annotations

from collections import defaultdict

from ledger import canonical
from ledger.registry import balances
from ledger.store import Store
from node.chain import Chain
from node.feed import Feed


def accounts(store: Store) -> list[tuple[str, str]]:
    """(unit, account) of every account that was ever used."""
    found = {tuple(key[1:].split(b"\x00")[:2]) for key, _ in store.scan(b"y")}
    held = {key.removeprefix(b"sbalance/") for key, _ in store.scan(b"sbalance/")}
    assert held <= {b"/".join(pair) for pair in found}
    return sorted((unit.decode("ascii"), account.decode("ascii")) for unit, account in found)


def check_balances(chain: Chain, store: Store) -> None:
    """Statements add up to balances, and balances of a unit to its supply."""
    held: dict[str, int] = defaultdict(int)
    for unit, account in accounts(store):
        rows = list(balances.statement(store, unit, account))
        amount = balances.balance(chain.state, unit, account)
        assert sum(row.delta for _, _, row in rows) == amount == rows[0][2].balance
        held[unit] += amount
    for unit, amount in held.items():
        supply = balances.supply(chain.state, unit)
        assert amount == supply.minted - supply.burned


def check_feed(chain: Chain, store: Store) -> None:
    """Who subscribes to records hears of every version of every record, once and in order."""
    feed = Feed(chain)
    told: dict[str, list[int | None]] = defaultdict(list)
    for height in range(chain.height + 1):
        for notice in feed.notices(height, "records"):
            told[notice.id].append(canonical.decode(notice.result)["seq"])
    for key, value in store.scan(b"srecord/"):
        newest = canonical.decode(value)["seq"]
        versions = told.pop(key.decode("ascii").removeprefix("srecord/"))
        # A refused timer writes a version that its entry does not number.
        numbered = [n if seq is None else seq for n, seq in enumerate(versions)]
        assert numbered == list(range(newest + 1))
    assert not told
