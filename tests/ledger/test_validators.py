"""Quorum arithmetic against its definition, and the validator set's one form."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import Any

import msgspec
import pytest

from ledger import base64url, canonical
from ledger.crypto import sha256
from ledger.ids import Epoch
from ledger.validators import Member, ValidatorSet, faults_tolerated, quorum_size
from tests.builders import make_genesis, signer

SET = make_genesis(4).validators


@pytest.mark.parametrize("n", range(1, 200))
def test_quorums_intersect_in_a_correct_member(n: int) -> None:
    f = floor(Fraction(n - 1, 3))
    q = ceil(Fraction(n + f + 1, 2))
    assert (faults_tolerated(n), quorum_size(n)) == (f, q)
    assert 2 * q - n >= f + 1
    assert q <= n - f
    assert 2 * (q - 1) - n < f + 1, "the smallest size that does it"


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(ValueError):
        faults_tolerated(0)
    with pytest.raises(ValueError):
        ValidatorSet(Epoch(0), ())


def test_numbers_of_four() -> None:
    assert (len(SET), SET.f, SET.quorum, SET.weak_quorum) == (4, 1, 3, 2)
    assert SET.index_of_vote_key(SET.vote_keys[2]) == 2
    assert SET.index_of_vote_key(signer("stranger").public_key) is None


def test_json_round_trip_and_hash() -> None:
    document = SET.to_json()
    again = ValidatorSet.from_json(document)
    assert again.members == SET.members
    assert again.hash == SET.hash == sha256(canonical.encode_any(document))
    assert ValidatorSet(Epoch(1), SET.members).hash != SET.hash
    assert ValidatorSet(Epoch(0), SET.members[::-1]).hash != SET.hash


def test_members_share_neither_key_nor_name() -> None:
    first, second = SET.members[:2]
    for changes in ({"vote_key": first.vote_key}, {"name": first.name}):
        with pytest.raises(ValueError):
            ValidatorSet(Epoch(0), (first, msgspec.structs.replace(second, **changes)))


@pytest.mark.parametrize("vote_key", ["", "AA", base64url.encode(bytes(31)), "A" * 43 + "="])
def test_a_vote_key_is_32_bytes(vote_key: str) -> None:
    with pytest.raises(ValueError):
        ValidatorSet(Epoch(0), (msgspec.structs.replace(SET.members[0], vote_key=vote_key),))


def test_json_of_another_shape_is_refused() -> None:
    document = SET.to_json()
    member: dict[str, Any] = document["members"][0]
    changed: list[dict[str, Any]] = [
        {"type": "muniment-validators-v2"},
        {"epoch": "0"},
        {"epoch": -1},
        {"members": []},
        {"members": [member, member]},
        {"members": [{**member, "power": 1}]},
        {"members": [{name: member[name] for name in member if name != "address"}]},
        {"extra": 1},
    ]
    for changes in changed:
        with pytest.raises(ValueError):
            ValidatorSet.from_json({**document, **changes})
    for name in document:
        with pytest.raises(ValueError):
            ValidatorSet.from_json({key: part for key, part in document.items() if key != name})
    assert Member(**member) == SET.members[0]
