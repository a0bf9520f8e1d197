"""The shape of a scenario: every part of it that is not what it should be, with its line."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from ledger.ids import CODE, INTEGER_MAX, PARTY_ID
from node.authoring.source import Problem, Source
from node.shown import written

SECONDS_MAX: Final = 100 * 365 * 86_400
"""A century in one step."""
_DURATION: Final = re.compile(r"([0-9]{1,10})([smhd]?)", re.ASCII)
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_PRINTABLE: Final = re.compile(r"[ -~]{1,192}", re.ASCII)
_NAME: Final = re.compile(r"[a-z0-9_-]{1,64}", re.ASCII)
_REFUSAL: Final = re.compile(r"[A-Z_]{1,64}( [ -~]{1,192})?", re.ASCII)
_ACCOUNT: Final = re.compile(
    r"[a-z0-9-]{1,64} (?:party:([^#]+)#|(?!party:))[!-\"$-~]{1,64}", re.ASCII
)
_QUOTE: Final = "; a word like no, on or 12 stands in quotation marks"
_DO: Final = "want exactly one of create, act, approve, revoke, advance, expect"


def seconds(value: Any) -> int | None:
    """Seconds of `90`, `30s`, `5m`, `2h` or `14d`; None when it is nothing of that kind."""
    found = None if isinstance(value, bool) else _DURATION.fullmatch(str(value))
    if found is None:
        return None
    given = int(found[1]) * _UNITS[found[2]]
    return given if given <= SECONDS_MAX else None


def _text(value: Any) -> str:
    right = isinstance(value, str) and value != ""
    return "" if right else f"want a name, got {_shown(value)}{_QUOTE}"


def _name(value: Any) -> str:
    right = isinstance(value, str) and _NAME.fullmatch(value) is not None
    return "" if right else f"want a name of a-z, 0-9, - and _, got {_shown(value)}{_QUOTE}"


def _code(value: Any) -> str:
    right = isinstance(value, str) and CODE.fullmatch(value) is not None
    wanted = "lower-case letters, digits and inner hyphens"
    return "" if right else f"want {wanted}, got {_shown(value)}{_QUOTE}"


def _names(value: Any) -> str:
    items = value if isinstance(value, list) else [value]
    return next((said for item in items if (said := _name(item))), "")


def _timers(value: Any) -> str:
    items = value if isinstance(value, list) else [value]
    return next((said for item in items if (said := _timer(item))), "")


def _timer(value: Any) -> str:
    """`lapse`, or `lapse refused WRONG_STATE` of a timer whose act is refused."""
    if not isinstance(value, str):
        return _name(value)
    name, refused, reason = value.partition(" refused ")
    if refused and _REFUSAL.fullmatch(reason) is None:
        return f"want `{name} refused REASON`, with what it names, got {_shown(value)}"
    return _name(name)


def _boolean(value: Any) -> str:
    return "" if isinstance(value, bool) else f"want true or false, got {_shown(value)}"


def _integer(value: Any) -> str:
    right = type(value) is int and abs(value) <= INTEGER_MAX
    return "" if right else f"want a whole number, got {_shown(value)}"


def _duration(value: Any) -> str:
    wanted = "want a time as 30s, 5m, 2h or 14d, at most 100 years"
    return "" if seconds(value) is not None else f"{wanted}, got {_shown(value)}"


def _anything(value: Any) -> str:
    return ""


def _value(value: Any) -> str:
    """A value of `data` or `input`."""
    if isinstance(value, dict):
        return "want a value or a list of values, got a mapping"
    if isinstance(value, list):
        if any(isinstance(item, list) for item in value):
            return "want a list of values, got a list within a list"
        return next((said for item in value if (said := _value(item))), "")
    if isinstance(value, str) and value.startswith("@"):
        said = _duration(value[1:])
        return f"{said}; @ stands for a time from now" if said else ""
    if value is None or isinstance(value, bool | str):
        return ""
    return _integer(value)


_VALUES: Final = (_value, "want a mapping of fields, as in {trader: tom, metres: 4}")
_AMOUNTS: Final = (_integer, "want a mapping of names to numbers")
_SIGNED: Final = {"as": _text, "refused": _text, "note": _anything}
_DONE: Final = {**_SIGNED, "name": _text, "pending": _boolean, "state": _code}
_STEPS: Final[dict[str, dict[str, Any]]] = {
    "create": {"create": _code, "data": _VALUES, **_DONE},
    "act": {"act": _name, "on": _text, "input": _VALUES, "revision": _integer, **_DONE},
    "approve": {"approve": _text, **_DONE},
    "revoke": {"revoke": _code, "party": _text, **_SIGNED},
    "advance": {"advance": _duration, "timer": _timers, "note": _anything},
    "expect": {
        "expect": _text,
        "state": _code,
        "data": _VALUES,
        "balance": _AMOUNTS,
        "count": _AMOUNTS,
        "sum": _AMOUNTS,
        "timers": _names,
        "locked": _boolean,
        "note": _anything,
    },
}
"""Kind of a step -> its keys; of each what is wrong with a value, or with each value of a mapping
and what to say of anything that is no mapping."""
_NEEDED: Final = {
    "create": ("as",),
    "act": ("as", "on"),
    "approve": ("as",),
    "revoke": ("as", "party"),
    "advance": (),
    "expect": (),
}


def check_script(source: Source) -> list[Problem]:
    """Every problem of a scenario's form, in the order of the file."""
    checker = _Checker(source)
    checker.check()
    return sorted(checker.problems, key=lambda problem: problem.line)


