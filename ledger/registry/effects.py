"""Effects of a transition, in order (registry.md, section 6)."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from ledger import canonical
from ledger.ids import INTEGER_MAX, RECORD_ID
from ledger.registry import balances, fields
from ledger.registry.act import (
    DEPTH_MAX,
    Act,
    Refused,
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
    ClaimEffect,
    CreateEffect,
    FireEffect,
    LockEffect,
    MintEffect,
    MoveEffect,
    PullEffect,
    PushEffect,
    ReleaseEffect,
    Transition,
    Type,
    UnlockEffect,
)
from ledger.registry.evaluate import Plan, evaluate
from ledger.registry.meter import ExpressionRefused, Value, weigh
from ledger.registry.plan import PLAIN, Calls, effects_of, holds, plan
from ledger.registry.scope import FUNCTIONS, Scope, claim_key, read_record

_ACCOUNT: Final = re.compile(r"[!-\"$-~]{1,128}#[!-~]{1,64}", re.ASCII)


class Change(msgspec.Struct):
    """A record in the middle of a transition. Its methods are effects that reach further than the
    record itself; the others are written out in the transition's program."""

    act: Act
    loaded: Loaded
    kind: Type
    record: dict[str, Any]
    scope: Scope
    made: int = 0
    """Records created so far."""
    changed: set[str] = set()
    """Names of the fields that effects set, where the plan does not know them."""

    def _value(self, tree: list[Any]) -> Value:
        return evaluate(tree, self.scope)

    def change_list(self, effect: PushEffect | PullEffect) -> None:
        """push, pull."""
        data, value = self.record["data"], self._value(effect.value)
        self.changed.add(effect.field)
        if type(value) not in PLAIN:
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
        namespace = f"{self.loaded.definition.service}.{effect.namespace}"
        parts = [self._value(tree) for tree in effect.key]
        weigh(parts, self.act.meter)
        key = claim_key(namespace, parts)
        taken = self.act.draft.get(key) if self.act.draft.has(key) else None
        mine = canonical.encode({"record": self.record["id"]})
        if isinstance(effect, ClaimEffect):
            if taken is not None:
                raise Refused("CLAIM_TAKEN", namespace=effect.namespace)
            self.act.draft.put(key, mine)
        elif taken != mine:
            raise Refused("CLAIM_NOT_OURS", namespace=effect.namespace)
        else:
            self.act.draft.delete(key)

    def lock(self, effect: LockEffect | UnlockEffect) -> None:
        """lock, unlock."""
        target = self._other(effect.record)
        locks = dict(target["locks"])
        if isinstance(effect, LockEffect):
            if locks:
                raise Refused("LOCKED")
            locks[effect.name] = self.record["id"]
        elif locks.get(effect.name) != self.record["id"]:
            raise Refused("LOCK_NOT_OURS")
        else:
            del locks[effect.name]
        loaded, kind = self._own_form(target)
        write_record(self.act, loaded, kind, target, {**target, "locks": locks})

    def _own_form(self, target: dict[str, Any]) -> tuple[Loaded, Type]:
        """What another record acts by. Raises Refused when it is another service's."""
        loaded, kind = form_of(self.act, target)
        if loaded.definition.service != self.loaded.definition.service:
            raise Refused("OTHER_SERVICE")
        return loaded, kind

    def _other(self, tree: list[Any]) -> dict[str, Any]:
        """Another record that may change now."""
        record = self._value(tree)
        if not isinstance(record, str) or RECORD_ID.fullmatch(record) is None:
            raise Refused("EXPRESSION_TYPE")
        if record in self.act.open:
            raise Refused("REENTERED")
        value = read_record(self.act.draft, record, self.act.meter)
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
        unit, amount = self.loaded.unit(effect.unit), self._amount(effect.amount)
        act = self.act
        if isinstance(effect, MoveEffect):
            source, target = self._account(effect.source), self._account(effect.target)
            reason = balances.move(act, unit, source, target, amount)
        elif isinstance(effect, MintEffect):
            reason = balances.mint(act, unit, self._account(effect.account), amount)
        else:
            reason = balances.burn(act, unit, self._account(effect.account), amount)
        if reason:
            raise Refused(reason, unit=effect.unit)

    def _deeper(self) -> None:
        self.act.depth += 1
        if self.act.depth > DEPTH_MAX:
            raise Refused("TOO_DEEP")

    def create(self, effect: CreateEffect) -> None:
        """A record of this service."""
        act, loaded = self.act, self.loaded
        record_type = loaded.definition.record_type(effect.type)
        kind = loaded.definition.types[effect.type]
        seq = self.record.get("seq", -1) + 1
        record = child_id(record_type, self.record["id"], seq, self.made)
        self.made += 1
        data = {name: self._value(tree) for name, tree in effect.data.items()}
        for name, value in data.items():
            if not holds(kind.fields.get(name), value):
                raise Refused("DATA_INVALID", field=name)
        made = new_record(act, record, record_type, loaded.name)
        made["data"] = {name: value for name, value in data.items() if value is not None}
        self._deeper()
        scope = scope_of(act, loaded, made, {}, self.scope.signers)
        made_seq = perform(act, loaded, kind, None, made, kind.transitions[CREATE], scope)
        act.fired[record, made_seq] = CREATE
        act.depth -= 1

    def fire(self, effect: FireEffect) -> None:
        """An internal transition of another record."""
        act = self.act
        before = self._other(effect.record)
        given = {name: self._value(tree) for name, tree in effect.input.items()}
        loaded, kind = self._own_form(before)
        transition = check_transition(before, kind, effect.transition, acting=self.record["id"])
        if not transition.internal:
            raise Refused("NOT_INTERNAL")
        check_input(act, transition, given)
        self._deeper()
        after = {**before, "data": dict(before["data"]), "timers": dict(before["timers"])}
        scope = scope_of(act, loaded, after, given, self.scope.signers)
        seq = perform(act, loaded, kind, before, after, transition, scope)
        act.fired[before["id"], seq] = effect.transition
        act.depth -= 1


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
    known_plan = _plan(loaded, kind, transition)
    guards, effects, changed = known_plan.guards, known_plan.effects, known_plan.changed
    if guards is not None and (failing := guards(scope)) is not None:
        raise Refused("GUARD_FAILED", guard=failing)
    change = Change(act, loaded, kind, record, scope)
    if transition.effects:
        if effects is None:
            effects = known_plan.effects = effects_of(kind, transition, FUNCTIONS, _CALLS)
        try:
            effects(scope, change)
        except ExpressionRefused as refused:
            raise Refused(refused.reason) from None
    # What a record was made by it was measured by. Fields that effects set are measured even when
    # they are what they were: whether two values are the same must not depend on the interpreter.
    known = given_checked if before is None else before["def"] == loaded.name
    data, lookup = record["data"], act.lookup()
    if changed is None:
        changed = tuple(name for name in kind.fields if name in change.changed)
    wrong = (
        fields.check_changed(kind.fields, kind.required, data, lookup, changed)
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


def _plan(loaded: Loaded, kind: Type, transition: Transition) -> Plan:
    plans = loaded.programs.plans
    known = plans.get((id(kind), id(transition)))
    if known is None:
        known = plans[id(kind), id(transition)] = plan(kind, transition, FUNCTIONS)
    return known


_CALLS: Final[Calls] = {
    PushEffect: Change.change_list,
    PullEffect: Change.change_list,
    ClaimEffect: Change.claim,
    ReleaseEffect: Change.claim,
    LockEffect: Change.lock,
    UnlockEffect: Change.lock,
    MintEffect: Change.balance,
    BurnEffect: Change.balance,
    MoveEffect: Change.balance,
    CreateEffect: Change.create,
    FireEffect: Change.fire,
}
