"""What members can vote: kinds of proposals, what each wants, and what it does (registry.md, 7).

What could have no effect is refused when it is proposed; what has lost its effect since fails, with
the same reason as its outcome.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from ledger import canonical, parameters
from ledger.ids import CODE, PARTY_ID, Height
from ledger.parties import find_party
from ledger.registry import catalogue, roles
from ledger.registry.check import check
from ledger.registry.definition import DEFINITION_BYTES_MAX, Definition, decode
from ledger.registry.meter import Meter
from ledger.state import Draft, Reader

PARAMETER: Final = "parameter"
_ROLE: Final = re.compile(r"[a-z0-9-]{1,31}\.[a-z0-9-]{1,64}", re.ASCII)
_Body = dict[str, Any]


def _definition(body: _Body) -> tuple[Definition | None, str]:
    """The definition of a body, or what is wrong with it."""
    if set(body) != {"definition"} or not isinstance(body["definition"], dict):
        return None, "want exactly a definition"
    try:
        definition = decode(canonical.encode(body["definition"]))
    except ValueError:
        # Never the parser's words: they may differ between versions of a library.
        return None, "not a compiled definition; try: muniment service lint"
    problems = check(definition)
    if problems:
        where, what = problems[0]
        return None, f"{'.'.join(where)}: {what}"[:200]
    return definition, ""


def _activation(state: Reader, body: _Body, meter: Meter) -> str:
    definition, problem = _definition(body)
    return problem if definition is None else catalogue.activation_problem(state, definition)


def _activate(draft: Draft, body: _Body, height: Height) -> str:
    definition, problem = _definition(body)
    return problem if definition is None else catalogue.activate(draft, definition, height)


def _status(state: Reader, body: _Body, meter: Meter) -> str:
    fits = _is(body, service=str, version=int) and CODE.fullmatch(body["service"]) is not None
    if not fits:
        return "want service and version"
    return catalogue.version_problem(state, body["service"], body["version"])


def _suspend(draft: Draft, body: _Body, height: Height) -> str:
    return catalogue.set_status(draft, body["service"], body["version"], catalogue.SUSPENDED)


def _resume(draft: Draft, body: _Body, height: Height) -> str:
    return catalogue.set_status(draft, body["service"], body["version"], catalogue.ACTIVE)


def _migration(state: Reader, body: _Body, meter: Meter) -> str:
    fits = _is(body, service=str, source=int, target=int)
    if not fits or CODE.fullmatch(body["service"]) is None:
        return "want service, source and target"
    return catalogue.migration_problem(state, body["service"], body["source"], body["target"])


def _migrate(draft: Draft, body: _Body, height: Height) -> str:
    return catalogue.migrate(draft, body["service"], body["source"], body["target"])


def _root(state: Reader, body: _Body, meter: Meter) -> str:
    fits = _is(body, role=str, party=str) and PARTY_ID.fullmatch(body["party"]) is not None
    if not fits or _ROLE.fullmatch(body["role"]) is None:
        return "want role and party"
    if find_party(state, body["party"]) is None:
        return "PARTY_UNKNOWN"
    service, _, role = body["role"].partition(".")
    return catalogue.role_problem(state, service, role, meter)


def _name_root(draft: Draft, body: _Body, height: Height) -> str:
    roles.save_root(draft, body["role"], body["party"])
    return ""


def _changed(state: Reader, body: _Body) -> tuple[parameters.Parameters | None, str]:
    """The parameters with those of a body changed, or why they cannot be."""
    if body.keys() != {"parameters"} or not isinstance(body["parameters"], dict):
        return None, "want parameters, a map of names to numbers"
    changes: dict[str, Any] = body["parameters"]
    for name in sorted(changes):
        if name not in parameters.BOUNDS or name in parameters.FIXED:
            return None, "PARAMETER_FIXED" if name in parameters.FIXED else "PARAMETER_UNKNOWN"
        if type(changes[name]) is not int:
            return None, "want parameters, a map of names to numbers"
    value = state.get(parameters.PARAMETERS_KEY)
    if not changes or value is None:
        return None, "PARAMETER_UNKNOWN"
    made = msgspec.structs.replace(parameters.decode(value), **changes)
    try:
        made.check()
    except ValueError as error:
        return None, str(error)
    return made, ""


def _parameters(state: Reader, body: _Body, meter: Meter) -> str:
    return _changed(state, body)[1]


def _set_parameters(draft: Draft, body: _Body, height: Height) -> str:
    made, problem = _changed(draft, body)
    if made is not None:
        draft.put(parameters.PARAMETERS_KEY, canonical.encode(made))
    return problem


_KINDS: Final[
    dict[str, tuple[Callable[[Reader, _Body, Meter], str], Callable[[Draft, _Body, Height], str]]]
] = {
    "activate": (_activation, _activate),
    "suspend": (_status, _suspend),
    "resume": (_status, _resume),
    "migrate": (_migration, _migrate),
    "role-root": (_root, _name_root),
    PARAMETER: (_parameters, _set_parameters),
}
"""Kind -> why a body can have no effect now, and what it does: each empty, or the problem."""


def problem(state: Reader, kind: str, body: _Body, meter: Meter) -> str:
    """Why a proposal can have no effect, or empty. Raises ExpressionRefused by `meter`."""
    known = _KINDS.get(kind)
    if known is None:
        return f"kind: want one of {', '.join(_KINDS)}"
    # A definition is taken apart node by node, unless it is too large to be one.
    meter.spend(min(len(canonical.encode(body)), DEFINITION_BYTES_MAX) // 8)
    return known[0](state, body, meter)


def perform(draft: Draft, kind: str, body: _Body, height: Height) -> str:
    """Let an accepted proposal take effect; empty, or why it has none."""
    return _KINDS[kind][1](draft, body, height)


def _is(body: _Body, **kinds: type) -> bool:
    return body.keys() == kinds.keys() and all(type(body[k]) is t for k, t in kinds.items())
