"""What every activated definition satisfies, so that evaluating it holds no surprise.

Names exist, trees have their shape, sizes are within caps. Each problem says where it is, as a path
into the definition; authoring tools turn paths into lines. What is merely unwise is for the linter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from ledger.ids import CODE, INTEGER_MAX
from ledger.registry import fields
from ledger.registry.definition import (
    CREATE,
    DEFINITION_BYTES_MAX,
    DEFINITION_TYPE,
    AgencyPolicy,
    AllPolicy,
    AnyPolicy,
    BurnEffect,
    CancelEffect,
    ClaimEffect,
    CountPolicy,
    CreateEffect,
    Definition,
    EachPolicy,
    Effect,
    ExceptPolicy,
    FireEffect,
    IfEffect,
    IsPolicy,
    LockEffect,
    MintEffect,
    MoveEffect,
    PartyPolicy,
    Policy,
    PullEffect,
    PushEffect,
    ReleaseEffect,
    RolePolicy,
    SetEffect,
    TimerEffect,
    Transition,
    Type,
    UnlockEffect,
    leaves_of,
    policies_of,
)
from ledger.registry.operators import OPERATORS
from ledger.registry.policy import LEAVES_MAX

NAME: Final = re.compile(fields.FIELD_NAME, re.ASCII)
ROLES_MAX: Final = 64
UNITS_MAX: Final = 16
AGGREGATES_MAX: Final = 16
POLICY_PARTS_MAX: Final = 32
TYPES_MAX: Final = 24
STATES_MAX: Final = 24
TRANSITIONS_MAX: Final = 48
GUARDS_MAX: Final = 16
EFFECTS_MAX: Final = 32
EXPRESSION_NODES_MAX: Final = 200
EXPRESSION_DEPTH_MAX: Final = 32
UNIVERSAL: Final = ("rectify", "error_declaration", "court_order")
VARIABLES: Final = frozenset({"data", "input", "now", "me", "signers", "id", "state"})
FUNCTIONS: Final[dict[str, tuple[int, int]]] = {
    "state_of": (1, 1),
    "get": (1, 1),
    "balance": (2, 2),
    "holdings": (3, 3),
    "account": (1, 1),
    "account_of": (2, 2),
    "party_account": (2, 2),
    "locked": (1, 1),
    "lock_is": (2, 2),
    "claimed": (2, 5),
    "count": (2, 2),
    "sum": (2, 2),
    "min": (2, 2),
    "argmin": (2, 2),
    "holds": (2, 2),
    "agency_of": (1, 1),
    "size": (1, 1),
    "commitment": (2, 2),
}
"""Function -> least and most arguments."""
_ARITY: Final = {"not": 1, "neg": 1, "and": 2, "or": 2, "if": 3}
_RESERVED: Final = frozenset({"document", "sys", "party", "key", "gov"})
"""Not a service's name: these stand for parts of the ledger that no definition makes."""
Problem = tuple[tuple[str, ...], str]
"""Where (path into the definition) and what."""


def check(definition: Definition) -> list[Problem]:
    """Every problem; an empty list means that the definition may be activated."""
    return list(_Checker(definition).problems())


