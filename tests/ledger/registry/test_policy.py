"""Authority: distinct signers against a brute-force reference; names that cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    leaves_of,
    policies_of,
)
from ledger.registry.policy import LEAVES_MAX, UNKNOWN, Search

PARTIES = ("a1", "a2", "b1", "b2")
AGENCY = {"a1": "a", "a2": "a", "b1": "b", "b2": "b"}
HOLDS = {("a1", "x"), ("a2", "x"), ("b1", "x"), ("a1", "y"), ("b2", "y")}
SCOPED = {("a2", "z"): "a"}
FIELDS = {"owner": "a1", "other": "b2", "missing": None}


class Chain:
    """What policies ask, from tables."""

    def holds(self, party: str, role: str, agency: str | None) -> bool:
        if (party, role) in SCOPED:
            return agency is None or SCOPED[party, role] == agency
        return (party, role) in HOLDS

    def agency(self, party: str) -> str | None:
        return AGENCY.get(party)

    def field(self, name: str) -> Any:
        return FIELDS.get(name)

    def spend(self, cost: int) -> None:
        assert cost > 0

    def value(self, tree: list[Any]) -> Any:
        return UNKNOWN if tree == ["unknown"] else tree[1]


CHAIN = Chain()
_leaves: st.SearchStrategy[Policy] = st.sampled_from(
    [
        RolePolicy("x"),
        RolePolicy("y"),
        RolePolicy("z", "owner"),
        RolePolicy("z", "other"),
        PartyPolicy("owner"),
        PartyPolicy("missing"),
        AgencyPolicy("owner"),
        AgencyPolicy("missing"),
        IsPolicy(["str", "b1"]),
        IsPolicy(["unknown"]),
        EachPolicy(["list", ["a1", "b2", "a1"]]),
        EachPolicy(["list", []]),
        EachPolicy(["str", "a1"]),
        EachPolicy(["unknown"]),
    ]
)
_policies = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: AllPolicy(tuple(parts))),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: AnyPolicy(tuple(parts))),
        st.tuples(st.integers(1, 3), inner).map(lambda pair: CountPolicy(*pair)),
        st.tuples(inner, st.lists(_leaves, min_size=1, max_size=2)).map(
            lambda pair: ExceptPolicy(pair[0], tuple(pair[1]))
        ),
    ),
    max_leaves=4,
)


def one(leaf: Policy, party: str, unknown: bool) -> bool:
    """Whether a party is who a leaf names, spelled out."""
    if isinstance(leaf, RolePolicy):
        if leaf.agency_of is None:
            return CHAIN.holds(party, leaf.role, None)
        owner = FIELDS[leaf.agency_of]
        return owner is not None and CHAIN.holds(party, leaf.role, AGENCY[owner])
    if isinstance(leaf, PartyPolicy):
        return FIELDS[leaf.field] == party
    if isinstance(leaf, AgencyPolicy):
        owner = FIELDS[leaf.field]
        return owner is not None and AGENCY[party] == AGENCY[owner]
    assert isinstance(leaf, IsPolicy | EachPolicy)
    if leaf.value == ["unknown"]:
        return unknown
    if isinstance(leaf, IsPolicy):
        return bool(leaf.value[1] == party)
    return party in leaf.value[1] if isinstance(leaf.value[1], list) else unknown


def expand(policy: Policy) -> list[list[tuple[Policy, tuple[Policy, ...]]]]:
    """Every way to satisfy a policy: a list of (leaf, exceptions) that want a signer each."""
    if isinstance(policy, AllPolicy):
        ways = [expand(part) for part in policy.of]
        return [[leaf for way in choice for leaf in way] for choice in product(*ways)]
    if isinstance(policy, AnyPolicy):
        return [way for part in policy.of for way in expand(part)]
    if isinstance(policy, CountPolicy):
        return expand(AllPolicy((policy.of,) * policy.n))
    if isinstance(policy, ExceptPolicy):
        return [[(leaf, (*but, *policy.but)) for leaf, but in way] for way in expand(policy.of)]
    if isinstance(policy, EachPolicy):
        named = policy.value[1] if policy.value != ["unknown"] else None
        if not isinstance(named, list):
            return []
        return [[(IsPolicy(["str", party]), ()) for party in sorted(set(named))]]
    return [[(policy, ())]]


def satisfied(policy: Policy, signers: Sequence[str], chain: Any) -> bool:
    """Whether the signers satisfy the policy."""
    return Search(chain).satisfied(policy, signers)


def may_take_part(policy: Policy, party: str, chain: Any) -> bool:
    """Whether the party serves a part."""
    return Search(chain).may_serve(policy, party)


def reference(policy: Policy, signers: tuple[str, ...]) -> bool:
    """Try every assignment of signers to leaves."""
    for way in expand(policy):
        for chosen in product(signers, repeat=len(way)):
            if len(set(chosen)) == len(chosen) and all(
                one(leaf, party, False) and not any(one(b, party, True) for b in but)
                for (leaf, but), party in zip(way, chosen, strict=True)
            ):
                return True
    return False


@settings(max_examples=600, deadline=None)
@given(_policies, st.lists(st.sampled_from(PARTIES), unique=True, max_size=4))
def test_agrees_with_every_assignment_tried(policy: Policy, signers: list[str]) -> None:
    if leaves_of(policy) > LEAVES_MAX or len(expand(policy)) > 64:
        return
    assert satisfied(policy, signers, CHAIN) == reference(policy, tuple(signers))


@settings(max_examples=300, deadline=None)
@given(_policies)
def test_a_signer_who_was_needed_may_take_part(policy: Policy) -> None:
    if leaves_of(policy) > LEAVES_MAX or len(expand(policy)) > 64:
        return
    for party in PARTIES:
        others = [other for other in PARTIES if other != party]
        if satisfied(policy, PARTIES, CHAIN) and not satisfied(policy, others, CHAIN):
            assert may_take_part(policy, party, CHAIN)


@settings(max_examples=600, deadline=None)
@given(_policies)
def test_who_suffices_alone_suffices_in_the_whole_search(policy: Policy) -> None:
    if leaves_of(policy) > LEAVES_MAX or len(expand(policy)) > 64:
        return
    asks_nobody = any(part == EachPolicy(["list", []]) for part in policies_of(policy))
    for party in PARTIES:
        whole = satisfied(policy, [party], CHAIN) and may_take_part(policy, party, CHAIN)
        if Search(CHAIN).alone(policy, party):
            assert whole
        elif not asks_nobody:
            assert not whole


def test_one_person_with_two_jobs_is_one_person() -> None:
    both = AllPolicy((RolePolicy("x"), RolePolicy("y")))
    assert not satisfied(both, ["a1"], CHAIN)
    assert satisfied(both, ["a1", "b2"], CHAIN)
    assert satisfied(both, ["a1", "a2"], CHAIN)


def test_every_party_of_a_list_signs_and_nobody_else_may() -> None:
    each = AllPolicy((RolePolicy("y"), EachPolicy(["list", ["a2", "b1", "a2"]])))
    assert not satisfied(each, ["a1", "a2"], CHAIN)
    assert satisfied(each, ["a1", "b1", "a2"], CHAIN)
    assert not may_take_part(EachPolicy(["list", ["a2"]]), "b1", CHAIN)


def test_an_empty_list_asks_nobody_and_authorises_nobody() -> None:
    empty = EachPolicy(["list", []])
    assert satisfied(AllPolicy((RolePolicy("x"), empty)), ["a1"], CHAIN)
    assert not may_take_part(empty, "a1", CHAIN)
    assert not Search(CHAIN).alone(empty, "a1")
    assert not Search(CHAIN).alone(AnyPolicy((empty, RolePolicy("y"))), "a2")


@pytest.mark.parametrize("leaf", [IsPolicy(["unknown"]), EachPolicy(["unknown"])])
def test_a_name_that_cannot_be_read_lets_nobody_through(leaf: Policy) -> None:
    assert not satisfied(leaf, ["a1"], CHAIN)
    assert not satisfied(ExceptPolicy(RolePolicy("x"), (leaf,)), ["a1"], CHAIN)
    nested = ExceptPolicy(RolePolicy("x"), (ExceptPolicy(RolePolicy("x"), (leaf,)),))
    assert not satisfied(nested, ["a1"], CHAIN)
    counted = ExceptPolicy(RolePolicy("x"), (CountPolicy(1, AnyPolicy((AllPolicy((leaf,)),))),))
    assert not may_take_part(counted, "a1", CHAIN)


def test_parts_are_counted_with_their_exceptions() -> None:
    policy = ExceptPolicy(
        AllPolicy((RolePolicy("x"), CountPolicy(2, RolePolicy("y")))),
        (AnyPolicy((PartyPolicy("owner"), AgencyPolicy("owner"))),),
    )
    assert len(list(policies_of(policy))) == 8
    assert leaves_of(policy) == 3
    assert leaves_of(AnyPolicy(())) == 0
