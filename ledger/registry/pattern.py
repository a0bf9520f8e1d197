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
_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
"""What may be escaped. ASCII: what a letter is differs between versions of Python."""


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
        self._length = 0
        self._runs: list[tuple[_Item, int]] = []
        """Equal items that follow each other, and the bits of their positions."""
        position = 0
        while position < len(source):
            characters, negated, position = _read_set(source, position)
            low, high, position = _read_repeat(source, position)
            self._append(_Item(characters, negated, False, False), low)
            if high is None:
                self._append(_Item(characters, negated, True, True), 1)
            else:
                self._append(_Item(characters, negated, True, False), high - low)
            if self._length > POSITIONS_MAX:
                raise ValueError(f"pattern: more than {POSITIONS_MAX} positions")
        self._prepare()

    def matches(self, text: str) -> bool:
        """Whether the whole text matches; a few machine operations on positions / 64 words a
        character. Bit i of a set of states says that the items before i have been consumed."""
        states = self._reach(1)
        for character in text:
            taking = self._taking.get(character, self._open)
            consumed = states & taking
            states = self._reach((consumed & ~self._repeated) << 1 | (consumed & self._repeated))
            if not states:
                return False
        return bool(states >> self._length & 1)

    def _append(self, item: _Item, count: int) -> None:
        self._runs.append((item, ((1 << count) - 1) << self._length))
        self._length += count

    @property
    def takes_anything(self) -> bool:
        """Whether some position takes any character, or any but some."""
        return self._open != 0

    def _prepare(self) -> None:
        """Bit sets of the positions by what they do."""
        self._optional = self._repeated = self._open = 0
        for item, bits in self._runs:
            self._optional |= bits * item.optional
            self._repeated |= bits * item.repeated
            self._open |= bits * (item.characters is None or item.negated)
        # The bit behind each run of positions that may be skipped.
        self._behind = (self._optional << 1) & ~self._optional
        self._taking: dict[str, int] = {}
        named = {c for item, _ in self._runs for c in item.characters or ()}
        for character in sorted(named):
            # Runs have no bit in common.
            self._taking[character] = sum(
                bits for item, bits in self._runs if item.takes(character)
            )

    def _reach(self, states: int) -> int:
        """States that follow without a character, because positions may be skipped.

        Adding a state to its run of optional positions carries into the bit behind the run;
        subtracting it from that bit sets every bit between.
        """
        starts = states & self._optional
        ends = (self._optional + starts) & self._behind
        return states | ends | (ends - starts)


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
        raise ValueError(f"pattern: {character!a} at {position} is not supported")
    return frozenset(character), False, position + 1


def _escaped(source: str, position: int) -> str:
    if position >= len(source) or source[position] not in _PUNCTUATION:
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