class _Checker:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._homes: dict[str, str] = {}
        """Person -> agency; agencies are their own."""
        self.problems: list[Problem] = []

    def _say(self, path: tuple[str, ...], message: str) -> None:
        if message:
            self.problems.append(Problem(self._source.line(path), path, message))

    def check(self) -> None:
        """Fill `problems`."""
        top = self._source.value
        if not isinstance(top, dict):
            self._say((), "want a mapping of agencies, roles and steps")
            return
        for key in top:
            if key not in ("agencies", "roles", "steps"):
                self._say((key,), "unknown; want one of agencies, roles, steps")
        for agency, given in self._mapping(top, "agencies", "town-hall: [olga, otto]").items():
            self._agency(agency, given)
        for role, given in self._mapping(top, "roles", "officer: [olga, otto]").items():
            self._role(role, given)
        steps = top.get("steps")
        if steps is not None and not isinstance(steps, list):
            self._say(("steps",), "want a list, each step with a hyphen before it")
            return
        for index, step in enumerate(steps or []):
            self._step(("steps", str(index)), step)

    def _mapping(self, top: dict[str, Any], key: str, example: str) -> dict[str, Any]:
        value = top.get(key)
        if value is None or isinstance(value, dict):
            return value or {}
        self._say((key,), f"want a mapping, as in `{example}`")
        return {}

    def _agency(self, agency: str, given: Any) -> None:
        path = ("agencies", agency)
        for name in (agency, *(given if isinstance(given, list) else [given])):
            if not isinstance(name, str) or PARTY_ID.fullmatch(name) is None:
                wanted = "want names of persons, of a-z, 0-9, hyphens and dots"
                self._say(path, f"{wanted}, got {_shown(name)}{_QUOTE}")
            elif self._homes.setdefault(name, agency) != agency:
                self._say(path, f"{name} is of {self._homes[name]} already: everybody has one")

    def _role(self, role: str, given: Any) -> None:
        path = ("roles", role)
        self._say(path, _code(role))
        for holder in given if isinstance(given, list) else [given]:
            if not isinstance(holder, str):
                self._say(path, f"want `olga` or `olga in town-hall`, got {_shown(holder)}{_QUOTE}")
                continue
            person, limited, agency = holder.partition(" in ")
            self._known(path, person)
            if limited and self._homes.get(agency) != agency:
                self._say(path, f"{_shown(agency)} is no agency; there are: {self._agencies()}")

    def _agencies(self) -> str:
        return ", ".join(sorted(set(self._homes.values()))) or "none"

    def _known(self, path: tuple[str, ...], party: Any) -> None:
        if isinstance(party, str) and party not in self._homes:
            self._say(path, f"nobody is called {_shown(party)}; name who there is in `agencies`")

    def _step(self, path: tuple[str, ...], step: Any) -> None:
        if not isinstance(step, dict):
            self._say(path, "want a step, as in {as: tom, create: permit, data: {trader: tom}}")
            return
        kinds = [kind for kind in _STEPS if kind in step]
        if len(kinds) != 1:
            known = {key for keys in _STEPS.values() for key in keys}
            unknown = ", ".join(key for key in step if key not in known)
            self._say(path, f"unknown: {unknown}; {_DO}" if unknown else _DO)
            return
        keys = _STEPS[kinds[0]]
        for key in _NEEDED[kinds[0]]:
            if key not in step:
                self._say(path, f"{kinds[0]} wants `{key}`, too")
        for key, value in step.items():
            if key not in keys:
                message = f"unknown: {key}; {kinds[0]} takes {', '.join(sorted(keys))}"
                if (kinds[0], key) == ("advance", "refused"):
                    message += "; of a timer: `timer: lapse refused WRONG_STATE`"
                self._say((*path, key), message)
            elif key == "on" and value is True:
                self._say((*path, key), "want the name of a record")
            else:
                self._part((*path, key), value, keys[key])
        if isinstance(step.get("balance"), dict):
            for text in step["balance"]:
                self._account((*path, "balance", text), text)
        for key in ("as", "party"):
            if key in keys:
                self._known((*path, key), step.get(key))

    def _account(self, path: tuple[str, ...], text: str) -> None:
        """A unit and an account, of the record that is expected or of a party."""
        found = _ACCOUNT.fullmatch(text)
        if found is None:
            wanted = "want a unit and an account: `money available` for one of this record"
            self._say(path, f"{wanted}, `money party:tom#paid` for one of a party")
        else:
            self._known(path, found[1])

    def _part(
        self, path: tuple[str, ...], value: Any, rule: Callable[[Any], str] | tuple[Any, str]
    ) -> None:
        if not isinstance(rule, tuple):
            self._say(path, rule(value))
            return
        each, otherwise = rule
        if value is None:
            return
        if not isinstance(value, dict):
            self._say(path, f"{otherwise}, got {_shown(value)}")
            return
        for name, part in value.items():
            if _PRINTABLE.fullmatch(name) is None:
                self._say((*path, name), f"want a name of printable ASCII, got {name!a}")
            else:
                self._say((*path, name), each(part))


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    text = "nothing" if value is None else written(value)
    return text if len(text) <= 40 else text[:37] + "…"
