"""A service in random use, by two interpreters that must agree (see tests/services/play.py)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from random import Random
from typing import Any

from ledger.registry.definition import Definition
from node.authoring.stage import CHAIN, Stage
from tests.services.governing import Chamber, Limits, limit
from tests.services.histories import RecordingGround
from tests.services.invariants import check
from tests.services.moves import CHOICES, DAY, Desk
from tests.services.reference import UNIVERSAL, World
from tests.services.relief import document

TEXTS = ("12", "x", "A/1")
AMOUNTS = (0, 1, 5, 10, 50, 100, 500_000, 1_000_000)
ABANDONS = {"cancel", "withdraw", "revoke", "reject", "refuse", "close", "extinguish"}
TOLD = ("DEFINITION_SUSPENDED", "VERSION_NOT_CURRENT")
"""Reasons that both give alike; of others the reference says only that something is refused."""
WILD = 0.12
"""How often somebody does whatever comes to mind."""


class NothingThere(Exception):
    """What somebody wants to act on does not exist yet."""


class Model:
    """One service, in as many versions as there come to be, and two interpreters."""

    def __init__(self, definition: Definition, seed: int) -> None:
        self.definition = definition
        self.seed = seed
        self.stage = Stage()
        entry = self.stage.activate(definition)
        assert entry["status"] == "committed", entry
        self.ground = RecordingGround(self.stage)
        self.world = World(document(definition), CHAIN)
        self.parties: list[str] = []
        self.staffed: list[tuple[str, str]] = []
        """(role, party) of all who were ever given a role."""
        self._settle()
        self.waiting: list[tuple[str, str]] = []
        self.seen: Counter[str] = Counter()
        """`type.act`, `type.act REASON`: how often."""
        self.tried: Counter[tuple[str, str]] = Counter()
        self.courted: set[str] = set()
        """Records whose state or locks a court changed: other rules do not bind them."""
        self.doers: dict[tuple[str, str], str] = {}
        """(record, act) -> who began it, when it was last done."""
        self.moved: Counter[str] = Counter()
        """Appropriation -> what virements brought it, less what they took."""
        self.late: set[str] = set()
        """Records of which a timer was put off while their version was suspended."""
        self.random = Random()
        self.steps = 0
        self.parsed: dict[str, tuple[bytes, dict[str, Any]]] = {}
        """Record -> as the engine wrote it last, and that parsed."""
        self.chamber = Chamber(self)

    def _settle(self) -> None:
        """Two persons for each role and four citizens, of two agencies.

        The second person of a role holds the next role as well: whoever may do both must not.
        """
        service, roles = self.definition.service, list(self.definition.roles)
        names = [(role, n) for role in roles for n in range(2)]
        for role, number in [*names, *(("citizen", n) for n in range(4))]:
            party, agency = f"{role[:20]}-{number}", f"agency-{number % 2}"
            self.parties.append(party)
            self.ground.add_party(party, agency)
            self.world.agencies.update({party: agency, agency: agency})
            held = [] if role == "citizen" else [role]
            if held and number:
                held.append(roles[(roles.index(role) + 1) % len(roles)])
            for one in held:
                where = limit(service, number) if one == role else None
                self.ground.grant(f"{service}.{one}", party, where)
                until = self.stage.value(f"role/{service}.{one}/{party}")["until"]
                self.world.roles[one, party] = (where, until)
                self.staffed.append((one, party))
        # An agency acts by its own key, too.
        self.parties += ["agency-0", "agency-1"]
        self.world.now = self.ground.now()

    # ----- values that have a chance to be right

    def value(self, field: dict[str, Any]) -> Any:
        """A value for a field, mostly of its kind."""
        kind, pick = field["kind"], self.random.choice
        if kind == "integer":
            return pick(AMOUNTS)
        if kind == "time":
            return self.world.now + pick((-5, DAY, 40 * DAY, 400 * DAY))
        if kind == "boolean":
            return pick((True, False))
        if kind == "choice":
            return pick(field["of"])
        if kind == "party":
            return pick(self.parties)
        if kind == "record":
            fitting = [r for r in self.world.records if r.split("/")[0] in field["types"]]
            return pick(fitting or ["none/" + "0" * 32])
        if kind == "list":
            return [self.value(field["items"]) for _ in range(pick((0, 1, 1, 2)))]
        if kind in ("hash", "commitment"):
            return f"{self.random.randrange(2_000):064x}"
        if kind == "code":
            return pick(("roads", "schools"))
        return pick(TEXTS) if pick((0, 0, 0, 1)) else f"A{self.random.randrange(2_000)}"

    def values(
        self, kind: str, act: str, fields: dict[str, Any], record: dict[str, Any], wild: bool
    ) -> dict[str, Any]:
        """A filled-in form; optional fields now and then."""
        form: dict[str, Any] = {}
        desk = Desk(self.world, self.random, record, form, self.parties)
        for name, field in fields.items():
            choice = CHOICES.get((kind, act, name))
            wanted = field.get("required", True) and field.get("origin") != "effect"
            found = None
            if choice is not None and not wild:
                found = choice(desk)
                if found is None and wanted:
                    raise NothingThere
                wanted = wanted or found is not None
            if wanted or (wild and self.random.random() < 0.05):
                form[name] = self.value(field) if found is None else found
        return form

    def signer(
        self, policy: Any, value: dict[str, Any], given: dict[str, Any], but: Iterable[str] = ()
    ) -> str:
        """Mostly somebody whose signature helps, sometimes anybody."""
        scope = self.world._scope(value, given, ["nobody"])
        useful = [
            p for p in self.parties if p not in but and policy and self._useful(policy, p, scope)
        ]
        anybody = self.random.random() < 0.08 or not useful
        return self.random.choice(self.parties if anybody else useful)

    def _useful(self, policy: Any, party: str, scope: dict[str, Any]) -> bool:
        return self.world._useful(policy, party, {**scope, "me": party, "signers": [party]})

    # ----- what people do

    def step(self, number: int) -> None:
        """One step of the run."""
        self.random = Random(f"{self.definition.service} {self.seed} {number}")
        self.steps += 1
        luck = self.random.random()
        if luck < 0.05:
            self.pass_time(self.random.choice((0, 1, 1, 1, 8, 8, 8, 35, 35, 400)))
        elif luck < 0.35 and self.waiting:
            self.approve()
        elif luck < 0.39 and self.world.records:
            self.universal()
        elif luck < 0.40:
            self.chamber.staff()
        elif luck < self.chamber.busy:
            self.chamber.govern()
        else:
            self.choose()
        check(self)

    def choose(self) -> None:
        """An act that was seldom tried, on a record that is in the right state for it."""
        types = self.world.definitions[self.world.current]["types"]
        possible: dict[tuple[str, str], list[str]] = {(kind, "create"): [""] for kind in types}
        for record, value in self.world.records.items():
            kind = value["type"].removeprefix(f"{self.definition.service}-")
            for act, transition in self.world.form(value)["transitions"].items():
                if value["state"] in transition["from"]:
                    possible.setdefault((kind, act), []).append(record)
        if self.random.random() > WILD:  # most people know what will be refused
            ready = {
                (kind, act): [r for r in records if act == "create" or self._ready(r, act)]
                for (kind, act), records in possible.items()
            }
            possible = {place: records for place, records in ready.items() if records}
        weights = [self._weight(*place, records[-1]) for place, records in possible.items()]
        kind, act = self.random.choices(list(possible), weights)[0]
        self.tried[kind, act] += 1
        with suppress(NothingThere):
            if act == "create":
                self.create(kind)
            else:
                self.act(self.random.choice(possible[kind, act][-6:]), act)

    def _ready(self, record: str, act: str) -> bool:
        """Whether no guard that can be told without input stands in the way."""
        value = self.world.records[record]
        scope = self.world._scope(value, {}, ["nobody"])
        for _, tree in self.world.form(value)["transitions"][act]["guards"]:
            if self.world._try(tree, scope) is False:
                return False
        return True

    def _weight(self, kind: str, act: str, record: str) -> float:
        """How much an act draws people: rather on than to an end, rather new than often tried."""
        form = self.world.definitions[self.world.current]["types"].get(kind)
        if record:
            form = self.world.form(self.world.records[record])
        assert form is not None
        drawn = 1.0
        if form["transitions"][act]["by"] is None:  # in vain, by hand
            drawn = 0.05
        elif act in ABANDONS:
            drawn = 0.2
        return drawn / (1 + self.tried[kind, act])

    def create(self, name: str) -> None:
        """Somebody creates a record."""
        version = self.chamber.version()
        kind = f"{self.definition.service}-{name}"
        form = self.world.form_at(kind, self.world.current)
        blank = {"id": "", "state": "", "data": {}}
        wild = self.random.random() < WILD
        values = self.values(name, "create", form["fields"], blank, wild)
        policy = form["transitions"]["create"]["by"]
        made = {**blank, "data": values}
        signer = self.signer(policy, made, {})
        record = self.stage.record_id(kind, signer)
        operation = {"op": "record.create", "type": kind, "version": version, "data": values}
        reason, result = self.run(signer, operation)
        limits = Limits.of(self.world, policy, made, {}, [signer])
        done = self.world.create(record, operation, signer, result.get("pending", ""))
        self.chamber.count(record, "create", limits, reason)
        self.compare(f"{name}.create", reason, result, done, operation)

    def act(self, record: str, act: str) -> None:
        """Somebody acts on a record."""
        value = self.world.records[record]
        kind = value["type"].removeprefix(f"{self.definition.service}-")
        transition = self.world.form(value)["transitions"][act]
        given = self.values(kind, act, transition["input"], value, self.random.random() < WILD)
        self.send(record, act, given, transition["by"])

    def universal(self) -> None:
        """A correction, a remark, or a court's order."""
        locked = [r for r, v in self.world.records.items() if v["locks"]]
        rather = locked if locked and self.random.random() < 0.3 else list(self.world.records)
        record = self.random.choice(rather)
        value = self.world.records[record]
        form = self.world.form(value)
        act = self.random.choice(UNIVERSAL)
        given: dict[str, Any] = {"reason_code": "error", "commitment": "ab" * 32}
        if act == "rectify":
            given["field"] = self.random.choice(list(form["fields"]))
            given["value"] = f"{self.random.randrange(2_000):064x}"
        if act == "court_order" and self.random.random() < 0.4:
            given["state"] = self.random.choice(form["states"])
        if act == "court_order" and self.random.random() < 0.2:
            given["unlock"] = self.random.choice((True, False))
        self.send(record, act, given, form["universal"].get(act))

    def send(self, record: str, act: str, given: dict[str, Any], policy: Any) -> None:
        """One act, to both."""
        signer = self.signer(policy, self.world.records[record], given)
        operation = {"op": "record.act", "id": record, "transition": act, "input": given}
        reason, result = self.run(signer, operation)
        limits = Limits.of(self.world, policy, self.world.records[record], given, [signer])
        done = self.world.act(record, act, given, signer, result.get("pending", ""))
        self.chamber.count(record, act, limits, "waits" if "pending" in result else reason)
        if done and "pending" not in result:
            self.remember(record, act, given, signer)
        self.compare(f"{self._kind(record)}.{act}", reason, result, done, operation)

    def approve(self) -> None:
        """Somebody signs what waits."""
        newest = self.waiting[-4:]
        record, pending = self.random.choice(newest)
        waiting = self.world.pending.get((record, pending))
        kind, act, policy = self._kind(record), "gone", None
        given: dict[str, Any] = {}
        signed: list[str] = []
        value: dict[str, Any] = {"id": record, "state": "", "data": {}}
        if waiting is not None:
            act, signed = waiting["act"], waiting["signers"]
            form = self.world.form_at(waiting["kind"], waiting["version"])
            policy = form["transitions"].get(act, {}).get("by") or form["universal"].get(act)
            given = waiting["input"]
            value = self.world.records.get(record, {**value, "data": given})
        signer = self.signer(policy, value, given, signed)
        operation = {"op": "record.approve", "id": record, "pending": pending}
        reason, result = self.run(signer, operation)
        limits = Limits.of(self.world, policy, value, given, [*signed, signer])
        done = self.world.approve(record, pending, signer)
        self.chamber.count(record, act, limits, "waits" if "pending" in result else reason)
        if done and "pending" not in result:
            self.remember(record, act, given, [*signed, signer][0])
        self.compare(f"{kind}.{act}", reason, result, done, operation)
        if reason and self.random.random() < 0.5:
            self.waiting.remove((record, pending))

    def pass_time(self, days: int) -> None:
        """Timers fire."""
        self.ground.advance(days * DAY + 1)
        self.catch_up()

    # ----- both do the same

    def written(self, record: str) -> dict[str, Any]:
        """A record as the engine has it; parsed again only when it was written again."""
        data = self.stage.state.get(f"record/{record}".encode("ascii"))
        assert data is not None, record
        known = self.parsed.get(record)
        if known is None or known[0] != data:
            known = self.parsed[record] = (data, json.loads(data))
        return known[1]

    def run(self, signer: str, operation: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """The engine's answer; the reference's clock follows."""
        height = self.stage.height
        reason, result = self.ground.run(signer, operation)
        if self.stage.height > height:  # timers run before transactions
            self.catch_up()
        return reason, result

    def catch_up(self) -> None:
        """The timers of the last block, in the reference too."""
        entries = [e for e in self.stage.entries if e["kind"] == "timer"]
        self.chamber.take_effect()
        fired = self.world.pass_time(self.ground.now() - self.world.now)
        assert [(e["record"], e["name"], e["status"] == "fired") for e in entries] == fired
        for (record, name, done), entry in zip(fired, entries, strict=True):
            reason = entry["reason"]
            self.note(f"{self._kind(record)}.{name}", "" if done else "refused")
            if reason == "DEFINITION_SUSPENDED":
                self.late.add(record)
                self.note("a timer", reason)
            self.chamber.count(record, name, Limits(), reason)

    def compare(
        self, what: str, reason: str, result: dict[str, Any], done: bool, operation: dict[str, Any]
    ) -> None:
        """Both say the same of one act."""
        assert done == (not reason), (operation, reason, result)
        for told in TOLD:
            assert (reason == told) == (self.world.why == told), (operation, reason, self.world.why)
        if done and "pending" in result:
            assert (result["record"], result["pending"]) in self.world.pending
            place = (result["record"], result["pending"])
            self.waiting = [*(w for w in self.waiting if w != place), place]
            self.note(what, "waits")
            return
        named = [str(result[k]) for k in ("guard", "field") if k in result]
        self.note(what, " ".join([reason, *named]))
        if reason == "DEFINITION_SUSPENDED":
            self.note("a creation" if operation["op"] == "record.create" else "an act", reason)
        if done:
            place = (result["record"], operation.get("pending", ""))
            self.waiting = [w for w in self.waiting if w != place]
            for other in result.get("others", ()):
                act = other["transition"] or "lock"
                self.note(f"{self._kind(other['record'])}.{act}", "")

    def remember(self, record: str, act: str, given: dict[str, Any], doer: str) -> None:
        """What the invariants need to know of an act that was done."""
        self.doers[record, act] = doer
        if act == "court_order" and ("state" in given or "unlock" in given):
            self.courted.add(record)
        if act == "transfer":
            self.moved[record] -= given["amount"]
            self.moved[given["to"]] += given["amount"]

    def note(self, what: str, how: str) -> None:
        """Count what happened."""
        self.seen[f"{what} {how}".strip()] += 1

    def ends(self) -> Counter[str]:
        """`type is state` of all records: how many."""
        return Counter(
            f"{self._kind(record)} is {versions[-1][1]}"
            for record, versions in self.ground.histories.items()
        )

    def _kind(self, record: str) -> str:
        return record.split("/")[0].removeprefix(f"{self.definition.service}-")
