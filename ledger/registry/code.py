"""Expressions as Python code: what a tree becomes when it is first run (registry.md, section 4).

A node pays before it does anything. Nodes between which nothing can fail pay together, so that each
refusal comes with the reason, and at the price, that node by node it would have.

No text of a definition becomes text of a program: code names constants `k1`, `k2`, ... and values
`t1`, `t2`, ...; only integers stand in it as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import CodeType, FunctionType
from typing import Any, Final

from ledger.ids import INTEGER_MAX
from ledger.registry.meter import Value
from ledger.registry.operators import OPERATORS, type_error
from ledger.registry.piece import RUNTIME, VARIABLES, Functions, Piece, Run, indented, payment

ROOM: Final = 64
"""Nodes of branches that one program may hold. A branch for which there is no room left becomes a
program of its own when it first runs: until then nobody has paid for its nodes."""


def _size(tree: Any, limit: int) -> int:
    """Nodes and lists of a tree, counted no further than just beyond a limit."""
    waiting, count = [tree], 0
    while waiting and count <= limit:
        part = waiting.pop()
        if isinstance(part, list):
            count += 1
            waiting += part
    return count


class Writer:
    """Writes one program. The names that it gives out are its own."""

    def __init__(self, functions: Functions) -> None:
        self.functions = functions
        self.room = ROOM
        self._temporaries = 0
        self._globals: dict[str, Any] = dict(RUNTIME)
        self._variables: dict[str, None] = {}

    def constant(self, value: Any) -> str:
        """A name for a value."""
        name = f"k{len(self._globals)}"
        self._globals[name] = value
        return name

    def temporary(self) -> str:
        """A name that nothing has yet."""
        self._temporaries += 1
        return f"t{self._temporaries}"

    def variable(self, name: str) -> str:
        """The name of a variable's value."""
        self._variables[name] = None
        return VARIABLES[name]

    def program(self, lines: Sequence[str], parameters: str = "s") -> Callable[..., Any]:
        """The program of these lines; `s` is the scope."""
        read = [f"{VARIABLES[name]} = s.{VARIABLES[name]}" for name in self._variables]
        body = indented(("m = s.meter", *read, *lines))
        source = "\n".join((f"def run({parameters}):", *body))
        module = compile(source, "<definition>", "exec", dont_inherit=True)
        code = next(item for item in module.co_consts if isinstance(item, CodeType))
        return FunctionType(code, self._globals)

    def piece(self, tree: list[Any]) -> Piece:
        """The code of a tree."""
        write = _NODES.get(tree[0])
        return _binary(self, tree) if write is None else write(self, tree)

    def condition(self, tree: list[Any]) -> Piece:
        """The code of a tree whose value must be a boolean."""
        return _boolean(self.piece(tree))

    def branch(self, tree: list[Any], *, boolean: bool = False) -> Piece:
        """The code of a tree that is reached only sometimes; what it costs is paid in its lines."""
        size = _size(tree, self.room)
        if size > self.room:
            target = self.temporary()
            later = self.constant(Later(tree, self.functions))
            piece = Piece(0, (f"{target} = {later}(s)",), target)
        else:
            self.room -= size
            piece = self.piece(tree)
        if boolean:
            piece = _boolean(piece)
        return Piece(0, (*payment(piece.cost), *piece.lines), piece.value, piece.kind)


class Later:
    """The program of a tree, made when it first runs. It pays for itself."""

    __slots__ = ("_functions", "_run", "_tree")

    def __init__(self, tree: list[Any], functions: Functions) -> None:
        self._tree = tree
        self._functions = functions
        self._run: Run | None = None

    def __call__(self, scope: Any) -> Value:
        if self._run is None:
            self._run = expression(self._tree, self._functions)
        return self._run(scope)


def expression(tree: list[Any], functions: Functions) -> Run:
    """The program of a tree: it pays for itself and returns the value. Raises ExpressionRefused
    with EXPRESSION_TYPE, EXPRESSION_OVERFLOW or EXPRESSION_COST."""
    if tree[0] in _CONSTANTS or (tree[0] == "get" and tree[1] in _MAPS):
        return _leaf(tree)
    writer = Writer(functions)
    piece = writer.piece(tree)
    return writer.program((*payment(piece.cost), *piece.lines, f"return {piece.value}"))


def _leaf(tree: list[Any]) -> Run:
    """A constant, or a field: most of the trees that stand alone. Code of their own would take more
    memory than all else."""
    if tree[0] == "get":
        attribute, name = VARIABLES[tree[1][1]], tree[2]

        def field(scope: Any) -> Value:
            scope.meter.spend(2)
            values = getattr(scope, attribute)
            if type(values) is not dict or name not in values:
                raise type_error(f"no field {name}")
            return values[name]

        return field
    value = tree[1] if len(tree) > 1 else None

    def constant(scope: Any) -> Value:
        scope.meter.spend(1)
        return value

    return constant


