"""Draws a type's machine as SVG: states in columns by their distance from the start.

Names of acts never cover one another or a state: an arc is bent until its name has room.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import count
from typing import Final, TypeAlias

from ledger.registry.definition import CREATE, Type

GAP: Final = 40
"""Between columns, besides room for the longest name of an act."""
ROW: Final = 96
BOX_HEIGHT: Final = 36
MARGIN: Final = 40
STATE_CHARACTER: Final = 8
"""Width of a character of 13 px, with some to spare: fonts differ."""
ACT_CHARACTER: Final = 7
ACT_HEIGHT: Final = 14
BEND: Final = 26
BEND_STEP: Final = 9
Box: TypeAlias = tuple[int, int, int, int]
"""Left, top, right, bottom."""


def meet(one: Box, other: Box) -> bool:
    """Whether two boxes share a point of their insides."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def label_box(x: int, y: int, text: str) -> Box:
    """Room for the name of an act, centred at (x, y)."""
    half = (len(text) * ACT_CHARACTER + 1) // 2 + 2
    return (x - half, y - ACT_HEIGHT // 2, x + half, y + ACT_HEIGHT // 2)


@dataclass(frozen=True, slots=True)
class _Arc:
    """One act, or its name's place: where it starts, is bent to, and ends."""

    path: str
    middle: tuple[int, int]


def _columns(kind: Type) -> dict[str, int]:
    """State -> how many acts it is from the start; unreachable ones stand last."""
    columns = {kind.transitions[CREATE].to: 0}
    waiting = list(columns)
    while waiting:
        state = waiting.pop(0)
        for transition in kind.transitions.values():
            if state in transition.source and transition.to not in columns:
                columns[transition.to] = columns[state] + 1
                waiting.append(transition.to)
    last = max(columns.values()) + 1
    for state in kind.states:
        columns.setdefault(state, last)
    return columns


def _places(kind: Type) -> dict[str, Box]:
    """State -> its box."""
    columns, used, places = _columns(kind), dict[int, int](), dict[str, Box]()
    width = max(120, max(len(state) for state in kind.states) * STATE_CHARACTER + 16)
    longest = max(len(act) for act in kind.transitions) * ACT_CHARACTER
    step = width + GAP + max(60, longest)
    for state in kind.states:
        column = columns[state]
        row = used.get(column, 0)
        used[column] = row + 1
        left, top = column * step, row * ROW
        places[state] = (left, top, left + width, top + BOX_HEIGHT)
    return places


def _loop(box: Box, bend: int) -> _Arc:
    """From a state to itself, over its top."""
    x, top = (box[0] + box[2]) // 2, box[1]
    peak = top - bend - 14
    path = f"M{x - 20},{top} C{x - 30},{peak} {x + 30},{peak} {x + 20},{top}"
    return _Arc(path, (x, (top + 3 * peak) // 4 - ACT_HEIGHT // 2))


def _between(source: Box, target: Box, bend: int) -> _Arc:
    """From one state to another: arcs forward pass above, arcs back pass below."""
    y1, y2 = (source[1] + source[3]) // 2, (target[1] + target[3]) // 2
    if source[0] == target[0]:
        x = source[2]
        control = (x + 2 * bend, (y1 + y2) // 2)
        path = f"M{x},{y1} Q{control[0]},{control[1]} {x},{y2}"
        return _Arc(path, (x + bend, control[1]))
    forward = target[0] > source[0]
    x1, x2 = (source[2], target[0]) if forward else (source[0], target[2])
    sign = 1 if forward else -1
    control = ((x1 + x2) // 2, (y1 + y2) // 2 - sign * bend)
    path = f"M{x1},{y1} Q{control[0]},{control[1]} {x2},{y2}"
    return _Arc(path, (control[0], (y1 + 2 * control[1] + y2) // 4))


def _arc(source: Box, target: Box, label: str, taken: list[Box]) -> _Arc:
    """The least bent arc whose name has room; it takes that room."""
    for bend in count(BEND, BEND_STEP):  # ends: what is taken is finite, and arcs move away from it
        arc = _loop(source, bend) if source == target else _between(source, target, bend)
        box = label_box(*arc.middle, label)
        if not any(meet(box, other) for other in taken):
            taken.append(box)
            return arc
    raise AssertionError("unreachable")


def machine_svg(title: str, kind: Type) -> str:
    """The machine of a type. Dashed arrows fire by time or through other records."""
    places = _places(kind)
    taken = list(places.values())
    arrows: list[str] = []
    for name, transition in kind.transitions.items():
        style = ' stroke-dasharray="5 4"' if transition.auto or transition.internal else ""
        for source in transition.source:
            arc = _arc(places[source], places[transition.to], name, taken)
            x, y = arc.middle
            arrows.append(
                f'<path d="{arc.path}" fill="none" stroke="#444"{style} marker-end="url(#head)"/>'
                f'<text x="{x}" y="{y + 4}" text-anchor="middle" class="act">{escape(name)}</text>'
            )
    left, top = (min(box[side] for box in taken) - MARGIN for side in (0, 1))
    right, bottom = (max(box[side] for box in taken) + MARGIN for side in (2, 3))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{left} {top} {right - left} '
        f'{bottom - top}" role="img">',
        f"<title>{escape(title)}</title>",
        "<style>text{font:13px sans-serif}.act{font-size:11px;fill:#245;stroke:#fff;"
        "stroke-width:3px;paint-order:stroke}</style>",
        '<defs><marker id="head" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#444"/></marker></defs>',
        *arrows,
    ]
    for state, (x, y, x2, _) in places.items():
        line = 3 if state in kind.final else 1
        parts.append(
            f'<rect x="{x}" y="{y}" width="{x2 - x}" height="{BOX_HEIGHT}" rx="8" fill="#fff" '
            f'stroke="#222" stroke-width="{line}"/>'
            f'<text x="{(x + x2) // 2}" y="{y + 23}" text-anchor="middle">{escape(state)}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"
