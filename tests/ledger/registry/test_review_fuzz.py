"""Definitions changed at random where they still pass the check, and random operations on them.

Whatever a quorum may activate: nothing but refusals comes of it, every unit stays conserved, and
two runs agree to the byte, whatever the seed of Python's hashes.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import canonical
from ledger.registry import aggregates, catalogue, pattern
from ledger.registry.act import INDEX_TABLE, TIMER_TABLE, index_prefix, timer_key
from ledger.registry.fields import ListField
from ledger.transaction import Inadmissible
from node.authoring.stage import FOUNDER, Stage
from tests.ledger.registry.spoiled import BASES, ROOT, spoiled

PARTIES = ("ann", "bob", "cyd", "dan")
OPERATIONS = 60


class Life:
    """A stage, and operations drawn at random on it."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._made = spoiled(self._rng, self._rng.choice(BASES))
        self._prefix = f"{self._made.service}-"
        self._stage = Stage()
        self._records: list[str] = []
        self._pending: list[tuple[str, str]] = []
        self.committed = 0

    def live(self, *, upgraded: bool = False) -> bytes:
        """The root of the state after all; `upgraded`: half way a next version, and a migration."""
        stage, rng = self._stage, self._rng
        assert stage.activate(self._made)["status"] == "committed"
        for party in PARTIES:
            stage.add_party(party, f"{party}-agency" if rng.random() < 0.7 else FOUNDER)
            for role in self._made.roles:
                if rng.random() < 0.9:
                    stage.grant(f"{self._made.service}.{role}", party)
        for number in range(OPERATIONS):
            if upgraded and number == OPERATIONS // 2:
                self._upgrade()
            if rng.random() < 0.15:
                stage.advance(rng.choice([1, 10, 90_000]))
            else:
                self._operate()
            self._check()
        if not upgraded:  # what a migration does to indexes is for no state root
            self._check_derived()
        return stage.state.root

    def _upgrade(self) -> None:
        """Another version, to which the records follow if they can."""
        body = canonical.decode(self._made.encode())
        self._made = spoiled(self._rng, {**body, "version": 2})
        self._stage.activate(self._made)
        service = self._made.service
        self._stage.govern("migrate", {"service": service, "source": 1, "target": 2})
        if self._rng.random() < 0.2:
            self._stage.govern("suspend", {"service": service, "version": 2})
            self._stage.advance(90_000)
            self._stage.govern("resume", {"service": service, "version": 2})

    def _operate(self) -> None:
        rng = self._rng
        party = rng.choice(PARTIES)
        operation = self._operation()
        if operation["op"] == "record.create" and rng.random() < 0.9:
            party = operation["data"].get("payee", party)
            party = party if party in PARTIES else "ann"
        entry = self._run(party, operation)
        while entry is not None and "pending" in entry["results"][0] and rng.random() < 0.8:
            waiting = entry["results"][0]
            approval = {"op": "record.approve", "id": waiting["record"]}
            others = [name for name in PARTIES if name not in waiting["signers"]]
            if not others:
                return
            pending = waiting["pending"]
            entry = self._run(rng.choice(others), {**approval, "pending": pending})

    def _run(self, party: str, operation: dict[str, Any]) -> dict[str, Any] | None:
        """The entry of what was committed."""
        try:
            entry = self._stage.run(party, [operation])
        except Inadmissible:
            return None
        if entry["status"] != "committed":
            return None
        self.committed += 1
        for result in entry["results"]:
            if "pending" in result:
                self._pending.append((result["record"], result["pending"]))
            else:
                others = [row["record"] for row in result.get("others", [])]
                self._records += [r for r in (result["record"], *others) if r not in self._records]
        return entry

    def _operation(self) -> dict[str, Any]:
        rng = self._rng
        if self._pending and rng.random() < 0.3:
            record, pending = rng.choice(self._pending)
            return {"op": "record.approve", "id": record, "pending": pending}
        if not self._records or rng.random() < 0.3:
            name = rng.choice(sorted(self._made.types))
            fields = self._made.types[name].fields
            data = {key: self._value(key, fields) for key in fields if rng.random() < 0.98}
            given = {k: v for k, v in data.items() if fields[k].origin == "given"}
            return {
                "op": "record.create",
                "type": self._prefix + name,
                "version": self._made.version,
                "data": given,
            }
        record = rng.choice(self._records)
        kind = self._made.types[record.partition("/")[0].removeprefix(self._prefix)]
        act = rng.choice([*sorted(kind.transitions), "court_order", "rectify"])
        state = self._stage.value(f"record/{record}")["state"]
        ready = sorted(name for name, made in kind.transitions.items() if state in made.source)
        if ready and rng.random() < 0.8:
            act = rng.choice(ready)
        if act in kind.transitions:
            inputs = kind.transitions[act].input
            given = {key: self._value(key, inputs) for key in inputs}
        else:
            given = {"reason_code": "r", "commitment": "0" * 64}
            if act == "court_order":
                given |= {"state": rng.choice(kind.states), "unlock": rng.random() < 0.5}
        return {"op": "record.act", "id": record, "transition": act, "input": given}

    def _value(self, name: str, fields: Any) -> Any:
        rng = self._rng
        if rng.random() < 0.02:
            return rng.choice([None, True, -1, "", [], {"a": []}, [[[]]], "é\u0000", 2**53 - 1])
        field = type(fields[name]).__name__
        types = getattr(fields[name], "types", ())
        fitting = [record for record in self._records if record.partition("/")[0] in types]
        now = self._stage.time_ms // 1000
        values: dict[str, Any] = {
            "IntegerField": rng.choice([1, 2, 2, 3, 5, 100, 2**52]),
            "StringField": rng.choice(["1", "01"]),
            "CodeField": "roads",
            "ChoiceField": rng.choice(getattr(fields[name], "of", ("roads",))),
            "TimeField": now + rng.randrange(1, 100_000),
            "PartyField": rng.choice(PARTIES),
            "CommitmentField": "1" * 64,
            "HashField": "1" * 64,
            "BooleanField": True,
            "RecordField": rng.choice(fitting) if fitting else "",
        }
        if isinstance(fields[name], ListField):
            items = {"item": fields[name].items}
            return [self._value("item", items) for _ in range(rng.randrange(4))]
        return values[field]

    def _check(self) -> None:
        """No account is below 0, and all of them hold what was minted and not burned."""
        held: Counter[str] = Counter()
        for key, value in self._stage.state.scan(b"sbalance/"):
            amount = canonical.decode(value)["amount"]
            assert amount > 0
            held[key.split(b"/")[1].decode("ascii")] += amount
        for name in self._made.units:
            unit = f"{self._made.service}.{name}"
            supply = self._stage.value(f"supply/{unit}") or {"minted": 0, "burned": 0}
            assert held[unit] == supply["minted"] - supply["burned"]

    def _check_derived(self) -> None:
        """What is kept beside the records is what they say."""
        state = self._stage.state
        records = [canonical.decode(value) for _, value in state.scan(b"srecord/")]
        timers = {
            timer_key(due, record["id"], name)
            for record in records
            for name, due in record["timers"].items()
        }
        assert {key for key, _ in state.scan(TIMER_TABLE)} == timers
        rows = set()
        for record in records:
            kind = self._made.types[record["type"].removeprefix(self._prefix)]
            rows.add(_index_row(record, "state", record["state"]))
            for name in kind.indexes:
                if record["data"].get(name) is not None:
                    value = record["data"][name]
                    rows.add(_index_row(record, name, value))
        assert {key for key, _ in state.scan(INDEX_TABLE)} == rows
        for parent in records:
            kind = self._made.types[parent["type"].removeprefix(self._prefix)]
            for name, made in kind.aggregates.items():
                values = [
                    0 if made.field is None else child["data"].get(made.field)
                    for child in records
                    if child["type"] == self._prefix + made.type
                    and child["state"] in made.states
                    and child["data"].get(made.link) == parent["id"]
                ]
                known = [value for value in values if value is not None]
                total = aggregates.total(state, parent["id"], name)
                assert (total.count, total.sum) == (len(known), sum(known))


def _index_row(record: dict[str, Any], name: str, value: Any) -> bytes:
    """Raw key of a record's row of one index."""
    identifier: str = record["id"]
    return index_prefix(record["type"], name, str(value)) + identifier.encode("ascii")


def _forget() -> None:
    """As a node that has just started."""
    catalogue.LOADED.clear()
    for cache in (catalogue._acting_version, pattern.compiled):
        cache.cache_clear()


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_only_refusals_come_of_a_spoiled_definition(seed: int) -> None:
    root = Life(seed).live()
    _forget()
    assert Life(seed).live() == root


@given(st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_only_refusals_come_of_a_migration(seed: int) -> None:
    root = Life(seed).live(upgraded=True)
    _forget()
    assert Life(seed).live(upgraded=True) == root


def test_two_interpreters_with_other_hash_seeds_agree() -> None:
    script = (
        "from tests.ledger.registry.test_review_fuzz import Life\n"
        "for seed in range(12):\n"
        "    print(Life(seed).live().hex())\n"
    )
    roots = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(roots) == 1


def test_the_operations_do_something() -> None:
    lives = [Life(seed) for seed in range(12)]
    for life in lives:
        life.live()
    assert sum(life.committed for life in lives) > 12