def _sequence(pieces: Sequence[Piece]) -> tuple[int, tuple[str, ...], bool]:
    """Code one after the other: what is paid before the first, the lines, and whether none of them
    can fail."""
    cost, sure = 0, True
    lines: list[str] = []
    for piece in pieces:
        if sure:
            cost += piece.cost
        else:
            lines += payment(piece.cost)
        lines += piece.lines
        sure = sure and piece.sure
    return cost, tuple(lines), sure


def _boolean(piece: Piece) -> Piece:
    """Code whose value is a boolean, or that refuses."""
    if piece.kind == "bool":
        return piece
    refuse = "raise not_boolean()"
    if not piece.kind:
        refuse = f"if {piece.value} is not True and {piece.value} is not False: {refuse}"
    return Piece(piece.cost, (*piece.lines, refuse), piece.value, "bool")


def _number(cost: int, value: int) -> Piece:
    return Piece(cost, (), f"({value})", "int", True, value)


def _constant(writer: Writer, tree: list[Any]) -> Piece:
    value = tree[1] if len(tree) > 1 else None
    if type(value) is int:
        return _number(1, value)
    if value is None or type(value) is bool:
        return Piece(1, (), str(value), "null" if value is None else "bool", True)
    return Piece(1, (), writer.constant(value), "str", True)


def _list(writer: Writer, tree: list[Any]) -> Piece:
    items = [writer.piece(item) for item in tree[1]]
    cost, lines, sure = _sequence(items)
    target = writer.temporary()
    made = f"{target} = [{', '.join(item.value for item in items)}]"
    return Piece(1 + cost, (*lines, made), target, "list", sure)


def _variable(writer: Writer, tree: list[Any]) -> Piece:
    name = tree[1]
    if name not in VARIABLES:
        return _unnamed(writer, name)
    value = writer.variable(name)
    if name == "signers":
        target = writer.temporary()
        return Piece(1, (f"{target} = list({value})",), target, "list", True)
    return Piece(1, (), value, _KINDS.get(name, ""), True)


def _unnamed(writer: Writer, name: str) -> Piece:
    """Nothing has this name; nor has the value, which is never reached."""
    return Piece(1, (f"raise no_name({writer.constant(name)})",), writer.temporary())


def _get(writer: Writer, tree: list[Any]) -> Piece:
    inner, name = writer.piece(tree[1]), writer.constant(tree[2])
    target = writer.temporary()
    if inner.kind:
        lines: tuple[str, ...] = (f"raise no_field({name})",)
    else:
        lines = (
            f"try: {target} = {inner.value}[{name}]",
            f"except (KeyError, TypeError): raise no_field({name}) from None",
        )
    return Piece(1 + inner.cost, (*inner.lines, *lines), target)


def _has(writer: Writer, tree: list[Any]) -> Piece:
    inner, name = writer.piece(tree[1]), writer.constant(tree[2])
    target = writer.temporary()
    if inner.kind:
        lines: tuple[str, ...] = ("raise no_fields()",)
    else:
        lines = (
            f"if type({inner.value}) is not dict: raise no_fields()",
            f"{target} = {inner.value}.get({name}) is not None",
        )
    return Piece(1 + inner.cost, (*inner.lines, *lines), target, "bool")


def _call(writer: Writer, tree: list[Any]) -> Piece:
    name = tree[1]
    if name not in writer.functions:
        return _unnamed(writer, name)
    own, implementation = writer.functions[name]
    arguments = [writer.piece(item) for item in tree[2]]
    cost, lines, _ = _sequence(arguments)
    target, function = writer.temporary(), writer.constant(implementation)
    call = f"{target} = {function}({', '.join(('s', *(item.value for item in arguments)))})"
    return Piece(1 + own + cost, (*lines, call), target)


def _not(writer: Writer, tree: list[Any]) -> Piece:
    inner, target = writer.condition(tree[1]), writer.temporary()
    lines = (*inner.lines, f"{target} = not {inner.value}")
    return Piece(1 + inner.cost, lines, target, "bool", inner.sure)


