"""Lists that a command follows to their end, or to a bound that says how to go on."""

from __future__ import annotations

from typing import Any

import pytest

from node.answers import USAGE, CommandError
from node.client import Client
from node.commands import pages
from node.commands.pages import ITEMS_MAX, follow, told


class Listing(Client):
    """A node with one long list; the state moves after so many pages."""

    def __init__(self, size: int, empty_pages: int = 0, moves_after: int = 1_000) -> None:
        super().__init__(())
        self.size, self.empty_pages, self.moves_after = size, empty_pages, moves_after
        self.asked: list[dict[str, Any]] = []

    def call(self, method: str, params: dict[str, Any] | None = None, seconds: float = 15) -> Any:
        assert params is not None
        self.asked.append(params)
        first = int(params.get("cursor", "7:0").partition(":")[2])
        empty = len(self.asked) <= self.empty_pages
        last = first if empty else min(first + params["limit"], self.size)
        moved = len(self.asked) > self.moves_after
        return {
            "items": list(range(first, last)),
            "next_cursor": f"7:{last}" if last < self.size else None,
            "began": 7,
            "moved": moved,
            "at": {"height": 8 if moved else 7},
        }


@pytest.mark.parametrize("size", [0, 1, 50, 51, 100, 101, 999, 1_000])
def test_a_list_is_followed_to_its_end(size: int) -> None:
    node = Listing(size)
    answer = follow(node, "x_list", {"a": 1})
    assert answer["items"] == list(range(size))
    assert (answer["next_cursor"], answer["began"], answer["moved"]) == (None, 7, False)
    assert all(params["a"] == 1 and 1 <= params["limit"] <= 100 for params in node.asked)


def test_beyond_the_bound_it_says_how_to_go_on() -> None:
    node = Listing(2_500)
    answer = follow(node, "x_list", {})
    assert (len(answer["items"]), answer["next_cursor"]) == (ITEMS_MAX, "7:1000")
    assert told(["a"], answer, "none") == "a\nthere is more; go on with: --cursor 7:1000"
    rest = follow(node, "x_list", {}, 5_000, answer["next_cursor"])
    assert answer["items"] + rest["items"] == list(range(2_500))
    assert rest["next_cursor"] is None
    assert told([], rest, "none") == "none"
    few = follow(node, "x_list", {}, 130)
    assert (len(few["items"]), few["next_cursor"]) == (130, "7:130")


def test_pages_without_items_are_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert follow(Listing(3, empty_pages=9), "x_list", {})["items"] == [0, 1, 2]
    monkeypatch.setattr(pages, "SECONDS_MAX", 0.0)  # a list ends, whatever its pages hold
    answer = follow(Listing(3, empty_pages=9), "x_list", {})
    assert (answer["items"], answer["next_cursor"]) == ([], "7:0")


def test_a_state_that_moved_is_told() -> None:
    answer = follow(Listing(350, moves_after=2), "x_list", {})
    assert (answer["moved"], answer["began"], answer["at"]["height"]) == (True, 7, 8)


@pytest.mark.parametrize("cursor", ["", "x", "7", "7:", ":7", "7:a b", "7:" + "a" * 300])
def test_a_cursor_that_is_none(cursor: str) -> None:
    with pytest.raises(CommandError) as caught:
        follow(Listing(3), "x_list", {}, cursor=cursor)
    assert (caught.value.code, caught.value.reason) == (USAGE, "CURSOR_INVALID")
    assert caught.value.hint