class _Checker:
    def __init__(self, definition: Definition) -> None:
        self._definition = definition

    def problems(self) -> Iterator[Problem]:
        definition = self._definition
        if definition.type != DEFINITION_TYPE:
            yield ("type",), f"want {DEFINITION_TYPE}"
        for name, text in (("service", definition.service), ("title_code", definition.title_code)):
            if CODE.fullmatch(text) is None or len(text) > 31:
                yield (name,), "want a code of at most 31 characters"
        if not 1 <= definition.version <= 9_999:
            yield ("version",), "want 1 to 9999"
        if not 1 <= len(definition.types) <= TYPES_MAX:
            yield ("types",), f"want 1 to {TYPES_MAX} types"
        if (size := len(definition.encode())) > DEFINITION_BYTES_MAX:
            yield ("types",), f"compiled, it has {size} bytes; want {DEFINITION_BYTES_MAX} at most"
        if definition.service in _RESERVED:
            yield ("service",), f"{definition.service} is the ledger's own"
        if len(definition.roles) > ROLES_MAX or len(set(definition.roles)) < len(definition.roles):
            yield ("roles",), f"want at most {ROLES_MAX} different roles"
        if len(definition.units) > UNITS_MAX:
            yield ("units",), f"want at most {UNITS_MAX} units"
        for role in definition.roles:
            if CODE.fullmatch(role) is None:
                yield ("roles", role), "not a code"
        for unit, form in definition.units.items():
            if CODE.fullmatch(unit) is None:
                yield ("units", unit), "not a code"
            for name in form.types:
                if name not in definition.types:
                    yield ("units", unit), f"no type {name}"
        for name, kind in definition.types.items():
            if CODE.fullmatch(name) is None or len(definition.record_type(name)) > 63:
                yield ("types", name), "not a code, or too long together with the service"
            yield from self._type(("types", name), name, kind)

    def _type(self, path: tuple[str, ...], name: str, kind: Type) -> Iterator[Problem]:
        if len(kind.fields) > fields.FIELDS_MAX or len(kind.transitions) > TRANSITIONS_MAX:
            yield path, "too many fields or transitions"
        for field_name, field in kind.fields.items():
            yield from self._field((*path, "fields", field_name), field_name, field)
        if not 1 <= len(kind.states) <= STATES_MAX or len(set(kind.states)) != len(kind.states):
            yield (*path, "states"), f"want 1 to {STATES_MAX} different states"
        for state in kind.states:
            if CODE.fullmatch(state) is None:
                yield (*path, "states", state), "not a code"
        for state in kind.final:
            if state not in kind.states:
                yield (*path, "final"), f"no state {state}"
        if CREATE not in kind.transitions:
            yield (*path, "transitions"), "there is no `create`"
        for index in kind.indexes:
            if index not in kind.fields or isinstance(kind.fields[index], fields.ListField):
                yield (*path, "indexes"), f"{index} is no field, or a list"
            if index == "state":
                yield (*path, "indexes"), "states have an index of this name already"
        for member, named in (("indexes", kind.indexes), ("complete", kind.complete)):
            if len(set(named)) != len(named):
                yield (*path, member), "names a field twice"
        for link in kind.complete:
            if not isinstance(kind.fields.get(link), fields.RecordField):
                yield (*path, "complete"), f"{link} is no record field"
        yield from self._aggregates(path, name, kind)
        if len(kind.aggregates) > AGGREGATES_MAX:
            yield (*path, "aggregates"), f"want at most {AGGREGATES_MAX}"
        for act, policy in kind.universal.items():
            if act not in UNIVERSAL:
                yield (*path, "universal", act), f"want one of {', '.join(UNIVERSAL)}"
            yield from self._authority((*path, "universal", act), policy, kind)
        for transition_name, transition in kind.transitions.items():
            where = (*path, "transitions", transition_name)
            yield from self._transition(where, transition_name, transition, name, kind)

    def _field(self, path: tuple[str, ...], name: str, field: fields.Field) -> Iterator[Problem]:
        if NAME.fullmatch(name) is None:
            yield path, "a field's name is 1 to 32 of a-z, 0-9 and _, starting with a letter"
        try:
            fields.check_field(field)
        except ValueError as error:
            yield path, str(error)

    def _aggregates(self, path: tuple[str, ...], name: str, kind: Type) -> Iterator[Problem]:
        definition = self._definition
        for aggregate_name, aggregate in kind.aggregates.items():
            where = (*path, "aggregates", aggregate_name)
            child = definition.types.get(aggregate.type)
            link = child.fields.get(aggregate.link) if child is not None else None
            if NAME.fullmatch(aggregate_name) is None:
                yield where, "not a name"
            if child is None or not isinstance(link, fields.RecordField):
                yield where, "want a type of this service and its record field"
                continue
            if definition.record_type(name) not in link.types:
                yield where, f"{aggregate.link} of {aggregate.type} does not name this type"
            for state in aggregate.states:
                if state not in child.states:
                    yield where, f"{aggregate.type} has no state {state}"
            summed = None if aggregate.field is None else child.fields.get(aggregate.field)
            if aggregate.field is not None and not isinstance(summed, fields.IntegerField):
                yield where, f"{aggregate.field} is no integer field of {aggregate.type}"
            if aggregate.ordered and aggregate.field is None:
                yield where, "ordered needs a field to order by"

    def _transition(
        self, path: tuple[str, ...], name: str, transition: Transition, owner: str, kind: Type
    ) -> Iterator[Problem]:
        if NAME.fullmatch(name) is None or name in UNIVERSAL:
            yield path, "not a name, or that of a universal act"
        for state in (*transition.source, transition.to):
            if state not in kind.states:
                yield path, f"no state {state}"
        if (name == CREATE) != (not transition.source):
            yield path, "`create`, and nothing else, has no `from`"
        for state in transition.source:
            if state in kind.final:
                yield path, f"{state} is final: nothing leaves it"
        if transition.by is None and not (transition.auto or transition.internal):
            yield path, "nobody may do this: give it `by`, or make it auto or internal"
        if transition.by is not None:
            yield from self._authority((*path, "by"), transition.by, kind)
        if transition.auto and any(field.required for field in transition.input.values()):
            yield (*path, "input"), "a timer gives no input: make it optional"
        for field_name, field in transition.input.items():
            yield from self._field((*path, "input", field_name), field_name, field)
        if len(transition.guards) > GUARDS_MAX:
            yield (*path, "guards"), f"want at most {GUARDS_MAX}"
        for guard, tree in transition.guards:
            if NAME.fullmatch(guard) is None:
                yield (*path, "guards", guard), "not a name"
            yield from _expression((*path, "guards", guard), tree)
        count = [0]
        for index, effect in enumerate(transition.effects):
            where = (*path, "effects", str(index))
            yield from self._effect(where, effect, owner, kind, count, 0)
        if count[0] > EFFECTS_MAX:
            yield (*path, "effects"), f"want at most {EFFECTS_MAX}"

    def _authority(self, path: tuple[str, ...], policy: Policy, kind: Type) -> Iterator[Problem]:
        parts = sum(1 for _ in policies_of(policy))
        if parts > POLICY_PARTS_MAX:
            yield path, f"has {parts} parts; want at most {POLICY_PARTS_MAX}"
            return
        yield from self._policy(path, policy, kind)
        if not 1 <= leaves_of(policy) <= LEAVES_MAX:
            yield path, f"asks for more than {LEAVES_MAX} signers, or for none"

    def _policy(self, path: tuple[str, ...], policy: Policy, kind: Type) -> Iterator[Problem]:
        if isinstance(policy, RolePolicy):
            if policy.role not in self._definition.roles:
                yield path, f"no role {policy.role}"
            owner = kind.fields.get(policy.agency_of or "")
            if policy.agency_of is not None and not isinstance(owner, fields.PartyField):
                yield path, f"{policy.agency_of} is no party field"
        elif isinstance(policy, PartyPolicy | AgencyPolicy):
            if not isinstance(kind.fields.get(policy.field), fields.PartyField):
                yield path, f"{policy.field} is no party field"
        elif isinstance(policy, IsPolicy | EachPolicy):
            yield from _expression(path, policy.value)
        elif isinstance(policy, CountPolicy):
            if not 1 <= policy.n <= LEAVES_MAX:
                yield path, f"want 1 to {LEAVES_MAX} signers"
            yield from self._policy(path, policy.of, kind)
        elif isinstance(policy, ExceptPolicy):
            for part in (policy.of, *policy.but):
                yield from self._policy(path, part, kind)
        elif isinstance(policy, AllPolicy | AnyPolicy):
            if not policy.of:
                yield path, "names nobody"
            for part in policy.of:
                yield from self._policy(path, part, kind)

    def _effect(
        self,
        path: tuple[str, ...],
        effect: Effect,
        owner: str,
        kind: Type,
        count: list[int],
        depth: int,
    ) -> Iterator[Problem]:
        count[0] += 1
        for tree in trees_of(effect):
            yield from _expression(path, tree)
        if isinstance(effect, SetEffect | PushEffect | PullEffect):
            field = kind.fields.get(effect.field)
            if field is None:
                yield path, f"no field {effect.field}"
            elif not isinstance(effect, SetEffect) and not isinstance(field, fields.ListField):
                yield path, f"{effect.field} is no list"
        elif isinstance(effect, ClaimEffect | ReleaseEffect):
            if CODE.fullmatch(effect.namespace) is None or not 1 <= len(effect.key) <= 4:
                yield path, "want a code and 1 to 4 parts of the key"
        elif isinstance(effect, LockEffect | UnlockEffect):
            if NAME.fullmatch(effect.name) is None:
                yield path, "not a name of a lock"
        elif isinstance(effect, MintEffect | BurnEffect | MoveEffect):
            unit = self._definition.units.get(effect.unit)
            if unit is None:
                yield path, f"no unit {effect.unit}"
            elif not isinstance(effect, MoveEffect) and owner not in unit.types:
                yield path, f"{owner} has no right to mint or burn {effect.unit}"
        elif isinstance(effect, CreateEffect):
            made = self._definition.types.get(effect.type)
            if made is None or CREATE not in made.transitions:
                yield path, f"no type {effect.type}"
            elif not made.transitions[CREATE].internal:
                yield path, f"`create` of {effect.type} is not internal"
            elif not effect.data.keys() <= made.fields.keys():
                yield path, f"data that {effect.type} has no field for"
        elif isinstance(effect, FireEffect):
            if any(NAME.fullmatch(text) is None for text in (effect.transition, *effect.input)):
                yield path, "not a name of a transition or of its input"
        elif isinstance(effect, TimerEffect | CancelEffect):
            target = kind.transitions.get(effect.name)
            if target is None or not target.auto:
                yield path, f"{effect.name} is no auto transition of this type"
        elif isinstance(effect, IfEffect):
            if depth >= 3:
                yield path, "conditions nest at most 3 deep"
                return
            for index, inner in enumerate(effect.then):
                where = (*path, str(index))
                yield from self._effect(where, inner, owner, kind, count, depth + 1)


