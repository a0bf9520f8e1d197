"""Pictures of machines: the name of no act covers another or a state."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ledger.registry.definition import Definition, Type
from node.authoring.compiler import compile_source
from node.authoring.drawing import machine_svg
from node.authoring.source import parse
from node.commands.service import load

ROOT = Path(__file__).parent.parent.parent
FOLDERS = [
    *sorted(path.parent for path in ROOT.glob("services/*/service.yaml")),
    ROOT / "tests" / "services" / "market-stall",
]
SVG = "{http://www.w3.org/2000/svg}"
CHARACTER = 6.7
"""Width of a character at 11 px in DejaVu Sans, a wide font."""
HEIGHT = 12.0
Box = tuple[float, float, float, float]
CROWDED = "\n".join(
    [
        "service: odd\nversion: 1\ntitle: odd\nroles: {}\ntypes:\n  box:\n    fields:",
        "      owner: party\n    states: [a, b, c, d]\n    final: [d]\n    transitions:",
        "      create: {to: a, by: party(owner)}",
        *(
            f"      {name}_{number:02}_a_name_of_some_length: "
            f"{{from: {source}, to: {target}, by: party(owner)}}"
            for number in range(7)
            for name, source, target in (
                ("on", "a", "b"),
                ("back", "b", "a"),
                ("again", "a", "a"),
                ("side", "b", "c"),
                ("end", "[a, b, c]", "d"),
            )
        ),
    ]
)


def boxes(svg: str) -> tuple[list[Box], list[Box], Box]:
    """(names of acts, states, the whole picture), measured and not taken from the drawer."""
    root = ElementTree.fromstring(svg)
    x, y, width, height = map(float, root.attrib["viewBox"].split())
    labels, states = [], []
    for text in root.iter(f"{SVG}text"):
        if text.attrib.get("class") == "act":
            half = len(text.text or "") * CHARACTER / 2
            middle, base = float(text.attrib["x"]), float(text.attrib["y"])
            labels.append((middle - half, base - 9, middle + half, base - 9 + HEIGHT))
    for rect in root.iter(f"{SVG}rect"):
        left, top, wide, high = (float(rect.attrib[k]) for k in ("x", "y", "width", "height"))
        states.append((left, top, left + wide, top + high))
    return labels, states, (x, y, x + width, y + height)


def apart(one: Box, other: Box) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def check(kind: Type) -> None:
    labels, states, whole = boxes(machine_svg("title", kind))
    arrows = sum(len(transition.source) for transition in kind.transitions.values())
    assert (len(labels), len(states)) == (arrows, len(kind.states))
    for one, other in combinations([*labels, *states], 2):
        assert apart(one, other), (one, other)
    for box in (*labels, *states):
        assert whole[0] <= box[0] <= box[2] <= whole[2]
        assert whole[1] <= box[1] <= box[3] <= whole[3]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_names_do_not_meet_in_the_pictures_of_the_services(folder: Path) -> None:
    for kind in load(folder)[0].types.values():
        check(kind)


def test_names_do_not_meet_where_many_acts_join_the_same_states() -> None:
    made, problems = compile_source(parse(CROWDED))
    assert isinstance(made, Definition), problems
    kind = made.types["box"]
    assert len(kind.transitions) == 36
    check(kind)
    svg = machine_svg("title", kind)
    assert len(set(re.findall(r'<path d="(M[^"]+)" fill="none"', svg))) == 49
    assert svg == machine_svg("title", kind)
