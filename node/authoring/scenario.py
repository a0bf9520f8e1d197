"""Scenarios: what people do with a service, step by step, and what must come of it.

A scenario is YAML beside the definition (docs/services/authoring.md). It runs on a chain in memory
in well under a second, or through JSON-RPC on a live network; the steps are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from ledger.crypto import sha256
from ledger.registry.definition import Definition
from node.authoring.refusals import came, comes_so, is_refused_so, named_by, said_of
from node.authoring.script import check_script, seconds
from node.authoring.source import Problem, Source
from node.authoring.sums import check_sums
from node.shown import moment, written

NEAR_SECONDS = 5


class ScenarioFailed(Exception):
    """A step came out otherwise than written."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line
        self.message = message

    def text(self, file: str) -> str:
        """For people: file, line, what."""
        return f"{file}:{self.line}: {self.message}"


class ScenarioMalformed(ScenarioFailed):
    """It is no scenario: nothing of it was tried."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems[0].line, "; ".join(p.message for p in problems))
        self.problems = problems

    def text(self, file: str) -> str:
        """A line for each problem."""
        return "\n".join(problem.text(file) for problem in self.problems)


def check_scenario(source: Source, definition: Definition) -> None:
    """Raises ScenarioMalformed when the file is no scenario, or none of this service."""
    problems = check_script(source) or check_sums(source, definition)
    if problems:
        raise ScenarioMalformed(problems)


class Ground(Protocol):
    """Where a scenario runs."""

    def add_party(self, party: str, agency: str) -> None:
        """A party of an agency; the agency is made with it."""
        ...

    def grant(self, role: str, party: str, agency: str | None) -> None:
        """Give a role of the service."""
        ...

    def run(self, party: str, operation: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """(reason or empty, result or what failed) of one operation."""
        ...

    def advance(self, seconds: int) -> list[dict[str, Any]]:
        """Let time pass; timer entries."""
        ...

    def now(self) -> int:
        """Block time, seconds."""
        ...

    def value(self, key: str) -> Any:
        """A state value, parsed, or None."""
        ...


@dataclass(slots=True)
class Coverage:
    """What a scenario showed of a service."""

    fired: set[tuple[str, str]] = field(default_factory=set)
    """(type, transition)."""
    refused: set[tuple[str, str, str]] = field(default_factory=set)
    """(type, transition, reason with what it names)."""
    steps: int = 0


class Scenario:
    """A parsed scenario that runs on a ground."""

    def __init__(self, source: Source, service: str, version: int) -> None:
        self._source = source
        self._service = service
        self._version = version
        self._names: dict[str, str] = {}
        self._waiting: dict[str, tuple[str, str]] = {}
        """Record -> (pending id, transition) of the act that waits for signatures."""
        self.coverage = Coverage()

    def run(self, ground: Ground) -> Coverage:
        """Every step in order. Raises ScenarioFailed at the first that comes out otherwise, and
        ScenarioMalformed before any of them when the file is no scenario."""
        problems = check_script(self._source)
        if problems:
            raise ScenarioMalformed(problems)
        value = self._source.value
        for agency, parties in (value.get("agencies") or {}).items():
            for party in _listed(parties):
                self._prepare(("agencies", agency), ground.add_party, party, agency)
        for role, holders in (value.get("roles") or {}).items():
            for holder in _listed(holders):
                party, _, agency = holder.partition(" in ")
                name = f"{self._service}.{role}"
                self._prepare(("roles", role), ground.grant, name, party, agency or None)
        for index, step in enumerate(value.get("steps") or []):
            line = self._source.line(("steps", str(index)))
            self.coverage.steps += 1
            self._step(ground, step, line)
        return self.coverage

    def _prepare(self, path: tuple[str, ...], make: Callable[..., None], *given: Any) -> None:
        """A party or a role; what the ground will not make is a mistake of the scenario."""
        try:
            make(*given)
        except ValueError as error:
            problem = Problem(self._source.line(path), path, str(error))
            raise ScenarioMalformed([problem]) from None

    def _step(self, ground: Ground, step: dict[str, Any], line: int) -> None:
        if "advance" in step:
            self._advance(ground, step, line)
        elif "expect" in step:
            self._expect(ground, step, line)
        elif "create" in step:
            self._operate(ground, step, line, self._create(ground, step, line))
        elif "act" in step:
            self._operate(ground, step, line, self._act(ground, step, line))
        elif "approve" in step:
            self._operate(ground, step, line, self._approve(step, line))
        else:
            role = f"{self._service}.{step['revoke']}"
            operation = {"op": "role.revoke", "role": role, "party": step["party"]}
            self._operate(ground, step, line, operation)

    # ----- operations

    def _create(self, ground: Ground, step: dict[str, Any], line: int) -> dict[str, Any]:
        return {
            "op": "record.create",
            "type": f"{self._service}-{step['create']}",
            "version": self._version,
            "data": self._values(step.get("data") or {}, ground.now(), line),
        }

    def _act(self, ground: Ground, step: dict[str, Any], line: int) -> dict[str, Any]:
        operation = {
            "op": "record.act",
            "id": self._record(step.get("on"), line),
            "transition": step["act"],
            "input": self._values(step.get("input") or {}, ground.now(), line),
        }
        if "revision" in step:
            operation["expect_revision"] = step["revision"]
        return operation

    def _approve(self, step: dict[str, Any], line: int) -> dict[str, Any]:
        record = self._record(step["approve"], line)
        waiting = self._waiting.get(record)
        if waiting is None:
            raise ScenarioFailed(line, f"nothing waits for approval on {step['approve']}")
        return {"op": "record.approve", "id": record, "pending": waiting[0]}

    def _operate(
        self, ground: Ground, step: dict[str, Any], line: int, operation: dict[str, Any]
    ) -> None:
        what = self._what(operation)
        reason, result = ground.run(step["as"], operation)
        if "refused" in step:
            said = said_of(reason, result)
            wanted = str(step["refused"]).strip()
            if not is_refused_so(wanted, reason, result):
                got = said if reason else "done"
                raise ScenarioFailed(line, f"want refused {wanted!r}, got {got!r}")
            self.coverage.refused.add((*what, said))
            return
        if reason:
            raise ScenarioFailed(line, f"refused: {said_of(reason, result)}")
        self._note(step, line, result, what)

    def _note(
        self, step: dict[str, Any], line: int, result: dict[str, Any], what: tuple[str, str]
    ) -> None:
        record = result.get("record")
        if record is None:
            return
        if "name" in step:
            self._names[step["name"]] = record
        waits = "pending" in result
        if waits != bool(step.get("pending", False)):
            detail = "it waits for more signatures" if waits else "it is done already"
            raise ScenarioFailed(line, f"{detail}; `pending: true` says that it should wait")
        if waits:
            self._waiting[record] = (result["pending"], what[1])
            return
        self.coverage.fired.add(what)
        self._note_others(result)
        if "state" in step and result["state"] != step["state"]:
            raise ScenarioFailed(line, f"want state {step['state']}, got {result['state']}")

    def _note_others(self, result: dict[str, Any]) -> None:
        for other in result.get("others", ()):
            if other["transition"]:
                self.coverage.fired.add((self._kind(other["record"]), other["transition"]))

    def _kind(self, record: str) -> str:
        """The type of a record's id, without the service."""
        return record.split("/")[0].removeprefix(f"{self._service}-")

    def _what(self, operation: dict[str, Any]) -> tuple[str, str]:
        """(type, transition) that an operation is about."""
        prefix = f"{self._service}-"
        if operation["op"] == "record.create":
            return operation["type"].removeprefix(prefix), "create"
        kind = self._kind(str(operation.get("id", "")))
        if operation["op"] == "record.approve":
            return kind, self._waiting[operation["id"]][1]
        return kind, str(operation.get("transition", operation["op"]))

    # ----- time and expectations

    def _advance(self, ground: Ground, step: dict[str, Any], line: int) -> None:
        entries = ground.advance(_time(step["advance"]))
        fired = [e for e in entries if e["kind"] == "timer"]
        for entry in fired:
            kind = self._kind(entry["record"])
            if entry["status"] == "fired":
                self.coverage.fired.add((kind, entry["name"]))
                self._note_others(entry["results"][0])
            else:
                said = said_of(entry["reason"], named_by(entry))
                self.coverage.refused.add((kind, entry["name"], said))
        if "timer" in step:
            self._check_timers(step["timer"], fired, line)

    def _check_timers(self, given: Any, fired: list[dict[str, Any]], line: int) -> None:
        """Raises ScenarioFailed unless these timers came, and each did what it was meant to do."""
        wanted = _listed(given)
        if len(wanted) == len(fired) and all(map(comes_so, wanted, fired)):
            return
        found = [came(entry) for entry in fired]
        if wanted == [entry["name"] for entry in fired]:
            said = next(text for text in found if text not in wanted)
            shown = written(found if isinstance(given, list) else said)
            detail = f"came to nothing: {said}; if that is meant, write `timer: {shown}`"
            raise ScenarioFailed(line, detail)
        raise ScenarioFailed(line, f"want timers {written(given)}, got {written(found)}")

    def _expect(self, ground: Ground, step: dict[str, Any], line: int) -> None:
        record = self._record(step["expect"], line)
        value = ground.value(f"record/{record}")
        if value is None:
            raise ScenarioFailed(line, f"there is no record {step['expect']}")
        if "state" in step and value["state"] != step["state"]:
            raise ScenarioFailed(line, f"want state {step['state']}, got {value['state']}")
        given = step.get("data") or {}
        for name, wanted in self._values(given, ground.now(), line).items():
            if not _meets(given[name], wanted, value["data"].get(name)):
                found = value["data"].get(name)
                raise ScenarioFailed(line, _mismatch(name, given[name], wanted, found))
        timers = sorted(value["timers"])
        if "timers" in step and timers != sorted(_listed(step["timers"])):
            detail = f"want timers {written(step['timers'])}, got {written(timers)}"
            raise ScenarioFailed(line, detail)
        if "locked" in step and bool(value["locks"]) is not step["locked"]:
            held = written(value["locks"]) if value["locks"] else "no lock"
            raise ScenarioFailed(line, f"want locked {written(step['locked'])}, got {held}")
        self._expect_sums(ground, step, line, record)

    def _expect_sums(self, ground: Ground, step: dict[str, Any], line: int, record: str) -> None:
        for text, wanted in (step.get("balance") or {}).items():
            unit, _, account = text.partition(" ")
            if "#" not in account:
                account = f"{record}#{account}"
            held = ground.value(f"balance/{self._service}.{unit}/{account}")
            amount = 0 if held is None else held["amount"]
            if amount != wanted:
                raise ScenarioFailed(line, f"want balance {text} {wanted}, got {amount}")
        for part in ("count", "sum"):
            for name, wanted in (step.get(part) or {}).items():
                total = ground.value(f"aggregate/{record}/{name}") or {"count": 0, "sum": 0}
                if total[part] != wanted:
                    raise ScenarioFailed(line, f"want {part} {name} {wanted}, got {total[part]}")

    # ----- values

    def _record(self, name: Any, line: int) -> str:
        if name not in self._names:
            raise ScenarioFailed(line, f"no record is called {name!r}")
        return self._names[name]

    def _values(self, values: dict[str, Any], now: int, line: int) -> dict[str, Any]:
        return {name: self._value(value, now, line) for name, value in values.items()}

    def _value(self, value: Any, now: int, line: int) -> Any:
        """`$name` is a record's id, `@30d` a time from now, `#text` a commitment to a text."""
        if isinstance(value, list):
            return [self._value(item, now, line) for item in value]
        if not isinstance(value, str):
            return value
        if value.startswith("$"):
            return self._record(value[1:], line)
        if value.startswith("@"):
            return now + _time(value[1:])
        if value.startswith("#"):
            return sha256(value.encode("utf-8")).hex()
        return value


def _meets(written: Any, wanted: Any, found: Any) -> bool:
    """Whether a value is what a step wants; `@30d` is near enough, since acts take time."""
    if isinstance(written, str) and written.startswith("@") and isinstance(found, int):
        return abs(found - int(wanted)) <= NEAR_SECONDS
    return bool(found == wanted)


def _mismatch(name: str, given: Any, wanted: Any, found: Any) -> str:
    """What a field is and should be; times are told as people read them."""
    if isinstance(given, str) and given.startswith("@"):
        got = moment(found) if type(found) is int else written(found)
        return f"want {name} {moment(wanted)} ({given}), got {got}"
    if isinstance(given, str) and given.startswith(("#", "$")):
        return f"want {name} {written(wanted)} ({given}), got {written(found)}"
    return f"want {name} {written(wanted)}, got {written(found)}"


def _listed(value: Any) -> list[Any]:
    """A list; a single one may stand alone."""
    return value if isinstance(value, list) else [value]


def _time(value: Any) -> int:
    """Seconds of a duration, which was checked with the form."""
    found = seconds(value)
    assert found is not None, value
    return found
