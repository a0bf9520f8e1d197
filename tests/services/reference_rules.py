"""Authority and functions of the second interpreter (see tests/services/reference.py)."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from typing import Any


class Refusing(Exception):
    """Refused; its text is the reason where the play compares it, or something follows from it."""


class Rules:
    """Who may act, and what functions give; the world's data stand in the subclass."""

    service: str
    now: int
    agencies: dict[str, str]
    roles: dict[tuple[str, str], tuple[str | None, int]]
    records: dict[str, dict[str, Any]]
    balances: dict[tuple[str, str], int]
    claims: dict[str, str]

    def _value(self, tree: list[Any], scope: dict[str, Any]) -> Any:
        raise NotImplementedError

    def _types_at(self, version: int) -> dict[str, Any]:
        """The types of the version by which records of a version act."""
        raise NotImplementedError

    # ----- authority

    def _leaves(self, policy: dict[str, Any], scope: dict[str, Any]) -> list[list[Any]]:
        """Every way to satisfy a policy, as a list of predicates that distinct signers serve."""
        kind = policy["p"]
        if kind == "all":
            parts = [self._leaves(part, scope) for part in policy["of"]]
            return [
                [leaf for way in choice for leaf in way] for choice in itertools.product(*parts)
            ]
        if kind == "any":
            return [way for part in policy["of"] for way in self._leaves(part, scope)]
        if kind == "count":
            parts = [self._leaves(policy["of"], scope)] * policy["n"]
            return [
                [leaf for way in choice for leaf in way] for choice in itertools.product(*parts)
            ]
        if kind == "except":
            excluded = [self._test(part, scope, exception=True) for part in policy["but"]]
            return [
                [
                    lambda p, leaf=leaf: leaf(p) and not any(test(p) for test in excluded)
                    for leaf in way
                ]
                for way in self._leaves(policy["of"], scope)
            ]
        if kind == "each":
            named = self._try(policy["value"], scope)
            if not isinstance(named, list):
                return []
            return [[lambda p, who=who: p == who for who in dict.fromkeys(named)]]
        return [[self._test(policy, scope, exception=False)]]

    def _try(self, tree: list[Any], scope: dict[str, Any]) -> Any:
        try:
            return self._value(tree, scope)
        except Refusing:
            return None

    def _test(self, policy: dict[str, Any], scope: dict[str, Any], *, exception: bool) -> Any:
        """A predicate over parties of one leaf."""
        kind = policy["p"]
        if kind in ("is", "each"):
            value = self._try(policy["value"], scope)
            if value is None:
                return lambda party: exception
            return lambda party: party == value if kind == "is" else party in value
        if kind == "party":
            return lambda party: scope["data"].get(policy["field"]) == party
        if kind == "agency":
            owner = self.agencies.get(scope["data"].get(policy["field"]))
            return lambda party: owner is not None and self.agencies.get(party) == owner
        if kind == "role":
            return lambda party: self._holds(party, policy, scope)
        tests = [self._test(part, scope, exception=exception) for part in _parts(policy)]
        if kind == "all":
            return lambda party: all(test(party) for test in tests)
        if kind == "any":
            return lambda party: any(test(party) for test in tests)
        if kind == "count":
            return tests[0]
        return lambda party: tests[0](party) and not any(test(party) for test in tests[1:])

    def _holds(self, party: str, policy: dict[str, Any], scope: dict[str, Any]) -> bool:
        agency, until = self.roles.get((policy["role"], party), (None, 0))
        if self.now >= until:
            return False
        if policy.get("agency_of") is None:
            return agency is None
        owner = self.agencies.get(scope["data"].get(policy["agency_of"]))
        return owner is not None and agency in (None, owner)

    def _satisfied(self, policy: dict[str, Any], signers: list[str], scope: dict[str, Any]) -> bool:
        for way in self._leaves(policy, scope):
            for chosen in itertools.permutations(signers, len(way)):
                if all(leaf(party) for leaf, party in zip(way, chosen, strict=True)):
                    return True
        return False

    def _useful(self, policy: dict[str, Any], party: str, scope: dict[str, Any]) -> bool:
        return any(leaf(party) for way in self._leaves(policy, scope) for leaf in way)

    # ----- functions

    def _call(self, name: str, given: list[Any], scope: dict[str, Any]) -> Any:
        simple: dict[str, Any] = {
            "account": lambda n: f"{scope['id']}#{n}",
            "account_of": lambda r, n: f"{r}#{n}",
            "party_account": lambda p, n: f"party:{p}#{n}",
            "balance": lambda u, a: self.balances.get((u, a), 0),
            "state_of": lambda r: self.records[r]["state"] if r in self.records else "",
            "locked": lambda r: r in self.records and bool(self.records[r]["locks"]),
            "claimed": lambda *k: json.dumps(list(k)) in self.claims,
            "size": len,
        }
        if name in simple:
            return simple[name](*given)
        if name == "get":
            if given[0] not in self.records:
                raise Refusing
            return self.records[given[0]]["data"]
        if name == "lock_is":
            held = self.records.get(given[0], {"locks": {}})["locks"].get(given[1])
            return held == scope["id"]
        if name == "holdings":
            unit, record, names = given
            return sum(self.balances.get((unit, f"{record}#{n}"), 0) for n in set(names))
        if name == "holds":
            agency, until = self.roles.get((given[1], given[0]), (None, 0))
            return agency is None and self.now < until
        if name == "agency_of":
            if given[0] not in self.agencies:
                raise Refusing
            return self.agencies[given[0]]
        if name == "commitment":
            text = json.dumps(given[1], separators=(",", ":"), sort_keys=True, ensure_ascii=False)
            data = b"muniment-value-v1\n" + bytes.fromhex(given[0]) + text.encode()
            return hashlib.sha256(data).hexdigest()
        return self._aggregate(name, *given)

    def _aggregate(self, name: str, record: str, aggregate: str) -> Any:
        """count, sum, min and argmin, by looking at every record there is."""
        found = sorted(self._children(record, aggregate))
        if name == "count":
            return len(found)
        if name == "sum":
            return sum(value for value, _ in found)
        if not found:
            return None
        return found[0][0 if name == "min" else 1]

    def _children(self, record: str, aggregate: str) -> Iterator[tuple[int, str]]:
        """(value, child) of every record that counts, by the version that it acts by."""
        owner = record.split("/")[0].removeprefix(f"{self.service}-")
        forms: dict[int, Any] = {}
        for child, value in self.records.items():
            version = value["version"]
            if version not in forms:
                kind = self._types_at(version).get(owner, {"aggregates": {}})
                forms[version] = kind["aggregates"].get(aggregate)
            form = forms[version]
            if form is None or value["data"].get(form["link"]) != record:
                continue
            if value["type"] != f"{self.service}-{form['type']}":
                continue
            if value["state"] not in form["states"]:
                continue
            counted = 0 if form.get("field") is None else value["data"].get(form["field"])
            if counted is not None:
                yield counted, child


def _parts(policy: dict[str, Any]) -> list[dict[str, Any]]:
    of = policy["of"]
    parts = list(of) if isinstance(of, list) else [of]
    return [*parts, *policy.get("but", [])]