def trees_of(effect: Effect) -> list[Any]:
    """The expressions of one effect, those of nested effects left out."""
    if isinstance(effect, SetEffect | PushEffect | PullEffect):
        return [effect.value]
    if isinstance(effect, ClaimEffect | ReleaseEffect):
        return list(effect.key)
    if isinstance(effect, LockEffect | UnlockEffect):
        return [effect.record]
    if isinstance(effect, MintEffect | BurnEffect):
        return [effect.account, effect.amount]
    if isinstance(effect, MoveEffect):
        return [effect.source, effect.target, effect.amount]
    if isinstance(effect, CreateEffect):
        return list(effect.data.values())
    if isinstance(effect, FireEffect):
        return [effect.record, *effect.input.values()]
    if isinstance(effect, TimerEffect):
        return [effect.at]
    if isinstance(effect, IfEffect):
        return [effect.when]
    return []


def _expression(path: tuple[str, ...], tree: Any) -> Iterator[Problem]:
    """Problems of a compiled tree's shape."""
    waiting: list[tuple[Any, int]] = [(tree, 0)]
    nodes = 0
    while waiting:
        node, depth = waiting.pop()
        nodes += 1
        if nodes > EXPRESSION_NODES_MAX or depth > EXPRESSION_DEPTH_MAX:
            yield path, "the expression is too large"
            return
        problem, parts = _node(node)
        if problem:
            yield path, problem
            return
        waiting += [(part, depth + 1) for part in parts]


