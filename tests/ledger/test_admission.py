"""Every reason for which a transaction is inadmissible, and the order in which they are tested."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ledger import base64url
from ledger.jwk import Jwk
from ledger.transaction import Inadmissible, sign
from tests.builders import EXP, GENESIS_TIME_MS, kid_of, signer
from tests.chain import Chain, document


def _reason(chain: Chain, raw: bytes, *, time_ms: int | None = None) -> str:
    """The reason for which no block can hold it, or an empty string."""
    why = chain.refusal(raw, time_ms=time_ms)
    if why is None:
        return ""
    return why.reason if why.detail else "no detail"


def _signed(chain: Chain, **change: Any) -> bytes:
    claims = {
        "iss": "agency-0",
        "aud": chain.kit.chain,
        "jti": "a",
        "exp": EXP,
        "ops": [document()],
        **change,
    }
    return sign(claims, chain.kit.agency_signers["agency-0"])


def test_a_good_transaction_is_admitted() -> None:
    chain = Chain()
    assert _reason(chain, _signed(chain)) == ""


def test_form_is_refused_before_operations_and_they_before_the_chain() -> None:
    chain = Chain()
    other = f"other:{'0' * 32}"
    many = [document()] * 17
    unknown = [{"op": "document.shred"}]
    wrong = [{**document(), "commitment": "AB" * 32}]
    assert _reason(chain, b"x" * 70_000) == "TX_TOO_LARGE"
    assert _reason(chain, b"a.b") == "TX_MALFORMED"
    header = base64url.encode(json.dumps({"alg": "none"}).encode()).encode()
    good = _signed(chain).split(b".")
    assert _reason(chain, b".".join([header, *good[1:]])) == "TX_HEADER_INVALID"
    assert _reason(chain, _signed(chain, nbf=1)) == "TX_PAYLOAD_INVALID"
    assert _reason(chain, _signed(chain, ops=many, aud=other)) == "TX_TOO_MANY_OPERATIONS"
    assert _reason(chain, _signed(chain, ops=wrong + unknown)) == "TX_UNKNOWN_OPERATION"
    assert _reason(chain, _signed(chain, ops=wrong, aud=other)) == "TX_SCHEMA_INVALID"
    assert _reason(chain, _signed(chain, aud=other, iss="nobody")) == "TX_WRONG_CHAIN"


_DROP = object()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("document.register", {"more": 1}),
        ("document.register", {"title_code": _DROP}),
        ("document.register", {"type": "Deed"}),
        ("document.register", {"type": "deed\n"}),
        ("document.register", {"type": ""}),
        ("document.register", {"type": "a" * 65}),
        ("document.register", {"type": "\u0661"}),
        ("document.register", {"commitment": 5}),
        ("document.attest", {"id": "deed/" + "0" * 31}),
        ("document.revoke", {"reason_code": "-"}),
        ("party.register", {"kind": "person"}),
        ("party.register", {"kind": "agency"}),
        ("party.register", {"keys": []}),
        ("party.register", {"keys": [{"kty": "RSA"}]}),
        ("party.register", {"keys": [{"kty": "OKP", "crv": "X25519", "x": "A" * 43}]}),
        ("party.register", {"keys": "K" * 33}),
        ("party.register", {"proofs": ["short"]}),
        ("party.rotate", {"recovery": None}),
        ("party.rotate", {"keys": [{}]}),
        ("party.revoke", {"kids": ["short"]}),
        ("party.revoke", {"approvals": [{"agency": "a", "kid": "b", "signature": "c"}]}),
        ("sys.epoch_close", {"epoch": -1}),
        ("sys.epoch_close", {"members": []}),
        ("sys.epoch_close", {"members": [{"vote_key": "_" * 43}]}),
        ("sys.epoch_close", {"members": [{"transport_certificate": "A"}]}),
        ("sys.epoch_close", {"members": [{"address": "no-port"}]}),
    ],
)
def test_other_fields_than_the_specified_are_inadmissible(
    name: str, change: dict[str, Any]
) -> None:
    chain = Chain()
    op = _operation(chain, name)
    assert _reason(chain, _signed(chain, ops=[op])) == ""
    if name == "sys.epoch_close" and change.get("members"):
        change = {"members": [{**op["members"][0], **change["members"][0]}]}
    bad = {key: value for key, value in {**op, **change}.items() if value is not _DROP}
    assert _reason(chain, _signed(chain, ops=[bad])) == "TX_SCHEMA_INVALID"


def _operation(chain: Chain, name: str) -> dict[str, Any]:
    record = {"op": name, "id": "deed/" + "0" * 32}
    client = chain.client("c", signer("c"))
    party = {"op": name, "party": "c", "recovery": "A" * 86, "approvals": []}
    operations: dict[str, dict[str, Any]] = {
        "document.register": document(),
        "document.attest": record,
        "document.revoke": {**record, "reason_code": "r"},
        "party.register": client,
        "party.rotate": {**party, "keys": client["keys"], "proofs": [], "retire": []},
        "party.revoke": {**party, "kids": [], "reason_code": "r"},
        "sys.epoch_close": {
            "op": name,
            "epoch": 0,
            "members": chain.validators.to_json()["members"],
            "proofs": {},
            "approvals": [],
        },
    }
    return operations[name]


def test_a_schema_error_names_operation_and_field() -> None:
    chain = Chain()
    with pytest.raises(Inadmissible, match=r"ops\[1\].*commitment"):
        chain.parse(_signed(chain, ops=[document(), document("no hex")]))


def test_a_recovery_key_that_cannot_sign_is_a_schema_error() -> None:
    chain = Chain()
    key = Jwk.encryption(bytes(32)).to_json()
    op = {**chain.client("c", signer("c")), "kind": "agency", "title_code": "t", "approvals": []}
    assert _reason(chain, _signed(chain, ops=[{**op, "recovery_key": key}])) == "TX_SCHEMA_INVALID"
    key = Jwk.signing(signer("r").public_key).to_json()
    assert _reason(chain, _signed(chain, ops=[{**op, "recovery_key": key}])) == ""


def test_unknown_and_revoked_keys() -> None:
    chain = Chain()
    old, new = signer("old"), signer("new")
    op = chain.client("clerk", old)
    encryption = Jwk.encryption(bytes(31) + b"\x01")
    op["keys"].append(encryption.to_json())
    chain.run("agency-0", op)
    raw = chain.kit.sign("clerk", "a", [document()], key=old)
    assert _reason(chain, raw) == ""
    for iss, key in (("clerk", new), ("nobody", old), ("agency-1", old)):
        raw = chain.kit.sign(iss, "a", [document()], key=key)
        assert _reason(chain, raw) == "TX_UNKNOWN_KEY"
    claims = {"iss": "clerk", "aud": chain.kit.chain, "jti": "a", "exp": 1, "ops": [document()]}
    assert _reason(chain, sign(claims, old, encryption.kid)) == "TX_UNKNOWN_KEY"
    rotation = {**chain.client("clerk", new), "op": "party.rotate", "retire": [kid_of(old)]}
    del rotation["kind"]
    assert chain.run("agency-0", rotation)["status"] == "committed"
    raw = chain.kit.sign("clerk", "a", [document()], key=old)
    assert _reason(chain, raw) == "TX_KEY_REVOKED"
    # A key so old that the party no longer lists it.
    draft = chain.state.draft()
    value = chain.value("party/clerk")
    value["keys"] = value["keys"][2:]
    draft.put(b"party/clerk", json.dumps(value).encode())
    chain.state = draft.seal()
    assert _reason(chain, raw) == "TX_KEY_REVOKED"


def test_a_wrong_signature_comes_before_expiry() -> None:
    chain = Chain()
    raw = _signed(chain, exp=1)
    forged = raw[: raw.rindex(b".")] + b"." + b"A" * 86
    assert _reason(chain, forged) == "TX_SIGNATURE_INVALID"
    assert _reason(chain, raw) == "TX_EXPIRED"
    # A verdict that is known is not asked for again.
    late = _signed(chain)
    forged = late[: late.rindex(b".")] + b"." + b"A" * 86
    assert _reason(chain, forged) == "TX_SIGNATURE_INVALID"
    assert chain.refusal(forged, known_valid=True) is None


def test_expiry_bounds_are_exact() -> None:
    chain = Chain()
    raw = _signed(chain)
    assert _reason(chain, raw, time_ms=EXP * 1000) == "TX_EXPIRED"
    assert _reason(chain, raw, time_ms=EXP * 1000 - 1) == ""
    ahead = chain.parameters.expiry_ahead_max_ms
    assert _reason(chain, raw, time_ms=EXP * 1000 - ahead) == ""
    assert _reason(chain, raw, time_ms=EXP * 1000 - ahead - 1) == "TX_EXPIRY_TOO_FAR"


def test_a_replay_is_told_with_its_first_id() -> None:
    chain = Chain()
    raw = _signed(chain)
    chain.block(raw)
    assert _reason(chain, raw) == "TX_REPLAYED"
    assert _reason(chain, raw, time_ms=GENESIS_TIME_MS + 4_000_000) == "TX_EXPIRED"
