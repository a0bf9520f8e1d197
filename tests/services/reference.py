"""A second interpreter of compiled services, written from docs/spec/registry.md alone.

It imports nothing of the ledger and is slow and plain on purpose: deep copies, brute force over who
signs for what. The state machines compare the engine with it.
"""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
from typing import Any

from tests.services.reference_fields import CODE, HEX64
from tests.services.reference_rules import Refusing
from tests.services.reference_versions import Versions

PENDING_SECONDS = 30 * 86_400
UNIVERSAL = ("rectify", "error_declaration", "court_order")
PASSING = ("DEFINITION_SUSPENDED", "LOCKED")
PARTS = ("records", "balances", "minted", "burned", "claims", "pending")
"""What acts change."""


class World(Versions):
    """Parties, roles, versions, records, balances and claims of one service."""

    def __init__(self, definition: dict[str, Any], chain: str) -> None:
        self.service = definition["service"]
        self.definitions = {definition["version"]: definition}
        self.suspended = set()
        self.moved = {}
        self.chain = chain
        self.now = 0
        self.agencies: dict[str, str] = {}
        self.roles: dict[tuple[str, str], tuple[str | None, int]] = {}
        self.records: dict[str, dict[str, Any]] = {}
        self.balances: dict[tuple[str, str], int] = {}
        self.minted: dict[str, int] = {}
        self.burned: dict[str, int] = {}
        self.claims: dict[str, str] = {}
        self.pending: dict[tuple[str, str], dict[str, Any]] = {}
        self.why = ""
        """Why the last act was refused, where that is more than that it was."""
        self._open: list[str] = []

    # ----- doors: each gives True when it was done or waits, False when it was refused

    def attempt(self, do: Any) -> bool:
        """Everything or nothing."""
        before = pickle.dumps([getattr(self, part) for part in PARTS])
        self._open, self.why = [], ""
        try:
            do()
        except Refusing as refused:
            self.why = str(refused)
            self.__dict__.update(zip(PARTS, pickle.loads(before), strict=True))
            return False
        return True

    def create(self, record: str, operation: dict[str, Any], signer: str, name: str) -> bool:
        """record.create."""
        waiting = {
            "kind": operation["type"],
            "act": "create",
            "input": operation["data"],
            "signers": [signer],
            "seq": -1,
            "party": signer,
            "version": operation["version"],
        }

        def do() -> None:
            if operation["version"] != self.current:
                raise Refusing("VERSION_NOT_CURRENT")
            self._advance(record, name, waiting)

        return self.attempt(do)

    def act(self, record: str, act: str, given: dict[str, Any], signer: str, name: str) -> bool:
        """record.act."""
        self.why = ""
        if record not in self.records:
            return False
        value = self.records[record]
        waiting = {
            "kind": value["type"],
            "act": act,
            "input": given,
            "signers": [signer],
            "seq": value["seq"],
            "party": value["party"],
            "version": value["version"],
        }
        return self.attempt(lambda: self._advance(record, name, waiting))

    def approve(self, record: str, name: str, signer: str) -> bool:
        """record.approve."""
        self.why = ""
        waiting = self.pending.get((record, name))
        if waiting is None or signer in waiting["signers"] or len(waiting["signers"]) >= 8:
            return False
        if self.now >= waiting["until"]:
            return False
        more = {**waiting, "signers": [*waiting["signers"], signer]}
        return self.attempt(lambda: self._advance(record, name, more))

    def pass_time(self, seconds: int) -> list[tuple[str, str, bool]]:
        """Time passes; what is due fires, in order: (record, name, done)."""
        self.now += seconds
        due = sorted(
            (when, record, name)
            for record, value in self.records.items()
            for name, when in value["timers"].items()
            if when <= self.now
        )
        fired = []
        for when, record, name in due:
            if self.records[record]["timers"].get(name) != when:
                continue
            done = self.attempt(lambda r=record, n=name: self._fire_timer(r, n))
            if not done:
                self._put_off(self.records[record], name)
            fired.append((record, name, done))
        return fired

    # ----- rules

    def _put_off(self, value: dict[str, Any], name: str) -> None:
        """A timer that was refused is gone, unless what stood in its way passes."""
        if self.why in PASSING:
            value["timers"][name] = self.now + 86_400
        else:
            del value["timers"][name]
        value["seq"] += 1

    def _fire_timer(self, record: str, name: str) -> None:
        value = self.records[record]
        transition = self._in_force(value)["transitions"].get(name)
        if transition is None or value["state"] not in transition["from"]:
            raise Refusing
        if value["locks"]:
            raise Refusing("LOCKED")
        if not transition["auto"]:  # by another version, it is for people to do
            raise Refusing
        after = copy.deepcopy(value)
        del after["timers"][name]
        self._perform(after, name, {}, [])

    def _advance(self, record: str, name: str, waiting: dict[str, Any]) -> None:
        if waiting["act"] == "create":
            value = self._blank(record, waiting)
            if record in self.records:
                raise Refusing
            kind = self._in_force(value)
            value["data"] = {k: v for k, v in waiting["input"].items() if v is not None}
            given = {k: f for k, f in kind["fields"].items() if f.get("origin") != "effect"}
            self._check_fields(given, value["data"])
            policy = kind["transitions"]["create"]["by"]
            scope = self._scope(value, {}, waiting["signers"])
        else:
            value = copy.deepcopy(self.records[record])
            if value["seq"] != waiting["seq"]:
                raise Refusing
            kind = self._in_force(value)
            scope = self._scope(value, waiting["input"], waiting["signers"])
            policy = self._policy_of(kind, value, waiting)
        if policy is None or not self._useful(policy, waiting["signers"][-1], scope):
            raise Refusing
        if not self._satisfied(policy, waiting["signers"], scope):
            if waiting["act"] not in UNIVERSAL:
                self._guards(kind["transitions"][waiting["act"]], scope)
            self.pending[record, name] = {"until": self.now + PENDING_SECONDS, **waiting}
            return
        self.pending.pop((record, name), None)
        given = {} if waiting["act"] == "create" else waiting["input"]
        if waiting["act"] in UNIVERSAL:
            self._universal(kind, value, waiting)
        else:
            self._perform(value, waiting["act"], given, waiting["signers"])

    def _policy_of(
        self, kind: dict[str, Any], value: dict[str, Any], waiting: dict[str, Any]
    ) -> Any:
        act, given = waiting["act"], waiting["input"]
        if act in UNIVERSAL:
            self._universal_form(kind, value, act, given)
            return kind["universal"].get(act)
        transition = kind["transitions"].get(act)
        if transition is None or value["state"] not in transition["from"] or value["locks"]:
            raise Refusing
        self._check_fields(transition["input"], given)
        return transition["by"]

    def _universal_form(
        self, kind: dict[str, Any], value: dict[str, Any], act: str, given: dict[str, Any]
    ) -> None:
        allowed = {"reason_code", "commitment"}
        allowed |= {"rectify": {"field", "value"}, "court_order": {"state", "unlock"}}.get(
            act, set()
        )
        fits = (
            set(given) <= allowed
            and CODE.fullmatch(str(given.get("reason_code", "?")))
            and HEX64.fullmatch(str(given.get("commitment", "")))
        )
        if not fits or (act != "court_order" and value["locks"]):
            raise Refusing
        if act == "rectify":
            field = kind["fields"].get(given.get("field"))
            proof = HEX64.fullmatch(str(given.get("value", "")))
            if field is None or field.get("privacy") != "committed" or not proof:
                raise Refusing
        if act == "court_order" and given.get("state", value["state"]) not in kind["states"]:
            raise Refusing

    def _universal(
        self, kind: dict[str, Any], value: dict[str, Any], waiting: dict[str, Any]
    ) -> None:
        given = waiting["input"]
        if waiting["act"] == "rectify":
            value["data"][given["field"]] = given["value"]
        elif waiting["act"] == "court_order":
            value["state"] = given.get("state", value["state"])
            if value["state"] in kind["final"]:
                value["timers"] = {}
            if given.get("unlock"):
                value["locks"] = {}
        value["acts"] += 1
        value["seq"] += 1
        self.records[value["id"]] = value

    @staticmethod
    def _blank(record: str, made: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": record, "type": made["kind"], "version": made["version"], "state": "",
            "party": made["party"], "data": {}, "locks": {}, "timers": {}, "acts": 0, "seq": -1,
        }  # fmt: skip

    def _perform(
        self, value: dict[str, Any], act: str, given: dict[str, Any], signers: list[str]
    ) -> None:
        if value["id"] in self._open or len(self._open) > 8:
            raise Refusing
        self._open.append(value["id"])
        kind = self.form(value)
        transition = kind["transitions"][act]
        scope = self._scope(value, given, signers)
        self._guards(transition, scope)
        made = [0]
        for effect in transition["effects"]:
            self._effect(effect, value, scope, made)
        self._check_fields(kind["fields"], value["data"])
        value["state"] = transition["to"]
        if value["state"] in kind["final"]:
            value["timers"] = {}
        value["seq"] += 1
        self.records[value["id"]] = value
        self._open.remove(value["id"])

    def _guards(self, transition: dict[str, Any], scope: dict[str, Any]) -> None:
        for _, tree in transition["guards"]:
            if self._value(tree, scope) is not True:
                raise Refusing

    # ----- effects

    def _effect(
        self, effect: dict[str, Any], value: dict[str, Any], scope: dict[str, Any], made: list[int]
    ) -> None:
        kind = effect["e"]
        if kind == "if":
            condition = self._value(effect["when"], scope)
            if condition not in (True, False):
                raise Refusing
            for inner in effect["then"] if condition else ():
                self._effect(inner, value, scope, made)
        elif kind in ("set", "push", "pull"):
            self._field(effect, value["data"], self._value(effect["value"], scope))
        elif kind in ("claim", "release"):
            key = json.dumps([effect["namespace"], *[self._value(t, scope) for t in effect["key"]]])
            if (kind == "claim") == (key in self.claims):
                raise Refusing
            if kind == "claim":
                self.claims[key] = value["id"]
            elif self.claims.pop(key) != value["id"]:
                raise Refusing
        elif kind in ("lock", "unlock"):
            self._lock(effect, value["id"], self._value(effect["record"], scope))
        elif kind in ("mint", "burn", "move"):
            self._money(effect, scope)
        elif kind == "timer":
            when = self._value(effect["at"], scope)
            if type(when) is not int or when < 0:
                raise Refusing
            value["timers"][effect["name"]] = max(when, self.now)
        elif kind == "cancel":
            value["timers"].pop(effect["name"], None)
        elif kind == "create":
            self._create(effect, value, scope, made)
        else:
            self._fire(effect, value, scope)

    @staticmethod
    def _field(effect: dict[str, Any], data: dict[str, Any], value: Any) -> None:
        name = effect["field"]
        if effect["e"] == "set":
            data[name] = value
            if value is None:
                del data[name]
            return
        items = list(data.get(name) or [])
        if effect["e"] == "push":
            items.append(value)
        elif value in items:
            items.remove(value)
        else:
            raise Refusing
        data[name] = items

    def _lock(self, effect: dict[str, Any], owner: str, target: Any) -> None:
        if target not in self.records or target in self._open:
            raise Refusing
        locks = self.records[target]["locks"]
        if effect["e"] == "lock":
            if locks:
                raise Refusing("LOCKED")
            locks[effect["name"]] = owner
        elif locks.pop(effect["name"], None) != owner:
            raise Refusing
        self._in_force(self.records[target])
        self.records[target]["seq"] += 1

    def _money(self, effect: dict[str, Any], scope: dict[str, Any]) -> None:
        unit, amount = effect["unit"], self._value(effect["amount"], scope)
        if type(amount) is not int or amount < 0:
            raise Refusing
        names = {"mint": (None, "account"), "burn": ("account", None), "move": ("source", "target")}
        source, target = names[effect["e"]]
        if source is not None:
            account = (unit, self._value(effect[source], scope))
            if self.balances.get(account, 0) < amount:
                raise Refusing
            self.balances[account] = self.balances.get(account, 0) - amount
        if target is not None:
            account = (unit, self._value(effect[target], scope))
            self.balances[account] = self.balances.get(account, 0) + amount
        if effect["e"] == "mint":
            self.minted[unit] = self.minted.get(unit, 0) + amount
        elif effect["e"] == "burn":
            self.burned[unit] = self.burned.get(unit, 0) + amount

    def _create(
        self, effect: dict[str, Any], value: dict[str, Any], scope: dict[str, Any], made: list[int]
    ) -> None:
        kind = f"{self.service}-{effect['type']}"
        text = f"muniment-child-v1\n{value['id']}\n{value['seq'] + 1}\n{made[0]}\n"
        made[0] += 1
        record = f"{kind}/{hashlib.sha256(text.encode()).hexdigest()[:32]}"
        # It pins the version by which the record acts that makes it.
        party = scope["signers"][0] if scope["signers"] else ""
        version = self.followed(value["version"])
        made_by = {"kind": kind, "version": version, "party": party}
        child = self._blank(record, made_by)
        data = {name: self._value(tree, scope) for name, tree in effect["data"].items()}
        child["data"] = {name: item for name, item in data.items() if item is not None}
        self._perform(child, "create", {}, scope["signers"])

    def _fire(self, effect: dict[str, Any], value: dict[str, Any], scope: dict[str, Any]) -> None:
        target = self._value(effect["record"], scope)
        if target not in self.records or target in self._open:
            raise Refusing
        other = copy.deepcopy(self.records[target])
        transition = self._in_force(other)["transitions"].get(effect["transition"])
        given = {name: self._value(tree, scope) for name, tree in effect["input"].items()}
        if transition is None or not transition["internal"]:
            raise Refusing
        if other["state"] not in transition["from"]:
            raise Refusing
        if set(other["locks"].values()) - {value["id"]}:
            raise Refusing("LOCKED")
        self._check_fields(transition["input"], given)
        self._perform(other, effect["transition"], given, scope["signers"])
