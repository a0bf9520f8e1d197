"""What to write instead: hints beside what parsers say of YAML and of expressions."""

from __future__ import annotations

import re
from typing import Final

import yaml

_QUOTED: Final = "stands in quotation marks"
_MARKS: Final = "a colon, a comma or a `?`"
_FLOW: Final = {"while parsing a flow mapping": "{…}", "while parsing a flow sequence": "[…]"}
_STARTS: Final = re.compile(r"character '([@`%|>])' that cannot start")
_SPECIAL: Final = {"while scanning an alias": "*", "while scanning an anchor": "&"}
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
_DURATION: Final = re.compile(
    r"([0-9]+)\s*(s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?|w|weeks?)\b", re.ASCII
)
_WORDS: Final = {"and": "&&", "or": "||", "not": "!"}


def of_yaml(error: yaml.YAMLError, text: str) -> str:
    """What to write when `text` is not YAML, with `; ` before it; empty when nothing is known."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return ""
    problem, context = str(error.problem or ""), str(error.context or "")
    found = _STARTS.search(problem)
    if found is not None:
        return f"; a text that begins with {found[1]} {_QUOTED}"
    special = _SPECIAL.get(context, "*" if "undefined alias" in problem else "")
    if special:
        return f"; a text that begins with {special} {_QUOTED}"
    if "tag" in problem or "tag" in context:
        return f'; a text that begins with ! {_QUOTED}, as in "!has(data.x)"'
    if "mapping values are not allowed" in problem:
        return f"; a text with a colon {_QUOTED}"
    if problem.startswith("expected <block end>, but found '}'"):
        return "; one } too many, or a { that is missing"
    if problem == "found unexpected end of stream":
        return "; a quotation mark before it is not closed"
    if problem.startswith("expected <block end>"):
        return "; quotation marks stand around the whole text: is each one closed?"
    return _of_braces(error, context, text)


def _of_braces(error: yaml.MarkedYAMLError, context: str, text: str) -> str:
    begun, met = error.context_mark, error.problem_mark
    if begun is None or met is None or "flow" not in context:
        return ""
    if re.search(r"\s#", text.splitlines()[begun.line]):
        return f"; # begins a remark: a text with it {_QUOTED}"
    if "<stream end>" in str(error.problem):
        return f"; what line {begun.line + 1} begins is not closed"
    hint = f"; within {_FLOW.get(context, '{…}')} a text with {_MARKS} {_QUOTED}"
    if begun.line != met.line:
        hint += f"; is what line {begun.line + 1} begins closed?"
    return hint


def of_key(key: str, value: object) -> str:
    """What an unknown key probably is: the end of a text that a comma cut; else empty."""
    cut = value is None and re.fullmatch(r"[a-z_]+", key) is None
    return f"a text with a comma {_QUOTED}" if cut else ""


def of_expression(source: str, position: int) -> str:
    """What to write when an expression is wrong at `position`, with `; ` before it; or empty."""
    for found in _DURATION.finditer(source):
        if found.start() <= position < found.end():
            return f"; times are in seconds: {_in_seconds(int(found[1]), found[2][0])}"
    rest = source[position:]
    if rest.startswith("="):
        return "; equality is written ==, its opposite !="
    if rest.startswith("@"):
        return "; @ is for scenarios: here it is now + 30 * 86400"
    word = next((w for w in _WORDS if re.match(rf"{w}\b", rest)), None)
    before = re.search(r"\bnot\s*$", source[:position])
    if word is None and before is not None:
        word = "not"
    return f"; {word} is written {_WORDS[word]}" if word is not None else ""


def _in_seconds(number: int, unit: str) -> str:
    """`365d` as an expression has it."""
    return str(number) if unit == "s" else f"{number} * {_SECONDS[unit]}"
