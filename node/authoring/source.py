"""YAML with places: on which line each part of a service stands, so that problems can say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from node.authoring import hints

SOURCE_BYTES_MAX = 262_144


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where."""

    line: int
    """From 1; 0 when it is about the whole file."""
    path: tuple[str, ...]
    message: str
    severity: str = "error"
    """error: cannot be activated. warning: can, and should not."""

    def text(self, file: str) -> str:
        """One line for people."""
        place = f"{file}:{self.line}" if self.line else file
        parts = (place, self.severity, ".".join(self.path), self.message)
        return ": ".join(part for part in parts if part)


class SourceError(ValueError):
    """The file is not YAML of our subset."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed file."""

    value: Any
    lines: dict[tuple[str, ...], int]
    """Path -> line, from 1."""

    def line(self, path: tuple[str, ...]) -> int:
        """The line of the nearest part of `path` that stands in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def parse(text: str) -> Source:
    """Parse YAML without anchors, tags and duplicate keys. Raises SourceError."""
    if len(text.encode("utf-8")) > SOURCE_BYTES_MAX:
        raise SourceError(Problem(0, (), f"want at most {SOURCE_BYTES_MAX} bytes"))
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:  # the parser calls itself once a level
        raise SourceError(Problem(0, (), "nested too deeply")) from None
    except yaml.YAMLError as error:
        raise _no_yaml(error, text) from None
    if node is None:
        raise SourceError(Problem(0, (), "the file is empty"))
    lines: dict[tuple[str, ...], int] = {}
    try:
        return Source(_build(node, (), lines, set()), lines)
    except yaml.YAMLError as error:  # a tag, as `!has(data.x)` without quotation marks
        raise _no_yaml(error, text) from None


def _no_yaml(error: yaml.YAMLError, text: str) -> SourceError:
    """What the parser says, where, and what to write instead."""
    mark = getattr(error, "problem_mark", None)
    line = 0 if mark is None else mark.line + 1
    message = f"not YAML: {getattr(error, 'problem', error)}{hints.of_yaml(error, text)}"
    return SourceError(Problem(line, (), message))


def _build(
    node: yaml.Node, path: tuple[str, ...], lines: dict[tuple[str, ...], int], seen: set[int]
) -> Any:
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if id(node) in seen or len(path) > 32:
        raise SourceError(Problem(line, path, "aliases and very deep nesting are not supported"))
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        value: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in value:
                raise SourceError(
                    Problem(key_node.start_mark.line + 1, path, f"{key!r} stands twice")
                )
            lines[(*path, key)] = key_node.start_mark.line + 1
            value[key] = _build(value_node, (*path, key), lines, seen)
        return value
    if isinstance(node, yaml.SequenceNode):
        return [
            _build(item, (*path, str(index)), lines, seen) for index, item in enumerate(node.value)
        ]
    try:
        scalar = yaml.SafeLoader("").construct_object(node)
    except ValueError:  # no day of any month, as 2026-02-30: a text like others
        return str(node.value)
    if scalar is None or isinstance(scalar, str | int | bool):
        return scalar
    return str(node.value)
