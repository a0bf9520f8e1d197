"""Draws a type's machine as SVG: states in columns by their distance from the start."""

from __future__ import annotations

from html import escape

from ledger.registry.definition import CREATE, Type

COLUMN = 220
ROW = 96
BOX_WIDTH = 120
BOX_HEIGHT = 36
MARGIN = 40


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


def _places(kind: Type) -> dict[str, tuple[int, int]]:
    columns, used, places = _columns(kind), dict[int, int](), dict[str, tuple[int, int]]()
    for state in kind.states:
        column = columns[state]
        row = used.get(column, 0)
        used[column] = row + 1
        places[state] = (MARGIN + column * COLUMN, MARGIN + 24 + row * ROW)
    return places


def _arrow(
    source: tuple[int, int], target: tuple[int, int], label: str, index: int, dashed: bool
) -> str:
    """One act: an arc, so that acts between the same two states do not cover each other."""
    x1, y1 = source[0] + BOX_WIDTH // 2, source[1] + BOX_HEIGHT // 2
    x2, y2 = target[0] + BOX_WIDTH // 2, target[1] + BOX_HEIGHT // 2
    bend = 26 + 18 * index
    if source == target:
        path = f"M{x1 - 20},{source[1]} C{x1 - 30},{y1 - bend - 30} {x1 + 30},{y1 - bend - 30} "
        path += f"{x1 + 20},{source[1]}"
        middle = (x1, y1 - bend - 14)
    else:
        sign = 1 if x2 >= x1 else -1
        start, end = x1 + sign * BOX_WIDTH // 2, x2 - sign * BOX_WIDTH // 2
        if x1 == x2:
            start, end = x1 + BOX_WIDTH // 2, x2 + BOX_WIDTH // 2
            bend += 30
        middle = ((start + end) // 2 + (bend if x1 == x2 else 0), (y1 + y2) // 2 - sign * bend)
        path = f"M{start},{y1} Q{middle[0]},{middle[1]} {end},{y2}"
    style = ' stroke-dasharray="5 4"' if dashed else ""
    return (
        f'<path d="{path}" fill="none" stroke="#444"{style} marker-end="url(#head)"/>'
        f'<text x="{middle[0]}" y="{middle[1] - 4}" text-anchor="middle" class="act">'
        f"{escape(label)}</text>"
    )


def machine_svg(title: str, kind: Type) -> str:
    """The machine of a type. Dashed arrows fire by time or through other records."""
    places = _places(kind)
    width = max(x for x, _ in places.values()) + BOX_WIDTH + MARGIN + 60
    height = max(y for _, y in places.values()) + BOX_HEIGHT + MARGIN + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        "<style>text{font:13px sans-serif}.act{font-size:11px;fill:#245}</style>",
        '<defs><marker id="head" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#444"/></marker></defs>',
    ]
    count: dict[tuple[str, str], int] = {}
    for name, transition in kind.transitions.items():
        for source in transition.source:
            pair = (source, transition.to)
            index = count.get(pair, 0)
            count[pair] = index + 1
            dashed = transition.auto or transition.internal
            parts.append(_arrow(places[source], places[transition.to], name, index, dashed))
    for state, (x, y) in places.items():
        line = 3 if state in kind.final else 1
        parts.append(
            f'<rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8" fill="#fff" '
            f'stroke="#222" stroke-width="{line}"/>'
            f'<text x="{x + BOX_WIDTH // 2}" y="{y + 23}" text-anchor="middle">'
            f"{escape(state)}</text>"
        )
    return "\n".join([*parts, "</svg>"]) + "\n"
