"""party.*: every result and every refusal of docs/spec/operations.md."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from ledger import base64url
from ledger.crypto import Ed25519Signer
from ledger.jwk import Jwk
from ledger.parameters import Parameters
from ledger.signed_text import approval_text
from tests.builders import kid_of, make_genesis, signer
from tests.chain import Chain, document

ALL = ["agency-0", "agency-1", "agency-2", "agency-3"]
SMALL_ORDER = base64url.encode(bytes((1,)) + bytes(31))


@pytest.fixture
def chain() -> Chain:
    chain = Chain(make_genesis(4, parameters=Parameters(keys_per_party_max=3)))
    assert chain.run("agency-0", chain.client("clerk", signer("one")))["status"] == "committed"
    return chain


def _agency(chain: Chain, party: str, key: Ed25519Signer, recovery: Any = None) -> dict[str, Any]:
    op = chain.client(party, key)
    recovery = recovery or Jwk.signing(signer(f"{party} recovery").public_key).to_json()
    return {**op, "kind": "agency", "title_code": "t", "recovery_key": recovery}


def _rotate(
    chain: Chain, party: str, keys: list[Ed25519Signer], retire: list[Ed25519Signer]
) -> dict[str, Any]:
    op = chain.client(party, *keys)
    del op["kind"]
    return {**op, "op": "party.rotate", "retire": [kid_of(key) for key in retire]}


def _revoke(party: str, *keys: Ed25519Signer) -> dict[str, Any]:
    kids = [kid_of(key) for key in keys]
    return {"op": "party.revoke", "party": party, "kids": kids, "reason_code": "lost"}


def _encryption(seed: bytes = bytes(32)) -> dict[str, str]:
    return Jwk.encryption(signer(seed.hex()).public_key).to_json()


def test_a_client_belongs_to_the_agency_that_registers_it(chain: Chain) -> None:
    party = chain.value("party/clerk")
    assert (party["agency"], party["status"], party["seq"]) == ("agency-0", "active", 0)
    kid = kid_of(signer("one"))
    jwk = Jwk.signing(signer("one").public_key).to_json()
    assert party["keys"] == [{"kid": kid, "jwk": jwk, "status": "active"}]
    assert chain.value(f"key/{kid}") == {"party": "clerk", "status": "active", "height": 1}
    assert chain.value("agency/clerk") is None


def test_encryption_keys_need_no_proof(chain: Chain) -> None:
    op = chain.client("c2", signer("two"))
    op["keys"].append(_encryption())
    assert chain.run("agency-0", op)["results"] == [{"party": "c2"}]
    assert chain.value("party/c2")["keys"][1]["jwk"]["use"] == "enc"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"party": "clerk"}, "PARTY_EXISTS"),
        ({"party": "agency-3"}, "PARTY_EXISTS"),
        ({"proofs": []}, "POSSESSION_INVALID"),
        ({"proofs": ["A" * 86]}, "POSSESSION_INVALID"),
        ({"proofs": ["B" * 86]}, "POSSESSION_INVALID"),
        ({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": SMALL_ORDER}]}, "KEY_INVALID"),
        ({"keys": [_encryption()], "proofs": []}, "KEY_LAST"),
        ({"keys": [_encryption(bytes((n,))) for n in range(4)], "proofs": []}, "KEYS_FULL"),
    ],
)
def test_register_refusals(chain: Chain, change: dict[str, Any], reason: str) -> None:
    entry = chain.run("agency-0", {**chain.client("c2", signer("two")), **change})
    assert entry["reason"] == reason


def test_only_agencies_register_clients(chain: Chain) -> None:
    entry = chain.run("clerk", chain.client("c2", signer("two")), key=signer("one"))
    assert entry["reason"] == "NOT_AUTHORISED"


@pytest.mark.parametrize("label", ["one", "test agency 2", "test vote 1"])
def test_a_key_that_is_known_is_refused(chain: Chain, label: str) -> None:
    entry = chain.run("agency-0", chain.client("c2", signer(label)))
    assert entry["reason"] == "KEY_IN_USE"


def test_the_same_key_twice_is_refused(chain: Chain) -> None:
    entry = chain.run("agency-0", chain.client("c2", signer("two"), signer("two")))
    assert entry["reason"] == "KEY_IN_USE"


def test_a_quorum_registers_an_agency(chain: Chain) -> None:
    op = _agency(chain, "new-agency", signer("new"))
    entry = chain.run_approved("clerk", op, ALL[:3], key=signer("one"))
    assert entry["results"] == [{"party": "new-agency"}]
    assert chain.value("party/new-agency")["agency"] == "new-agency"
    agency = chain.value("agency/new-agency")
    assert agency["title_code"] == "t"
    assert (agency["seq"], agency["prev"]) == (0, "0" * 64)
    entry = chain.run("new-agency", chain.client("c3", signer("three")), key=signer("new"))
    assert entry["status"] == "committed"


def test_agency_registration_refusals(chain: Chain) -> None:
    op = _agency(chain, "new-agency", signer("new"))
    assert chain.run_approved("agency-0", op, ALL[:2])["reason"] == "QUORUM_NOT_REACHED"
    small = {"kty": "OKP", "crv": "Ed25519", "x": SMALL_ORDER}
    bad = _agency(chain, "new-agency", signer("new"), small)
    assert chain.run_approved("agency-0", bad, ALL)["reason"] == "KEY_INVALID"
    own = _agency(chain, "new-agency", signer("new"), op["keys"][0])
    assert chain.run_approved("agency-0", own, ALL)["reason"] == "KEY_IN_USE"
    assert chain.value("agency/new-agency") is None


def test_approvals_that_do_not_hold_are_refused(chain: Chain) -> None:
    op = _agency(chain, "new-agency", signer("new"))
    good = chain.approve(op, ALL, iss="agency-0", jti="j")
    stranger = {**good[0], "agency": "clerk"}
    cases: list[tuple[list[dict[str, str]], str]] = [
        ([good[0], good[0], good[1]], "APPROVAL_INVALID"),
        ([good[0], {**good[1], "signature": good[0]["signature"]}], "APPROVAL_INVALID"),
        ([{**good[0], "signature": "_" * 86}], "APPROVAL_INVALID"),
        ([{**good[0], "kid": good[1]["kid"]}], "APPROVAL_INVALID"),
        ([stranger, good[1], good[2]], "QUORUM_NOT_REACHED"),
        (chain.approve(op, ALL, iss="agency-0", jti="k"), "APPROVAL_INVALID"),
    ]
    for approvals, reason in cases:
        fresh = Chain(chain.kit)
        assert fresh.run("agency-0", {**op, "approvals": approvals}, jti="j")["reason"] == reason
    committed = chain.run("agency-0", {**op, "approvals": [*good[1:], stranger]}, jti="j")
    assert committed["status"] == "committed"


def test_a_party_rotates_its_own_keys(chain: Chain) -> None:
    old, new = signer("one"), signer("two")
    entry = chain.run("clerk", _rotate(chain, "clerk", [new], [old]), key=old)
    assert entry["results"] == [{"party": "clerk", "seq": 1}]
    assert [key["status"] for key in chain.value("party/clerk")["keys"]] == ["retired", "active"]
    owner = {"party": "clerk", "status": "retired", "height": chain.height}
    assert chain.value(f"key/{kid_of(old)}") == owner
    assert chain.run("clerk", document(), key=new)["status"] == "committed"


def test_rotation_by_agency_quorum_and_recovery_key(chain: Chain) -> None:
    op = _rotate(chain, "clerk", [signer("two")], [])
    assert chain.run("agency-1", op)["reason"] == "NOT_AUTHORISED"
    assert chain.run("agency-0", op)["status"] == "committed"
    op = _rotate(chain, "clerk", [signer("three")], [])
    assert chain.run_approved("agency-1", op, ALL[1:])["status"] == "committed"
    assert chain.run_approved("agency-1", op, ALL[:1])["reason"] == "QUORUM_NOT_REACHED"
    op = _rotate(chain, "agency-2", [signer("four")], [])
    assert _recover(chain, op, "agency-2")["status"] == "committed"
    assert _recover(chain, op, "agency-3")["reason"] == "APPROVAL_INVALID"
    assert _recover(chain, _rotate(chain, "clerk", [], []), "agency-3")["reason"] == (
        "NOT_AUTHORISED"
    )


def _recover(chain: Chain, op: dict[str, Any], agency: str) -> dict[str, Any]:
    jti = chain.jti()
    text = approval_text(chain.kit.chain, "agency-1", jti, 0, op)  # type: ignore[arg-type]
    signature = chain.kit.recovery_signers[agency].sign(text)
    return chain.run("agency-1", {**op, "recovery": base64url.encode(signature)}, jti=jti)


def test_rotate_refusals(chain: Chain) -> None:
    one, two = signer("one"), signer("two")
    run = [
        (_rotate(chain, "nobody", [two], []), "PARTY_UNKNOWN"),
        (_rotate(chain, "clerk", [one], []), "KEY_IN_USE"),
        (_rotate(chain, "clerk", [], [two]), "KEY_UNKNOWN"),
        (_rotate(chain, "clerk", [two], [one, one]), "KEY_UNKNOWN"),
        (_rotate(chain, "clerk", [], [one]), "KEY_LAST"),
        (_rotate(chain, "clerk", [two, signer("3"), signer("4")], []), "KEYS_FULL"),
    ]
    for op, reason in run:
        assert chain.run("agency-0", op)["reason"] == reason


def test_a_revoked_key_leaves_a_party_that_can_be_recovered(chain: Chain) -> None:
    one, two = signer("one"), signer("two")
    entry = chain.run("clerk", _revoke("clerk", one), key=one)
    assert entry["results"] == [{"party": "clerk", "seq": 1}]
    assert chain.value(f"key/{kid_of(one)}")["status"] == "revoked"
    assert chain.value("party/clerk")["status"] == "active"
    assert chain.run("agency-0", _revoke("clerk", one))["reason"] == "KEY_UNKNOWN"
    # A kid never becomes active again.
    assert chain.run("agency-0", _rotate(chain, "clerk", [one], []))["reason"] == "KEY_IN_USE"
    assert chain.run("agency-0", _rotate(chain, "clerk", [two], []))["status"] == "committed"


def test_the_revocation_of_a_party_is_final(chain: Chain) -> None:
    assert chain.run("agency-1", _revoke("clerk"))["reason"] == "NOT_AUTHORISED"
    assert chain.run("agency-0", _revoke("clerk"))["status"] == "committed"
    party = chain.value("party/clerk")
    assert (party["status"], party["keys"][0]["status"]) == ("revoked", "revoked")
    assert chain.run("agency-0", _revoke("clerk"))["reason"] == "PARTY_REVOKED"
    rotation = _rotate(chain, "clerk", [signer("two")], [])
    assert chain.run("agency-0", rotation)["reason"] == "PARTY_REVOKED"
    assert chain.run("agency-0", chain.client("clerk", signer("9")))["reason"] == "PARTY_EXISTS"


def test_an_agency_that_revoked_itself_registers_nobody(chain: Chain) -> None:
    entry = chain.run("agency-3", _revoke("agency-3"), chain.client("c9", signer("9")))
    assert (entry["reason"], entry["operation"]) == ("PARTY_REVOKED", 1)
    entry = chain.run("agency-3", _revoke("agency-3"), _rotate(chain, "agency-3", [], []))
    assert (entry["reason"], entry["operation"]) == ("PARTY_REVOKED", 1)


def test_a_party_lists_only_its_newest_keys_out_of_force(chain: Chain) -> None:
    keys = [signer("one"), *(signer(f"turn {n}") for n in range(6))]
    for old, new in pairwise(keys):
        entry = chain.run("agency-0", _rotate(chain, "clerk", [new], [old]))
        assert entry["status"] == "committed"
    listed = [key["kid"] for key in chain.value("party/clerk")["keys"]]
    assert listed == [kid_of(key) for key in keys[-4:]]
    assert chain.value(f"key/{kid_of(keys[0])}")["status"] == "retired"
