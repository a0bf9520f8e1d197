"""Lists longer than a page: followed to their end, or to a bound that says how to go on."""

from __future__ import annotations

import re
import time
from typing import Annotated, Any, Final

import typer

from node import answers
from node.answers import CommandError
from node.client import Client

PAGE: Final = 100
"""Most items that a node gives at once (docs/spec/rpc.md)."""
ITEMS_MAX: Final = 1_000
SECONDS_MAX: Final = 60.0
"""A page may hold nothing and have a next one; a list ends here even so."""
_CURSOR = re.compile("[0-9]{1,16}:[!-~]{1,239}", re.ASCII)
PLACE: Final = re.compile("[0-9a-f]{24}", re.ASCII)
"""Cursor of a statement of account, whose items never move."""

LimitOption = Annotated[int, typer.Option(min=1, max=100_000, help="Most items to show.")]
CursorOption = Annotated[
    str | None, typer.Option(help="Go on where an earlier list ended: its next_cursor.")
]


def follow(
    client: Client,
    method: str,
    params: dict[str, Any],
    limit: int = ITEMS_MAX,
    cursor: str | None = None,
    member: str = "items",
    form: re.Pattern[str] = _CURSOR,
) -> dict[str, Any]:
    """A list's pages as one answer; `next_cursor` is null when it came to its end.

    `began` is where the first page stood, `at` where the last one did, and `moved` whether any page
    stood elsewhere than the first. `form` is what a cursor of this list looks like.
    Raises CommandError.
    """
    if cursor is not None and form.fullmatch(cursor) is None:
        detail = f"--cursor {cursor!r}: want the next_cursor of an earlier list"
        hint = "leave --cursor away to begin at the first item"
        raise CommandError(answers.USAGE, "CURSOR_INVALID", detail, hint)
    items: list[Any] = []
    moved = False
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        asked = {**params, "limit": min(PAGE, limit - len(items))}
        answer = client.call(method, asked if cursor is None else {**asked, "cursor": cursor})
        items += answer[member]
        moved = moved or answer.get("moved", False)
        cursor = answer["next_cursor"]
        if cursor is None or len(items) >= limit or time.monotonic() >= deadline:
            whole = {**answer, member: items}
            return {**whole, "moved": moved} if "moved" in answer else whole


def told(lines: list[str], answer: dict[str, Any], nothing: str) -> str:
    """Lines for people; the last one says how to go on when the list did not end."""
    following = answer["next_cursor"]
    if following is None:
        return "\n".join(lines) or nothing
    return "\n".join([*lines, f"there is more; go on with: --cursor {following}"])
