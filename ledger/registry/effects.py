"""Effects of a transition, in order (registry.md, section 6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from ledger import canonical
from ledger.ids import INTEGER_MAX, RECORD_ID
from ledger.registry import balances, fields
from ledger.registry.act import (
    DEPTH_MAX,
    Act,
    Refused,
    check_guards,
    check_input,
    check_transition,
    child_id,
    form_of,
    new_record,
    scope_of,
    write_record,
)
from ledger.registry.catalogue import Loaded
from ledger.registry.definition import (
    CREATE,
    BurnEffect,
    CancelEffect,
    ClaimEffect,
    CreateEffect,
    Effect,
    FireEffect,
    IfEffect,
    LockEffect,
    MintEffect,
    MoveEffect,
    PullEffect,
    PushEffect,
    ReleaseEffect,
    SetEffect,
    TimerEffect,
    Transition,
    Type,
    UnlockEffect,
)
from ledger.registry.evaluate import Scope, evaluate, truth
from ledger.registry.meter import ExpressionRefused, Value, weigh
from ledger.registry.scope import claim_key, read_record

_PLAIN: Final = frozenset((int, str, bool, type(None)))
"""Kinds of value that a field can hold, lists apart."""
_ACCOUNT: Final = re.compile(r"[!-\"$-~]{1,128}#[!-~]{1,64}", re.ASCII)


def perform(
    act: Act,
    loaded: Loaded,
    kind: Type,
    before: dict[str, Any] | None,
    record: dict[str, Any],
    transition: Transition,
    scope: Scope,
    *,
    given_checked: bool = False,
) -> int:
    """Guards, effects and the next version of `record`; the version's seq. Raises Refused.

    `before` is the version that is superseded, None for a new record; `record` is its own copy, and
    `scope` sees it. `given_checked`: the values that a new record begins with were found right.
    """
    if record["id"] in act.open:
        raise Refused("REENTERED")
    act.open.append(record["id"])
    check_guards(transition, scope)
    runner = _Runner(act, loaded, kind, record, scope)
    try:
        runner.run(transition.effects)
    except ExpressionRefused as refused:
        raise Refused(refused.reason) from None
    # What a record was made by it was measured by. Fields that effects set are measured even when
    # they are what they were: whether two values are the same must not depend on the interpreter.
    known = given_checked if before is None else before["def"] == loaded.name
    data, lookup = record["data"], act.lookup()
    wrong = (
        fields.check_changed(kind.fields, kind.required, data, lookup, runner.changed)
        if known
        else fields.check_values(kind.fields, data, lookup)
    )
    if wrong is not None:
        raise Refused("DATA_INVALID", field=wrong)
    record["state"] = transition.to
    if transition.to in kind.final:
        record["timers"] = {}
    seq = write_record(act, loaded, kind, before, record)
    act.open.remove(record["id"])
    return seq


def _holds(field: fields.Field | None, value: Value) -> bool:
    """Whether the value has the shape of a field's: plain, or a list of plain ones for a list.

    Kinds are checked when all is done; what no kind takes would make nested values until then, and
    values that hold themselves.
    """
    if not isinstance(field, fields.ListField):
        return type(value) in _PLAIN
    if value is None:
        return True
    return type(value) is list and all(type(item) in _PLAIN for item in value)


class _Runner:
    """The effects of one transition on one record."""

    def __init__(
        self, act: Act, loaded: Loaded, kind: Type, record: dict[str, Any], scope: Scope
    ) -> None:
        self._act = act
        self._loaded = loaded
        self._kind = kind
        self._record = record
        self._scope = scope
        self._made = 0
        self.changed: set[str] = set()
        """Names of the fields that effects set."""

    def run(self, effects: Sequence[Effect]) -> None:
        """Every effect, in order."""
        act = self._act
        for effect in effects:
            act.spend_effect()
            _EFFECTS[type(effect)](self, effect)

    def when(self, effect: IfEffect) -> None:
        """Effects under a condition."""
        if truth(effect.when, self._scope):
            self.run(effect.then)

    def _value(self, tree: list[Any]) -> Value:
        return evaluate(tree, self._scope)

    def set_field(self, effect: SetEffect) -> None:
        """set."""
        name, value = effect.field, evaluate(effect.value, self._scope)
        self.changed.add(name)
        if not _holds(self._kind.fields[name], value):
            raise Refused("DATA_INVALID", field=name)
        if value is None:
            self._record["data"].pop(name, None)
        else:
            self._record["data"][name] = value

    def change_list(self, effect: PushEffect | PullEffect) -> None:
        """push, pull."""
        data, value = self._record["data"], self._value(effect.value)
        self.changed.add(effect.field)
        if type(value) not in _PLAIN:
            raise Refused("DATA_INVALID", field=effect.field)
        items = list(data.get(effect.field) or [])
        if isinstance(effect, PushEffect):
            items.append(value)
        else:
            found = [n for n, item in enumerate(items) if type(item) is type(value)]
            at = next((n for n in found if items[n] == value), None)  # true is not 1 here
            if at is None:
                raise Refused("ITEM_ABSENT", field=effect.field)
            del items[at]
        data[effect.field] = items

    def claim(self, effect: ClaimEffect | ReleaseEffect) -> None:
        """claim, release."""
        namespace = f"{self._loaded.definition.service}.{effect.namespace}"
        parts = [self._value(tree) for tree in effect.key]
        weigh(parts, self._act.meter)
        key = claim_key(namespace, parts)
        taken = self._act.draft.get(key) if self._act.draft.has(key) else None
        mine = canonical.encode({"record": self._record["id"]})
        if isinstance(effect, ClaimEffect):
            if taken is not None:
                raise Refused("CLAIM_TAKEN", namespace=effect.namespace)
            self._act.draft.put(key, mine)
        elif taken != mine:
            raise Refused("CLAIM_NOT_OURS", namespace=effect.namespace)
        else:
            self._act.draft.delete(key)

    def lock(self, effect: LockEffect | UnlockEffect) -> None:
        """lock, unlock."""
        target = self._other(effect.record)
        locks = dict(target["locks"])
        if isinstance(effect, LockEffect):
            if locks:
                raise Refused("LOCKED")
            locks[effect.name] = self._record["id"]
        elif locks.get(effect.name) != self._record["id"]:
            raise Refused("LOCK_NOT_OURS")
        else:
            del locks[effect.name]
        loaded, kind = self._own_form(target)
        write_record(self._act, loaded, kind, target, {**target, "locks": locks})

    def _own_form(self, target: dict[str, Any]) -> tuple[Loaded, Type]:
        """What another record acts by. Raises Refused when it is another service's."""
        loaded, kind = form_of(self._act, target)
        if loaded.definition.service != self._loaded.definition.service:
            raise Refused("OTHER_SERVICE")
        return loaded, kind

    def _other(self, tree: list[Any]) -> dict[str, Any]:
        """Another record that may change now."""
        record = self._value(tree)
        if not isinstance(record, str) or RECORD_ID.fullmatch(record) is None:
            raise Refused("EXPRESSION_TYPE")
        if record in self._act.open:
            raise Refused("REENTERED")
        value = read_record(self._act.draft, record, self._act.meter)
        if value is None or "locks" not in value:
            raise Refused("RECORD_UNKNOWN")
        return value

    def _amount(self, tree: list[Any]) -> int:
        value = self._value(tree)
        if type(value) is not int or not 0 <= value <= INTEGER_MAX:
            raise Refused("AMOUNT_NEGATIVE")
        return value

    def _account(self, tree: list[Any]) -> str:
        value = self._value(tree)
        if not isinstance(value, str) or _ACCOUNT.fullmatch(value) is None:
            raise Refused("EXPRESSION_TYPE")
        return value

    def balance(self, effect: MintEffect | BurnEffect | MoveEffect) -> None:
        """mint, burn, move."""
        unit, amount = self._loaded.unit(effect.unit), self._amount(effect.amount)
        act = self._act
        if isinstance(effect, MoveEffect):
            source, target = self._account(effect.source), self._account(effect.target)
            reason = balances.move(act, unit, source, target, amount)
        elif isinstance(effect, MintEffect):
            reason = balances.mint(act, unit, self._account(effect.account), amount)
        else:
            reason = balances.burn(act, unit, self._account(effect.account), amount)
        if reason:
            raise Refused(reason, unit=effect.unit)

    def timer(self, effect: TimerEffect | CancelEffect) -> None:
        """timer, cancel."""
        timers = self._record["timers"]
        if isinstance(effect, CancelEffect):
            timers.pop(effect.name, None)
            return
        due = self._value(effect.at)
        if type(due) is not int or not 0 <= due <= INTEGER_MAX:
            raise Refused("EXPRESSION_TYPE")
        timers[effect.name] = max(due, self._act.now)

    def _deeper(self) -> None:
        self._act.depth += 1
        if self._act.depth > DEPTH_MAX:
            raise Refused("TOO_DEEP")

    def create(self, effect: CreateEffect) -> None:
        """A record of this service."""
        act, loaded = self._act, self._loaded
        record_type = loaded.definition.record_type(effect.type)
        kind = loaded.definition.types[effect.type]
        seq = self._record.get("seq", -1) + 1
        record = child_id(record_type, self._record["id"], seq, self._made)
        self._made += 1
        data = {name: self._value(tree) for name, tree in effect.data.items()}
        for name, value in data.items():
            if not _holds(kind.fields.get(name), value):
                raise Refused("DATA_INVALID", field=name)
        made = new_record(act, record, record_type, loaded.name)
        made["data"] = {name: value for name, value in data.items() if value is not None}
        self._deeper()
        scope = scope_of(act, loaded, made, {}, self._signers())
        made_seq = perform(act, loaded, kind, None, made, kind.transitions[CREATE], scope)
        act.fired[record, made_seq] = CREATE
        act.depth -= 1

    def _signers(self) -> Sequence[str]:
        signers: Sequence[str] = self._scope.variables["signers"]
        return signers

    def fire(self, effect: FireEffect) -> None:
        """An internal transition of another record."""
        act = self._act
        before = self._other(effect.record)
        given = {name: self._value(tree) for name, tree in effect.input.items()}
        loaded, kind = self._own_form(before)
        transition = check_transition(before, kind, effect.transition, acting=self._record["id"])
        if not transition.internal:
            raise Refused("NOT_INTERNAL")
        check_input(act, transition, given)
        self._deeper()
        after = {**before, "data": dict(before["data"]), "timers": dict(before["timers"])}
        scope = scope_of(act, loaded, after, given, self._signers())
        seq = perform(act, loaded, kind, before, after, transition, scope)
        act.fired[before["id"], seq] = effect.transition
        act.depth -= 1


_EFFECTS: Final[dict[type, Callable[[_Runner, Any], None]]] = {
    IfEffect: _Runner.when,
    SetEffect: _Runner.set_field,
    PushEffect: _Runner.change_list,
    PullEffect: _Runner.change_list,
    ClaimEffect: _Runner.claim,
    ReleaseEffect: _Runner.claim,
    LockEffect: _Runner.lock,
    UnlockEffect: _Runner.lock,
    MintEffect: _Runner.balance,
    BurnEffect: _Runner.balance,
    MoveEffect: _Runner.balance,
    CreateEffect: _Runner.create,
    FireEffect: _Runner.fire,
    TimerEffect: _Runner.timer,
    CancelEffect: _Runner.timer,
}
