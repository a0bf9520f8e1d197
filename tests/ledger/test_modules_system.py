"""sys.epoch_close: the next set, its refusals, and the block after."""

from __future__ import annotations

from typing import Any

import pytest

from ledger import base64url, transport_certificate
from ledger.crypto import Ed25519Signer
from ledger.signed_text import possession_text
from tests.builders import GenesisKit, kid_of, make_genesis, signer
from tests.builders import transport_certificate as make_certificate
from tests.chain import Chain

ALL = ["agency-0", "agency-1", "agency-2", "agency-3"]


def _members(kit: GenesisKit) -> list[dict[str, str]]:
    members: list[dict[str, str]] = kit.validators.to_json()["members"]
    return members


def _member(name: str, key: Ed25519Signer, agency: str = "agency-0") -> dict[str, str]:
    return {
        "agency": agency,
        "name": name,
        "vote_key": base64url.encode(key.public_key),
        "transport_certificate": base64url.encode(make_certificate(name)),
        "address": "host.example:27000",
    }


def _proof(chain: Chain, name: str, key: Ed25519Signer) -> str:
    return base64url.encode(key.sign(possession_text(chain.kit.chain, name, kid_of(key))))


def _close(chain: Chain, members: list[dict[str, str]], **proofs: str) -> dict[str, Any]:
    epoch = chain.validators.epoch
    return {"op": "sys.epoch_close", "epoch": epoch, "members": members, "proofs": proofs}


def _grow(chain: Chain) -> dict[str, Any]:
    key = signer("fifth")
    members = [*_members(chain.kit), _member("fifth", key)]
    return _close(chain, members, fifth=_proof(chain, "fifth", key))


def test_a_quorum_closes_the_epoch_and_the_next_block_opens_another() -> None:
    chain = Chain()
    op = _grow(chain)
    approvals = chain.approve(op, ALL[:3], iss="agency-1", jti="c")
    raw = chain.kit.sign("agency-1", "c", [{**op, "approvals": approvals}])
    entries = chain.block(raw)
    assert entries[0]["results"] == [{"epoch": 1}]
    assert chain.value("sys/epoch") == {"epoch": 0, "first_height": 0}
    following = chain.value("sys/next_validators")
    assert following == chain.validators.to_json()
    assert len(chain.validators) == 5
    assert entries[1] == {
        "type": "muniment-entry-v1",
        "kind": "epoch",
        "height": 1,
        "index": 1,
        "epoch": 1,
        "validators_hash": chain.validators.hash.hex(),
    }
    assert chain.block() == []
    assert chain.value("sys/epoch") == {"epoch": 1, "first_height": 2}
    assert chain.value("sys/validators") == following
    assert chain.value("sys/next_validators") is None


def test_only_the_first_closing_of_a_block_counts() -> None:
    chain = Chain()
    op = _close(chain, _members(chain.kit))
    raws = []
    for jti in ("a", "b"):
        approvals = chain.approve(op, ALL[:3], iss="agency-0", jti=jti)
        raws.append(chain.kit.sign("agency-0", jti, [{**op, "approvals": approvals}]))
    entries = chain.block(*raws)
    assert entries[1]["reason"] == "EPOCH_ALREADY_CLOSING"
    assert entries[2]["kind"] == "epoch"
    # The same operation again, now of a past epoch.
    assert chain.run_approved("agency-0", op, ALL)["reason"] == "EPOCH_MISMATCH"


def test_quorum_and_possession_refusals() -> None:
    chain = Chain()
    op = _grow(chain)
    assert chain.run_approved("agency-0", op, ALL[:2])["reason"] == "QUORUM_NOT_REACHED"
    good = op["proofs"]["fifth"]
    wrong = _proof(chain, "sixth", signer("fifth"))
    for proofs in ({}, {"fifth": wrong}, {"fifth": "_" * 86}, {"fifth": good, "more": good}):
        entry = chain.run_approved("agency-0", {**op, "proofs": proofs}, ALL)
        assert entry["reason"] == "POSSESSION_INVALID"


def _with_new(chain: Chain, **change: str) -> dict[str, Any]:
    op = _grow(chain)
    members = [*op["members"][:-1], {**op["members"][-1], **change}]
    return {**op, "members": members}


