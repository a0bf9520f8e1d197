"""The expression language's text form: CEL syntax without loops, compiled to arrays.

Used by authoring tools only; validators evaluate the compiled tree (registry.md, section 4).
Precedence as in CEL: `?:`, `||`, `&&`, relations, `+ -`, `* / %`, unary `! -`, member access.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeAlias

from ledger.ids import INTEGER_MAX

Expr: TypeAlias = list[Any]
SOURCE_LENGTH_MAX: Final = 2_048
DEPTH_MAX: Final = 24

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<number>[0-9]+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<string>"(?:[^"\\]|\\["\\])*"|'(?:[^'\\]|\\['\\])*')
    |(?P<operator>\|\||&&|==|!=|<=|>=|[-+*/%<>!?:.,()\[\]]))""",
    re.VERBOSE | re.ASCII,
)
_RELATIONS: Final = ("==", "!=", "<", "<=", ">", ">=", "in")


class ExpressionError(ValueError):
    """The text is no expression. `position` counts characters from 0."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(f"{message} (at character {position + 1})")
        self.position = position


def parse(source: str) -> Expr:
    """Compile a text. Raises ExpressionError."""
    if len(source) > SOURCE_LENGTH_MAX:
        raise ExpressionError(f"want at most {SOURCE_LENGTH_MAX} characters", SOURCE_LENGTH_MAX)
    parser = _Parser(source)
    tree = parser.conditional(0)
    parser.expect_end()
    return tree


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens: list[tuple[str, str, int]] = []
        position = 0
        while source[position:].strip():
            match = _TOKEN.match(source, position)
            if match is None:
                offset = len(source[position:]) - len(source[position:].lstrip())
                raise ExpressionError("unexpected character", position + offset)
            kind = str(match.lastgroup)
            self._tokens.append((kind, match.group(kind), match.start(kind)))
            position = match.end()
        self._at = 0

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _kind(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else "end"

    def _position(self) -> int:
        return self._tokens[self._at][2] if self._at < len(self._tokens) else len(self._source)

    def _take(self, text: str) -> bool:
        if self._peek() == text and self._kind() in ("operator", "name"):
            self._at += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise ExpressionError(f"want {text!r}", self._position())

    def expect_end(self) -> None:
        """Raises ExpressionError when something follows the expression."""
        if self._at < len(self._tokens):
            raise ExpressionError(f"unexpected {self._peek()!r}", self._position())

    def conditional(self, depth: int) -> Expr:
        """cond ? a : b"""
        if depth > DEPTH_MAX:
            raise ExpressionError("nested too deeply", self._position())
        condition = self._or(depth + 1)
        if not self._take("?"):
            return condition
        chosen = self.conditional(depth + 1)
        self._expect(":")
        return ["if", condition, chosen, self.conditional(depth + 1)]

    def _or(self, depth: int) -> Expr:
        tree = self._and(depth)
        while self._take("||"):
            tree = ["or", tree, self._and(depth)]
        return tree

    def _and(self, depth: int) -> Expr:
        tree = self._relation(depth)
        while self._take("&&"):
            tree = ["and", tree, self._relation(depth)]
        return tree

    def _relation(self, depth: int) -> Expr:
        tree = self._sum(depth)
        operator = self._peek()
        if operator in _RELATIONS and self._kind() in ("operator", "name"):
            self._at += 1
            tree = [operator, tree, self._sum(depth)]
            if self._peek() in _RELATIONS and self._kind() in ("operator", "name"):
                raise ExpressionError("comparisons do not chain; use &&", self._position())
        return tree

    def _sum(self, depth: int) -> Expr:
        tree = self._product(depth)
        while self._kind() == "operator" and self._peek() in ("+", "-"):
            operator = self._peek()
            self._at += 1
            tree = [operator, tree, self._product(depth)]
        return tree

    def _product(self, depth: int) -> Expr:
        tree = self._unary(depth)
        while self._kind() == "operator" and self._peek() in ("*", "/", "%"):
            operator = self._peek()
            self._at += 1
            tree = [operator, tree, self._unary(depth)]
        return tree

    def _unary(self, depth: int) -> Expr:
        if depth > DEPTH_MAX:
            raise ExpressionError("nested too deeply", self._position())
        if self._take("!"):
            return ["not", self._unary(depth + 1)]
        if self._take("-"):
            return ["neg", self._unary(depth + 1)]
        return self._member(depth)

    def _member(self, depth: int) -> Expr:
        tree = self._primary(depth)
        while self._take("."):
            if self._kind() != "name":
                raise ExpressionError("want a field name", self._position())
            tree = ["get", tree, self._peek()]
            self._at += 1
        return tree

    def _primary(self, depth: int) -> Expr:
        kind, text, position = self._kind(), self._peek(), self._position()
        if kind == "end":
            raise ExpressionError("the expression ends here", position)
        self._at += 1
        if kind == "number":
            value = int(text) if len(text) <= 16 else INTEGER_MAX + 1
            if value > INTEGER_MAX:
                raise ExpressionError("an integer is beyond 2^53-1", position)
            return ["int", value]
        if kind == "string":
            quote = text[0]
            body = text[1:-1].replace(f"\\{quote}", quote).replace("\\\\", "\\")
            return ["str", body]
        if kind == "name":
            return self._named(text, position, depth)
        if text == "(":
            tree = self.conditional(depth + 1)
            self._expect(")")
            return tree
        if text == "[":
            return ["list", self._items("]", depth)]
        raise ExpressionError(f"unexpected {text!r}", position)

    def _named(self, name: str, position: int, depth: int) -> Expr:
        if name in ("true", "false"):
            return ["bool", name == "true"]
        if name == "null":
            return ["null"]
        if name == "in":
            raise ExpressionError("unexpected 'in'", position)
        if not self._take("("):
            return ["var", name]
        arguments = self._items(")", depth)
        if name == "has":
            if len(arguments) != 1 or arguments[0][0] != "get":
                raise ExpressionError("has() wants a field, as in has(input.reason)", position)
            return ["has", arguments[0][1], arguments[0][2]]
        return ["call", name, arguments]

    def _items(self, closing: str, depth: int) -> list[Expr]:
        items: list[Expr] = []
        if self._take(closing):
            return items
        while True:
            items.append(self.conditional(depth + 1))
            if self._take(closing):
                return items
            self._expect(",")
