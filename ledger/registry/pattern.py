"""Patterns of string fields: a small subset of regular expressions in linear time.

Items: a literal character, `.`, a class `[...]` or `[^...]`, or an escape `\\x` of a punctuation
character; each may be repeated by `?`, `*`, `+`, `{m}` or `{m,n}`. No groups, no alternation: there
is nothing to backtrack over, and the automaton's states are positions in the list of items.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

PATTERN_LENGTH_MAX = 128
REPEAT_MAX = 256
POSITIONS_MAX = 1_024
"""Items after repetition is written out; the automaton holds at most so many states."""
_SPECIAL = frozenset("\\[](){}.*+?|^$")


@dataclass(frozen=True, slots=True)
class _Item:
    """One position: which characters it takes, and whether it may be skipped or repeated."""

    characters: frozenset[str] | None
    """None: any character."""
    negated: bool
    optional: bool
    repeated: bool

    def takes(self, character: str) -> bool:
        """Whether this position consumes `character`."""
        if self.characters is None:
            return True
        return (character in self.characters) != self.negated


class Pattern:
    """A compiled pattern; it matches whole texts."""

    def __init__(self, source: str) -> None:
        """Raises ValueError on anything outside the subset."""
        if len(source) > PATTERN_LENGTH_MAX:
            raise ValueError(f"pattern: want at most {PATTERN_LENGTH_MAX} characters")
        self._items: list[_Item] = []
        position = 0
        while position < len(source):
            characters, negated, position = _read_set(source, position)
            low, high, position = _read_repeat(source, position)
            self._items += [_Item(characters, negated, False, False)] * low
            if high is None:
                self._items.append(_Item(characters, negated, True, True))
            else:
                self._items += [_Item(characters, negated, True, False)] * (high - low)
            if len(self._items) > POSITIONS_MAX:
                raise ValueError(f"pattern: more than {POSITIONS_MAX} positions")

    def matches(self, text: str) -> bool:
        """Whether the whole text matches; at most len(text) x positions steps."""
        states = self._reach({0})
        for character in text:
            following: set[int] = set()
            for state in states:
                if state < len(self._items) and self._items[state].takes(character):
                    following.add(state if self._items[state].repeated else state + 1)
            if not following:
                return False
            states = self._reach(following)
        return len(self._items) in states

    def _reach(self, states: set[int]) -> set[int]:
        """States that follow without a character, because positions may be skipped."""
        reached = set(states)
        for state in sorted(states):
            while state < len(self._items) and self._items[state].optional:
                state += 1
                if state in reached:
                    break
                reached.add(state)
        return reached


def _read_set(source: str, position: int) -> tuple[frozenset[str] | None, bool, int]:
    """The characters of the item at `position`: (set or None for any, negated, next position)."""
    character = source[position]
    if character == ".":
        return None, False, position + 1
    if character == "\\":
        return frozenset(_escaped(source, position + 1)), False, position + 2
    if character == "[":
        return _read_class(source, position + 1)
    if character in _SPECIAL:
        raise ValueError(f"pattern: {character!r} at {position} is not supported")
    return frozenset(character), False, position + 1


def _escaped(source: str, position: int) -> str:
    if position >= len(source) or source[position].isalnum():
        raise ValueError("pattern: only punctuation can be escaped")
    return source[position]


def _read_class(source: str, position: int) -> tuple[frozenset[str], bool, int]:
    negated = source[position : position + 1] == "^"
    position += negated
    characters: set[str] = set()
    while position < len(source) and source[position] != "]":
        first = source[position]
        if first == "\\":
            first = _escaped(source, position + 1)
            position += 1
        elif first == "[":
            raise ValueError("pattern: '[' inside a class must be escaped")
        position += 1
        if source[position : position + 1] == "-" and source[position + 1 : position + 2] not in (
            "",
            "]",
        ):
            last = source[position + 1]
            if last == "\\" or ord(last) < ord(first) or ord(last) > 0x7F:
                raise ValueError(f"pattern: class range {first}-{last} is not supported")
            characters.update(chr(code) for code in range(ord(first), ord(last) + 1))
            position += 2
        else:
            characters.add(first)
    if position >= len(source) or not characters:
        raise ValueError("pattern: a class is empty or not closed")
    return frozenset(characters), negated, position + 1


def _read_repeat(source: str, position: int) -> tuple[int, int | None, int]:
    """(least, most or None for no limit, next position)."""
    character = source[position : position + 1]
    if character == "?":
        return 0, 1, position + 1
    if character == "*":
        return 0, None, position + 1
    if character == "+":
        return 1, None, position + 1
    if character != "{":
        return 1, 1, position
    end = source.find("}", position)
    low, comma, high = source[position + 1 : end].partition(",")
    if end < 0 or not _is_number(low) or (comma and not _is_number(high)):
        raise ValueError("pattern: want {m} or {m,n}")
    least, most = int(low), int(high) if comma else int(low)
    if not least <= most <= REPEAT_MAX or most == 0:
        raise ValueError(f"pattern: repetition {least},{most}: want at most {REPEAT_MAX}")
    return least, most, end + 1


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3


@lru_cache(maxsize=1_024)
def compiled(source: str) -> Pattern:
    """The pattern of a source text. Raises ValueError."""
    return Pattern(source)