def _node(node: Any) -> tuple[str, list[Any]]:
    """(problem or empty, parts) of one node.

    Problems stand in receipts: what repr() shows as it is differs between versions of Python.
    """
    if type(node) is not list or not node or type(node[0]) is not str:
        return "not a compiled expression", []
    kind, rest = node[0], node[1:]
    if kind == "int" and len(rest) == 1 and type(rest[0]) is int:
        return ("" if abs(rest[0]) <= INTEGER_MAX else "an integer is too large"), []
    if kind == "str" and len(rest) == 1 and type(rest[0]) is str:
        return ("" if len(rest[0]) <= fields.STRING_MAX else "a text is too long"), []
    if (kind == "bool" and len(rest) == 1 and type(rest[0]) is bool) or node == ["null"]:
        return "", []
    if kind == "list" and len(rest) == 1 and type(rest[0]) is list:
        return "", rest[0]
    if kind == "var" and len(rest) == 1 and type(rest[0]) is str:
        return ("" if rest[0] in VARIABLES else f"no variable {rest[0]!a}"), []
    if kind in ("get", "has") and len(rest) == 2 and type(rest[1]) is str:
        return "", [rest[0]]
    if kind == "call" and len(rest) == 2 and type(rest[1]) is list:
        bounds = FUNCTIONS.get(rest[0]) if type(rest[0]) is str else None
        if bounds is None:
            return f"no function {rest[0]!a}", []
        if not bounds[0] <= len(rest[1]) <= bounds[1]:
            return f"{rest[0]}(): wrong number of arguments", []
        return "", rest[1]
    arity = _ARITY.get(kind, 2 if kind in OPERATORS else 0)
    if arity == 0 or len(rest) != arity:
        return f"no operator {kind!a} of {len(rest)} parts", []
    return "", rest
