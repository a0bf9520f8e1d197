"""Every refusal reason of docs/spec/operations.md, committed into blocks by four validators."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from ledger import base64url, transaction
from ledger.jwk import Jwk
from ledger.signed_text import approval_text
from tests.builders import kid_of, signer
from tests.integration.network import AGENCIES, Net, client_operation, document

pytestmark = pytest.mark.process
HEALTH, LAND, TREASURY, INTERIOR = AGENCIES


def refused(net: Net, compact: str) -> str:
    """The reason with which a transaction stands in a block, the same on every node."""
    fate = net.commit(compact)
    assert fate["status"] == "refused", fate
    for index in range(1, 4):
        other = net.call(index, "tx_wait", id=fate["id"])
        assert (other["status"], other["reason"]) == ("refused", fate["reason"])
    entry = net.call(0, "tx_get", id=fate["id"])["entry"]
    assert (entry["status"], entry["results"]) == ("refused", [])
    return str(fate["reason"])


def committed(net: Net, compact: str) -> dict[str, Any]:
    """The entry of a transaction that must commit."""
    fate = net.commit(compact)
    assert fate["status"] == "committed", fate
    entry: dict[str, Any] = net.call(0, "tx_get", id=fate["id"])["entry"]
    return entry


def rotate(party: str, **fields: Any) -> dict[str, Any]:
    """party.rotate that changes nothing unless told."""
    return {"op": "party.rotate", "party": party, "keys": [], "proofs": [], "retire": [], **fields}


def agency_operation(net: Net, party: str) -> dict[str, Any]:
    """party.register of an agency, without its approvals."""
    operation = client_operation(net.chain, party, signer(party))
    recovery = Jwk.signing(signer(f"{party} recovery").public_key).to_json()
    return {**operation, "kind": "agency", "title_code": party, "recovery_key": recovery}


def test_parties(net: Net) -> None:
    chain, key = net.chain, signer("clinic")
    register = client_operation(chain, "clinic", key)
    committed(net, net.sign(HEALTH, register))
    assert refused(net, net.sign(HEALTH, register)) == "PARTY_EXISTS"
    two = client_operation(chain, "clinic-2", signer("clinic 2"))
    assert refused(net, net.sign("clinic", two, key=key)) == "NOT_AUTHORISED"
    assert refused(net, net.sign(LAND, rotate("clinic"))) == "NOT_AUTHORISED"
    assert refused(net, net.sign(LAND, rotate("nobody"))) == "PARTY_UNKNOWN"
    taken = client_operation(chain, "clinic-3", key)
    assert refused(net, net.sign(HEALTH, taken)) == "KEY_IN_USE"
    small_order = {"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(b"\x01" + bytes(31))}
    assert refused(net, net.sign(HEALTH, {**two, "keys": [small_order]})) == "KEY_INVALID"
    assert refused(net, net.sign(HEALTH, {**two, "proofs": []})) == "POSSESSION_INVALID"
    assert (
        refused(net, net.sign(HEALTH, {**two, "proofs": register["proofs"]}))
        == "POSSESSION_INVALID"
    )
    many = client_operation(chain, "clinic-4", *[signer(f"many {i}") for i in range(9)])
    assert refused(net, net.sign(HEALTH, many)) == "KEYS_FULL"
    unknown = rotate("clinic", retire=[kid_of(signer("unknown"))])
    assert refused(net, net.sign("clinic", unknown, key=key)) == "KEY_UNKNOWN"
    last = rotate("clinic", retire=[kid_of(key)])
    assert refused(net, net.sign("clinic", last, key=key)) == "KEY_LAST"
    revoke = {"op": "party.revoke", "party": "clinic", "kids": [], "reason_code": "closed"}
    committed(net, net.sign(HEALTH, revoke))
    assert refused(net, net.sign(HEALTH, rotate("clinic"))) == "PARTY_REVOKED"
    assert net.refusal(0, "tx_submit", tx=net.sign("clinic", document(), key=key)).reason == (
        "TX_KEY_REVOKED"
    )


def test_approvals_and_recovery(net: Net) -> None:
    operation = agency_operation(net, "archive")
    assert refused(net, net.approved(HEALTH, [operation], [HEALTH, LAND])) == "QUORUM_NOT_REACHED"
    claims = net.claims(HEALTH, [])
    text = approval_text(net.chain, claims["iss"], claims["jti"], 0, operation)
    bad = [
        {
            "agency": agency,
            "kid": kid_of(net.signer(agency)),
            "signature": base64url.encode(net.signer(LAND).sign(text)),
        }
        for agency in (HEALTH, LAND, TREASURY)
    ]
    claims["ops"] = [{**operation, "approvals": bad}]
    compact = transaction.sign(claims, net.signer(HEALTH)).decode()
    assert refused(net, compact) == "APPROVAL_INVALID"
    committed(net, net.approved(HEALTH, [operation], [HEALTH, LAND, TREASURY]))
    # The new agency lost its key: anybody may bring the recovery key's word.
    fresh = signer("archive fresh")
    change = {**client_operation(net.chain, "archive", fresh), "op": "party.rotate", "retire": []}
    del change["kind"]
    claims = net.claims(INTERIOR, [])
    text = approval_text(net.chain, claims["iss"], claims["jti"], 0, change)
    signature = base64url.encode(signer("archive recovery").sign(text))
    claims["ops"] = [{**change, "recovery": signature}]
    committed(net, transaction.sign(claims, net.signer(INTERIOR)).decode())
    committed(net, net.sign("archive", document(5), key=fresh))


def test_documents(net: Net) -> None:
    entry = committed(net, net.sign(HEALTH, document(1)))
    record = entry["results"][0]["record"]
    attest = {"op": "document.attest", "id": record}
    revoke = {"op": "document.revoke", "id": record, "reason_code": "mistake"}
    missing = f"permit/{'0' * 32}"
    assert refused(net, net.sign(LAND, {**attest, "id": missing})) == "RECORD_UNKNOWN"
    assert refused(net, net.sign(LAND, {**revoke, "id": missing})) == "RECORD_UNKNOWN"
    assert refused(net, net.sign(HEALTH, attest)) == "NOT_AUTHORISED"
    assert refused(net, net.sign(LAND, revoke)) == "NOT_AUTHORISED"
    committed(net, net.sign(LAND, attest))
    assert refused(net, net.sign(LAND, attest)) == "ALREADY_ATTESTED"
    committed(net, net.sign(HEALTH, revoke))
    assert refused(net, net.sign(TREASURY, attest)) == "RECORD_REVOKED"
    assert refused(net, net.sign(HEALTH, revoke)) == "RECORD_REVOKED"


def test_an_expired_jti_makes_no_second_record(net: Net) -> None:
    exp = int(time.time()) + 3
    committed(net, net.sign(TREASURY, document(2), jti="again", exp=exp))
    time.sleep(max(0, exp - time.time()) + 0.2)
    assert refused(net, net.sign(TREASURY, document(3), jti="again")) == "RECORD_EXISTS"


def test_a_record_takes_sixty_four_attestations(net: Net) -> None:
    record = committed(net, net.sign(HEALTH, document(4)))["results"][0]["record"]
    operations = [agency_operation(net, f"office-{number}") for number in range(65)]
    for first in range(0, 65, 16):
        committed(net, net.approved(HEALTH, operations[first : first + 16], AGENCIES[:3]))
    attest = {"op": "document.attest", "id": record}
    many = [
        net.sign(f"office-{number}", attest, key=signer(f"office-{number}")) for number in range(64)
    ]
    for result in net.call(0, "tx_submitMany", txs=many)["results"]:
        fate = net.call(0, "tx_wait", id=result["id"])
        assert fate["status"] == "committed"
    last = net.sign("office-64", attest, key=signer("office-64"))
    assert refused(net, last) == "ATTESTATIONS_FULL"
    newest = net.call(3, "record_get", id=record)["record"]
    assert len(newest["attestations"]) == 64
    page = net.call(3, "record_history", id=record, limit=64)
    last = net.call(3, "record_history", id=record, cursor=page["next_cursor"])
    assert last["next_cursor"] is None
    versions = page["versions"] + last["versions"]
    assert [version["seq"] for version in versions] == list(range(65))


def test_epochs(net: Net) -> None:
    members = [msgspec.to_builtins(member) for member in net.genesis.validators().members]
    close = {"op": "sys.epoch_close", "epoch": 0, "members": members, "proofs": {}}
    quorum = AGENCIES[:3]
    assert refused(net, net.approved(HEALTH, [{**close, "epoch": 5}], quorum)) == "EPOCH_MISMATCH"
    few = {**close, "members": members[:3]}
    assert refused(net, net.approved(HEALTH, [few], quorum)) == "MEMBERS_INVALID"
    twice = {**close, "members": [*members, members[0]]}
    assert refused(net, net.approved(HEALTH, [twice], quorum)) == "MEMBERS_INVALID"
    assert refused(net, net.approved(HEALTH, [close], AGENCIES[:2])) == "QUORUM_NOT_REACHED"
    assert refused(net, net.approved(HEALTH, [close, close], quorum)) == "EPOCH_ALREADY_CLOSING"
    entry = committed(net, net.approved(HEALTH, [close], quorum))
    assert entry["results"] == [{"epoch": 1}]
    committed(net, net.sign(HEALTH, document(6)))
    net.wait_equal()
    for index in range(4):
        assert net.status(index)["epoch"] == 1
        assert len(net.call(index, "chain_getEpochs")["epochs"]) == 2