def _negative(writer: Writer, tree: list[Any]) -> Piece:
    inner, target = writer.piece(tree[1]), writer.temporary()
    if inner.number is not None and abs(inner.number) <= INTEGER_MAX:
        return _number(1 + inner.cost, -inner.number)
    lines = list(inner.lines)
    if inner.kind not in ("", "int"):
        lines.append("raise not_integer()")
    elif not inner.kind:
        lines.append(f"if type({inner.value}) is not int: raise not_integer()")
    lines += (f"{target} = -{inner.value}", _bounded(target))
    return Piece(1 + inner.cost, tuple(lines), target, "int")


def _bounded(name: str) -> str:
    return f"if not -{INTEGER_MAX} <= {name} <= {INTEGER_MAX}: raise beyond()"


def _and_or(writer: Writer, tree: list[Any]) -> Piece:
    left, right = writer.condition(tree[1]), writer.branch(tree[2], boolean=True)
    target = writer.temporary()
    lines = (
        *left.lines,
        f"{target} = {left.value}",
        f"if {'' if tree[0] == 'and' else 'not '}{target}:",
        *indented((*right.lines, f"{target} = {right.value}")),
    )
    return Piece(1 + left.cost, lines, target, "bool")


def _if(writer: Writer, tree: list[Any]) -> Piece:
    condition = writer.condition(tree[1])
    then, otherwise = writer.branch(tree[2]), writer.branch(tree[3])
    target = writer.temporary()
    lines = (
        *condition.lines,
        f"if {condition.value}:",
        *indented((*then.lines, f"{target} = {then.value}")),
        "else:",
        *indented((*otherwise.lines, f"{target} = {otherwise.value}")),
    )
    kind = then.kind if then.kind == otherwise.kind else ""
    return Piece(1 + condition.cost, lines, target, kind)


def _binary(writer: Writer, tree: list[Any]) -> Piece:
    operator = tree[0]
    general = writer.constant(OPERATORS[operator])
    left, right = writer.piece(tree[1]), writer.piece(tree[2])
    cost, before, sure = _sequence((left, right))
    if operator in _ARITHMETIC and left.number is not None and right.number is not None:
        result = _ARITHMETIC[operator](left.number, right.number)
        if abs(result) <= INTEGER_MAX:
            return _number(1 + cost, result)
    target = writer.temporary()
    slow = f"{target} = operate({general}, {left.value}, {right.value}, m)"
    fast = f"{target} = {left.value} {operator} {right.value}"
    kind = _result(operator, left.kind, right.kind)
    guess = _guess(operator, left.kind, right.kind)
    if not guess:
        return Piece(1 + cost, (*before, slow), target, kind)
    unknown = [part.value for part in (left, right) if not part.kind]
    lines: tuple[str, ...] = (fast, _bounded(target)) if operator in _ARITHMETIC else (fast,)
    if unknown:
        test = " and ".join(f"type({value}) is {guess}" for value in unknown)
        lines = (f"if {test}:", *indented(lines), "else:", *indented((slow,)))
    safe = sure and not unknown and operator not in _ARITHMETIC
    return Piece(1 + cost, (*before, *lines), target, kind, safe)


def _guess(operator: str, left: str, right: str) -> str:
    """Of which kind both operands are, or likely are, when Python's operator does what ours does;
    empty when it does not, or when they are surely of others."""
    kinds = {kind for kind in (left, right) if kind}
    if operator in _ARITHMETIC:
        return "int" if kinds <= {"int"} else ""
    if operator in _ORDER:
        return next(iter(kinds), "int") if kinds in (set(), {"int"}, {"str"}) else ""
    if operator in _EQUALITY:
        return next(iter(kinds), "str") if kinds in (set(), {"int"}, {"str"}) else ""
    return ""


def _result(operator: str, left: str, right: str) -> str:
    """The kind of what an operator makes, where it is certain."""
    if operator == "+":
        return "int" if "int" in (left, right) else ""
    return "int" if operator in ("-", "*", "/", "%") else "bool"


_KINDS: Final = {"now": "int", "me": "str", "id": "str", "state": "str"}
_ARITHMETIC: Final[Mapping[str, Callable[[int, int], int]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
}
_ORDER: Final = ("<", "<=", ">", ">=")
_EQUALITY: Final = ("==", "!=")
_CONSTANTS: Final = frozenset(("int", "str", "bool", "null"))
_MAPS: Final = (["var", "data"], ["var", "input"])
_NODES: Final[Mapping[str, Callable[[Writer, list[Any]], Piece]]] = {
    "int": _constant,
    "str": _constant,
    "bool": _constant,
    "null": _constant,
    "list": _list,
    "var": _variable,
    "get": _get,
    "has": _has,
    "call": _call,
    "not": _not,
    "neg": _negative,
    "and": _and_or,
    "or": _and_or,
    "if": _if,
}
