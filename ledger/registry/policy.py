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

    def spend(self, cost: int) -> None:
        """Pay for a step of the search; may raise."""
        ...


class Search:
    """One decision: who serves what, each question asked once.

    A decision reads one state, so no answer changes while it is made.
    """

    def __init__(self, authorities: Authorities) -> None:
        self._authorities = authorities
        self._answers: dict[tuple[int, str, bool], bool] = {}
        """(identity of a policy, party, answer when it cannot be decided) -> answer."""

    def alone(self, policy: Policy, party: str) -> bool:
        """Whether one party satisfies the policy by itself. True is true; False says only that it
        takes the whole search: an empty list of parties, say, asks for nobody."""
        self._authorities.spend(1)
        if isinstance(policy, RolePolicy):  # first, since it is the most common
            question = (id(policy), party, False)
            answer = self._answers[question] = self._decide(policy, party, False)
            return answer
        if isinstance(policy, ExceptPolicy):
            return not self._excluded(policy, party) and self.alone(policy.of, party)
        if isinstance(policy, AnyPolicy):
            return any(self.alone(part, party) for part in policy.of)
        if isinstance(policy, AllPolicy):
            return len(policy.of) == 1 and self.alone(policy.of[0], party)
        if isinstance(policy, CountPolicy):
            return policy.n == 1 and self.alone(policy.of, party)
        if isinstance(policy, EachPolicy):
            return self._parties(policy) == frozenset((party,))
        return self._is(policy, party)

    def satisfied(self, policy: Policy, signers: Sequence[str]) -> bool:
        """Whether distinct signers serve every part of some way to satisfy the policy."""
        return next(self.ways(policy, tuple(signers), frozenset()), None) is not None

    def may_serve(self, policy: Policy, party: str) -> bool:
        """Whether the party could serve some part: else its signature helps nobody."""
        if isinstance(policy, AllPolicy | AnyPolicy):
            return any(self.may_serve(part, party) for part in policy.of)
        if isinstance(policy, CountPolicy):
            return self.may_serve(policy.of, party)
        if isinstance(policy, ExceptPolicy):
            return not self._excluded(policy, party) and self.may_serve(policy.of, party)
        return self._is(policy, party)

    def ways(
        self, policy: Policy, signers: tuple[str, ...], used: frozenset[str]
    ) -> Iterator[frozenset[str]]:
        """Each way to satisfy the policy, as the set of signers in use afterwards."""
        self._authorities.spend(1)
        if isinstance(policy, AllPolicy):
            yield from self._every(policy.of, signers, used)
        elif isinstance(policy, AnyPolicy):
            for part in policy.of:
                yield from self.ways(part, signers, used)
        elif isinstance(policy, CountPolicy):
            yield from self._every((policy.of,) * policy.n, signers, used)
        elif isinstance(policy, EachPolicy):
            named = self._parties(policy)
            if named is not None and named <= frozenset(signers) - used:
                yield used | named
        elif isinstance(policy, ExceptPolicy):
            allowed = tuple(signer for signer in signers if not self._excluded(policy, signer))
            yield from self.ways(policy.of, allowed, used)
        else:
            for signer in signers:
                if signer not in used and self._is(policy, signer):
                    yield used | {signer}

    def _every(
        self, parts: tuple[Policy, ...], signers: tuple[str, ...], used: frozenset[str]
    ) -> Iterator[frozenset[str]]:
        """Ways through all parts. Whichever order led to a set of signers, what follows is the
        same: each set is followed once at each part, or eight signers would mean 8! searches."""
        tried: tuple[set[frozenset[str]], ...] = tuple(set() for _ in range(len(parts) + 1))
        return self._follow(parts, signers, used, tried)

    def _follow(
        self,
        parts: tuple[Policy, ...],
        signers: tuple[str, ...],
        taken: frozenset[str],
        tried: tuple[set[frozenset[str]], ...],
    ) -> Iterator[frozenset[str]]:
        """Ways through the last `parts` when `taken` signers serve those before them; `tried`, for
        as many parts as are left, and none."""
        known = tried[len(parts)]
        if taken in known:
            return
        known.add(taken)
        if not parts:
            yield taken
            return
        for further in self.ways(parts[0], signers, taken):
            yield from self._follow(parts[1:], signers, further, tried)

    def _parties(self, policy: EachPolicy) -> frozenset[str] | None:
        """The different parties of a list; None when it is no list of texts."""
        value = self._authorities.value(policy.value)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            return None
        return frozenset(value)

    def _excluded(self, policy: ExceptPolicy, party: str) -> bool:
        for part in policy.but:
            if isinstance(part, PartyPolicy):  # the most common; it costs nothing to ask
                if self._authorities.field(part.field) == party:
                    return True
            elif self._is(part, party, unknown=True):
                return True
        return False

    def _is(self, policy: Policy, party: str, *, unknown: bool = False) -> bool:
        """Whether one party satisfies one leaf; a composite exception holds when any part does.

        `unknown` is the answer of a leaf that cannot be decided.
        """
        question = (id(policy), party, unknown)
        answer = self._answers.get(question)
        if answer is None:
            answer = self._answers[question] = self._decide(policy, party, unknown)
        return answer

    def _decide(self, policy: Policy, party: str, unknown: bool) -> bool:
        authorities = self._authorities
        if isinstance(policy, RolePolicy):
            if policy.agency_of is None:
                return authorities.holds(party, policy.role, None)
            agency = self._agency_of(policy.agency_of)
            return agency is not None and authorities.holds(party, policy.role, agency)
        if isinstance(policy, PartyPolicy):
            return bool(authorities.field(policy.field) == party)
        if isinstance(policy, AgencyPolicy):
            agency = self._agency_of(policy.field)
            return agency is not None and authorities.agency(party) == agency
        if isinstance(policy, IsPolicy):
            value = authorities.value(policy.value)
            return unknown if value is UNKNOWN else bool(value == party)
        if isinstance(policy, EachPolicy):
            named = self._parties(policy)
            return unknown if named is None else party in named
        if isinstance(policy, AllPolicy):
            return all(self._is(part, party, unknown=unknown) for part in policy.of)
        if isinstance(policy, AnyPolicy):
            return any(self._is(part, party, unknown=unknown) for part in policy.of)
        if isinstance(policy, CountPolicy):
            return self._is(policy.of, party, unknown=unknown)
        return self._is(policy.of, party, unknown=unknown) and not any(
            self._is(part, party, unknown=not unknown) for part in policy.but
        )

    def _agency_of(self, field: str) -> str | None:
        """The agency of the party that a field names."""
        owner = self._authorities.field(field)
        return self._authorities.agency(owner) if isinstance(owner, str) else None
