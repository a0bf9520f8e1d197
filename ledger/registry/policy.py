"""Authority: do signers satisfy a policy, each serving one part? (registry.md, section 5)

Distinct persons by default: `all(role(a), role(b))` is not satisfied by one person who holds both
roles. The search is over at most LEAVES_MAX parts and SIGNERS_MAX signers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

from ledger.registry.definition import (
    AgencyPolicy,
    AllPolicy,
    AnyPolicy,
    CountPolicy,
    EachPolicy,
    ExceptPolicy,
    IsPolicy,
    PartyPolicy,
    Policy,
    RolePolicy,
)

LEAVES_MAX: Final = 8
SIGNERS_MAX: Final = 8
UNKNOWN: Final = object()
"""Of an expression that has no value. It authorises nobody, and as an exception excludes everybody:
a name that cannot be read must not let anybody through."""


class Authorities(Protocol):
    """What the chain knows of parties while a policy is decided."""

    def holds(self, party: str, role: str, agency: str | None) -> bool:
        """Whether `party` holds `role` now, within `agency` when one is named."""
        ...

    def agency(self, party: str) -> str | None:
        """The agency of a party."""
        ...

    def field(self, name: str) -> Any:
        """A field of the record, or of the data that is to become one."""
        ...

    def value(self, tree: list[Any]) -> Any:
        """The value of an expression, or UNKNOWN when it has none."""
        ...


def satisfied(policy: Policy, signers: Sequence[str], authorities: Authorities) -> bool:
    """Whether distinct signers serve every part of some way to satisfy the policy."""
    used = frozenset[str]()
    return next(_ways(policy, tuple(signers), used, authorities), None) is not None


def may_take_part(policy: Policy, party: str, authorities: Authorities) -> bool:
    """Whether the party could serve some part: else its signature helps nobody."""
    if isinstance(policy, AllPolicy | AnyPolicy):
        return any(may_take_part(part, party, authorities) for part in policy.of)
    if isinstance(policy, CountPolicy):
        return may_take_part(policy.of, party, authorities)
    if isinstance(policy, ExceptPolicy):
        excluded = _excluded(policy, party, authorities)
        return not excluded and may_take_part(policy.of, party, authorities)
    return _is(policy, party, authorities)


def _ways(
    policy: Policy, signers: tuple[str, ...], used: frozenset[str], authorities: Authorities
) -> Iterator[frozenset[str]]:
    """Each way to satisfy the policy, as the set of signers in use afterwards."""
    if isinstance(policy, AllPolicy):
        yield from _every(policy.of, signers, used, authorities)
    elif isinstance(policy, AnyPolicy):
        for part in policy.of:
            yield from _ways(part, signers, used, authorities)
    elif isinstance(policy, CountPolicy):
        yield from _every((policy.of,) * policy.n, signers, used, authorities)
    elif isinstance(policy, EachPolicy):
        named = _parties(policy, authorities)
        if named is not None and len(named) <= len(signers):
            leaves = tuple(IsPolicy(["str", party]) for party in named)
            yield from _every(leaves, signers, used, authorities)
    elif isinstance(policy, ExceptPolicy):
        allowed = tuple(signer for signer in signers if not _excluded(policy, signer, authorities))
        yield from _ways(policy.of, allowed, used, authorities)
    else:
        for signer in signers:
            if signer not in used and _is(policy, signer, authorities):
                yield used | {signer}


def _every(
    parts: tuple[Policy, ...],
    signers: tuple[str, ...],
    used: frozenset[str],
    authorities: Authorities,
) -> Iterator[frozenset[str]]:
    if not parts:
        yield used
        return
    tried: set[frozenset[str]] = set()
    for taken in _ways(parts[0], signers, used, authorities):
        if taken not in tried:
            tried.add(taken)
            yield from _every(parts[1:], signers, taken, authorities)


def _parties(policy: EachPolicy, authorities: Authorities) -> list[str] | None:
    """The different parties of a list, sorted; None when it is no list of texts."""
    value = authorities.value(policy.value)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return None
    return sorted(set(value))


def _excluded(policy: ExceptPolicy, party: str, authorities: Authorities) -> bool:
    return any(_is(part, party, authorities, unknown=True) for part in policy.but)


def _is(policy: Policy, party: str, authorities: Authorities, *, unknown: bool = False) -> bool:
    """Whether one party satisfies one leaf; a composite exception holds when any part does.

    `unknown` is the answer of a leaf that cannot be decided.
    """
    if isinstance(policy, RolePolicy):
        if policy.agency_of is None:
            return authorities.holds(party, policy.role, None)
        owner = authorities.field(policy.agency_of)
        agency = authorities.agency(owner) if isinstance(owner, str) else None
        return agency is not None and authorities.holds(party, policy.role, agency)
    if isinstance(policy, PartyPolicy):
        return bool(authorities.field(policy.field) == party)
    if isinstance(policy, AgencyPolicy):
        owner = authorities.field(policy.field)
        agency = authorities.agency(owner) if isinstance(owner, str) else None
        return agency is not None and authorities.agency(party) == agency
    if isinstance(policy, IsPolicy):
        value = authorities.value(policy.value)
        return unknown if value is UNKNOWN else bool(value == party)
    if isinstance(policy, EachPolicy):
        named = _parties(policy, authorities)
        return unknown if named is None else party in named
    if isinstance(policy, AllPolicy):
        return all(_is(part, party, authorities, unknown=unknown) for part in policy.of)
    if isinstance(policy, AnyPolicy):
        return any(_is(part, party, authorities, unknown=unknown) for part in policy.of)
    if isinstance(policy, CountPolicy):
        return _is(policy.of, party, authorities, unknown=unknown)
    return _is(policy.of, party, authorities, unknown=unknown) and not any(
        _is(part, party, authorities, unknown=not unknown) for part in policy.but
    )