def test_vote_keys_must_be_new_valid_points() -> None:
    chain = Chain()
    small = base64url.encode(bytes((1,)) + bytes(31))
    entry = chain.run_approved("agency-0", _with_new(chain, vote_key=small), ALL)
    assert entry["reason"] == "KEY_INVALID"
    party = base64url.encode(chain.kit.agency_signers["agency-2"].public_key)
    entry = chain.run_approved("agency-0", _with_new(chain, vote_key=party), ALL)
    assert entry["reason"] == "KEY_IN_USE"


def test_members_that_cannot_be_a_set_are_refused() -> None:
    chain = Chain()
    old = _members(chain.kit)
    readable = old[0]["transport_certificate"]
    swapped = [*old[:3], {**old[3], "agency": "agency-0", "name": "other"}]
    cases = [
        _close(chain, old[:3]),
        _with_new(chain, name="member-0"),
        _with_new(chain, vote_key=old[0]["vote_key"]),
        _with_new(chain, transport_certificate=readable),
        _with_new(chain, transport_certificate=base64url.encode(b"\x30\x00")),
        _with_new(chain, agency="nobody"),
        _close(chain, swapped),
        _close(chain, [*old[:2], *(_member(f"m{n}", signer(f"m{n}")) for n in range(2))]),
    ]
    for op in cases:
        assert chain.run_approved("agency-0", op, ALL)["reason"] == "MEMBERS_INVALID"
    assert chain.value("sys/next_validators") is None


def test_a_client_or_a_revoked_agency_runs_no_member() -> None:
    chain = Chain(make_genesis(5))
    chain.run("agency-0", chain.client("clerk", signer("clerk")))
    entry = chain.run_approved("agency-0", _with_new(chain, agency="clerk"), ALL)
    assert entry["reason"] == "MEMBERS_INVALID"
    revocation = {"op": "party.revoke", "party": "agency-4", "kids": [], "reason_code": "gone"}
    assert chain.run("agency-4", revocation)["status"] == "committed"
    entry = chain.run_approved("agency-0", _grow(chain), ALL)
    assert entry["reason"] == "MEMBERS_INVALID"
    # Without its member the set is valid again.
    op = _close(chain, _members(chain.kit)[:4])
    assert chain.run_approved("agency-0", op, ALL)["status"] == "committed"


def test_a_member_may_change_key_and_address() -> None:
    chain = Chain()
    key = signer("fresh")
    old = _members(chain.kit)
    changed = {**old[2], "vote_key": base64url.encode(key.public_key), "address": "[::1]:99"}
    op = _close(chain, [*old[:2], changed, old[3]], **{"member-2": _proof(chain, "member-2", key)})
    assert chain.run_approved("agency-0", op, ALL)["status"] == "committed"
    assert chain.validators.members[2].address == "[::1]:99"


def test_the_certificate_reader_reads_what_a_library_writes() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.x509 import load_der_x509_certificate

    der = make_certificate("reader")
    key = load_der_x509_certificate(der).public_key()
    assert isinstance(key, Ed25519PublicKey)
    assert transport_certificate.public_key(der) == key.public_bytes_raw()
    # No cut, no addition and no change of structure passes.
    for end in range(len(der)):
        with pytest.raises(ValueError, match="certificate"):
            transport_certificate.public_key(der[:end])
    with pytest.raises(ValueError, match="follows"):
        transport_certificate.public_key(der + b"\x00")
    for at in range(len(der)):
        changed = der[:at] + bytes((der[at] ^ 0x81,)) + der[at + 1 :]
        try:
            transport_certificate.public_key(changed)
        except ValueError as error:
            assert "certificate" in str(error)  # noqa: PT017 (most changes are inside values)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a003020102", "a003020101"),
        ("300506032b6570032100", "300506032b6571032100"),
        ("300506032b6570032100", "300506032b6570032101"),
        ("300506032b6570034100", "300506032b6570034000"),
    ],
)
def test_another_kind_of_certificate_is_not_read(old: str, new: str) -> None:
    der = make_certificate("reader").hex()
    assert old in der
    with pytest.raises(ValueError, match="certificate"):
        transport_certificate.public_key(bytes.fromhex(der.replace(old, new)))
