"""Statements of account: every change is posted once, in order, and adds up to the balance."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.ids import Height
from ledger.leveldb import LevelStore
from ledger.registry import balances
from ledger.registry.definition import Unit
from ledger.state import Draft, State
from ledger.store import MemoryStore, Store
from ledger.tree import Tree
from node.authoring.stage import Stage
from node.methods import registry
from node.methods.registry import StatementOf
from node.service import NodeService
from tests.ledger.registry import specimen

UNIT = "odd.money"
ACCOUNTS = ("party:a#x", "party:a#xx", "party:a#x#", "party:b#x")
"""One is a prefix of another: their postings must not mix."""


@dataclass
class Cause:
    """An act as the balances see it."""

    draft: Draft
    height: Height
    tx: str
    timer: str


class Books:
    """A store that blocks of balance changes are written to."""

    def __init__(self, store: Store | None = None) -> None:
        self.store = store or MemoryStore()
        self.state = State(self.store, Tree.empty())
        self.height = 0

    def block(self, acts: list[tuple[list[tuple[str, str, str, int]], bool]]) -> None:
        """Acts in order, each of moves that are all kept or all rolled back."""
        self.height += 1
        draft = self.state.draft()
        for number, (changes, kept) in enumerate(acts):
            draft.savepoint()
            timer = number % 3 == 0
            cause = Cause(
                draft,
                Height(self.height),
                "" if timer else f"{number:064x}",
                f"funds-x/{number:032x}#lapse" if timer else "",
            )
            for kind, source, target, amount in changes:
                if kind == "mint":
                    balances.mint(cause, UNIT, target, amount)
                elif kind == "burn":
                    balances.burn(cause, UNIT, source, amount)
                else:
                    balances.move(cause, UNIT, source, target, amount)
            if not kept:
                draft.rollback()
        state = draft.seal()
        self.store.stage(state.writes)
        self.store.flush()
        state.detach()
        self.state = state

    def rows(self, account: str, start: bytes = b"") -> list[tuple[int, int, balances.Posting]]:
        """The statement, newest first."""
        return list(balances.statement(self.store, UNIT, account, start))


def check(books: Books) -> None:
    """The statements explain the balances, and the balances the supply."""
    held = 0
    for account in ACCOUNTS:
        rows = books.rows(account)[::-1]
        running = 0
        for (height, number, row), before in zip(rows, [None, *rows], strict=False):
            running += row.delta
            assert row.delta
            assert row.balance == running >= 0
            assert bool(row.tx) != bool(row.timer)
            if before is not None and before[0] == height:
                assert number == before[1] + 1
            else:
                assert number == 0
                assert before is None or before[0] < height
        assert running == balances.balance(books.state, UNIT, account)
        held += running
    supply = balances.supply(books.state, UNIT)
    assert held == supply.minted - supply.burned


account = st.sampled_from(ACCOUNTS)
change = st.tuples(st.sampled_from(["mint", "move", "burn"]), account, account, st.integers(0, 50))
act = st.tuples(st.lists(change, max_size=6), st.sampled_from([True, True, False]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(act, max_size=5), max_size=6))
def test_deltas_add_up_to_the_balance_whatever_is_done_and_undone(
    blocks: list[list[tuple[list[tuple[str, str, str, int]], bool]]],
) -> None:
    books = Books()
    for block in blocks:
        books.block(block)
        check(books)


def test_the_database_gives_the_same_statement_as_memory(tmp_path: Path) -> None:
    memory, disk = Books(), Books(LevelStore(tmp_path / "db", create_if_missing=True))
    for books in (memory, disk):
        for number in range(300):
            name = ACCOUNTS[number % 4]
            books.block([([("mint", "", name, 5), ("burn", name, "", 2)], True)] * 3)
        check(books)
    for name in ACCOUNTS:
        assert memory.rows(name) == disk.rows(name)
        place = (40).to_bytes(8, "big") + (3).to_bytes(4, "big")
        assert memory.rows(name, place) == disk.rows(name, place) != []
        assert memory.rows(name, place)[0][:2] <= (40, 3)
    disk.store.close()


def test_postings_are_beside_the_state_tree() -> None:
    books = Books()
    books.block([([("mint", "", ACCOUNTS[0], 5), ("burn", ACCOUNTS[0], "", 5)], True)])
    assert [row.delta for _, _, row in books.rows(ACCOUNTS[0])] == [-5, 5]
    keys = [key for key, _ in books.store.scan(b"s")]
    assert keys == [b"ssupply/odd.money"]


@cache
def in_force() -> State:
    """A state in which there is such a unit."""
    stage = Stage()
    box = specimen.kind()
    stage.activate(specimen.service({"box": box}, units={"money": Unit(types=("box",))}))
    return stage.state


def pages(books: Books, account: str, limit: int) -> list[dict[str, Any]]:
    """All items of balance_statement, page by page."""
    chain = SimpleNamespace(height=books.height, block_hash=b"", state=in_force())
    door = SimpleNamespace(chain=chain, machine=SimpleNamespace(store=books.store))
    (method,) = (
        item
        for item in registry.methods(cast(NodeService, door))
        if item.name == "balance_statement"
    )
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        params = StatementOf(unit=UNIT, account=account, limit=limit, cursor=cursor)
        answer = asyncio.run(cast(Any, method.handler(params)))
        assert len(answer["items"]) <= limit
        items += answer["items"]
        cursor = answer["next_cursor"]
        if cursor is None:
            return items


def test_pages_are_the_whole_statement_without_double() -> None:
    books = Books()
    for _ in range(4):
        books.block([([("mint", "", ACCOUNTS[0], 5), ("burn", ACCOUNTS[0], "", 2)], True)] * 2)
    whole = pages(books, ACCOUNTS[0], 100)
    assert len(whole) == 16
    assert [(item["height"], item["number"]) for item in whole][:5] == [
        (4, 3),
        (4, 2),
        (4, 1),
        (4, 0),
        (3, 3),
    ]
    assert whole[0]["tx"] == f"{1:064x}"
    assert whole[2]["timer"] == {"record": f"funds-x/{0:032x}", "name": "lapse"}
    assert sum(item["delta"] for item in whole) == 24 == whole[0]["balance"]
    for limit in (1, 3, 4, 16):
        assert pages(books, ACCOUNTS[0], limit) == whole
    assert pages(books, "party:nobody#x", 5) == []
