"""Transactions of any JOSE library decode; every other form is refused with its own reason."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.jwk import OKPKey

from ledger import base64url, transaction
from ledger.crypto import Ed25519Verifier, sha256
from ledger.transaction import Inadmissible, Transaction
from tests.builders import kid_of, seed, signer

KEY = signer("client")
KID = kid_of(KEY)
AUD = "test:" + "0123456789abcdef" * 2
OPS: list[dict[str, Any]] = [
    {"op": "document.register", "data": {"place": "Zürich", "parts": [1, [2, {"deep": None}]]}},
    {"op": "document.attest", "id": "permit/" + "0" * 32},
]
CLAIMS: dict[str, Any] = {
    "iss": "agency-1.client",
    "aud": AUD,
    "jti": "Invoice_2025-06.1",
    "exp": 1_750_003_600,
    "ops": OPS,
}
HEADER = {"alg": "Ed25519", "kid": KID, "typ": "muniment+jwt"}


def decode(raw: bytes, *, bytes_max: int = 65536, operations_max: int = 16) -> Transaction:
    return transaction.decode(raw, bytes_max=bytes_max, operations_max=operations_max)


def compact(header: bytes, payload: bytes, signature: bytes = bytes(64)) -> bytes:
    return b".".join(base64url.encode(part).encode() for part in (header, payload, signature))


def with_claims(**changes: Any) -> bytes:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    return compact(json.dumps(HEADER).encode(), json.dumps(claims).encode())


def with_payload(payload: bytes) -> bytes:
    return compact(json.dumps(HEADER).encode(), payload)


def with_header(**changes: Any) -> bytes:
    header = {name: value for name, value in {**HEADER, **changes}.items() if value is not None}
    return compact(json.dumps(header).encode(), json.dumps(CLAIMS).encode())


def reason(raw: bytes, **limits: int) -> str:
    with pytest.raises(Inadmissible) as caught:
        decode(raw, **limits)
    assert str(caught.value) == f"{caught.value.reason}: {caught.value.detail}"
    return caught.value.reason


def check(raw: bytes) -> None:
    tx = decode(raw)
    assert (tx.raw, tx.id.hex(), tx.kid) == (raw, sha256(raw).hex(), KID)
    for name in ("iss", "aud", "jti", "exp"):
        assert getattr(tx, name) == CLAIMS[name]
    assert list(tx.ops) == OPS
    assert Ed25519Verifier().verify(KEY.public_key, tx.signing_input, tx.signature)


def test_own_transactions_decode() -> None:
    check(transaction.sign(CLAIMS, KEY))
    check(transaction.sign({**CLAIMS, "iat": 1_750_000_000}, KEY, KID))


@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_pyjwt_transactions_decode(ensure_ascii: bool) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed("client"))

    class Encoder(json.JSONEncoder):
        def __init__(self, **options: Any) -> None:
            super().__init__(**{**options, "ensure_ascii": ensure_ascii})

    token = jwt.encode(
        CLAIMS,
        key,
        algorithm="EdDSA",
        headers={"kid": KID, "typ": "muniment+jwt"},
        json_encoder=Encoder,
    )
    check(token.encode("ascii"))


def test_joserfc_transactions_decode() -> None:
    x, d = base64url.encode(KEY.public_key), base64url.encode(seed("client"))
    key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": x, "d": d})
    token = jws.serialize_compact(
        HEADER, json.dumps(CLAIMS, ensure_ascii=False), key, algorithms=["Ed25519"]
    )
    check(token.encode("ascii"))


def test_header_members_in_any_order_and_spacing() -> None:
    header = f'{{ "typ":"muniment+jwt",\n"kid":"{KID}", "alg":"EdDSA" }}'.encode()
    assert decode(compact(header, json.dumps(CLAIMS).encode())).kid == KID


def test_size_is_tested_first_and_counts_exactly() -> None:
    raw = with_claims()
    assert decode(raw, bytes_max=len(raw)).raw == raw
    assert reason(raw, bytes_max=len(raw) - 1) == "TX_TOO_LARGE"
    assert reason(b"." * 100, bytes_max=99) == "TX_TOO_LARGE"


def spare_bits(raw: bytes) -> bytes:
    """The same signature with other unused bits in its last character (86 characters)."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return raw[:-1] + bytes([alphabet[alphabet.index(raw[-1]) ^ 1]])


GOOD = with_claims()
H, P, S = GOOD.split(b".")
MALFORMED = {
    "empty": b"",
    "one part": b"abc",
    "two parts": H + b"." + P,
    "four parts": GOOD + b".AAAA",
    "trailing dot": GOOD + b".",
    "leading dot": b"." + GOOD,
    "padding": GOOD + b"==",
    "spare bits": spare_bits(GOOD),
    "spare bits in the header": H[:-1] + b"." + P + b"." + S,
    "standard alphabet": H + b"." + P + b".+" + S[1:],
    "white space": H + b"." + P + b"." + S + b"\n",
    "white space inside": H + b"." + P[:8] + b" " + P[8:] + b"." + S,
    "junk in the header": b"!" + H + b"." + P + b"." + S,
    "not ASCII": H + b"." + P + "é".encode() + b"." + S,
    "NUL": H + b"." + P + b"\x00." + S,
    "short signature": compact(json.dumps(HEADER).encode(), b"{}", bytes(63)),
    "long signature": compact(json.dumps(HEADER).encode(), b"{}", bytes(65)),
    "no signature": H + b"." + P + b".",
    "JSON serialisation": b'{"payload":"e30","signatures":[]}',
    "length 1 mod 4": H + b"." + P + b"A" * (-len(P) % 4 + 1) + b"." + S,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name: str) -> None:
    assert reason(MALFORMED[name]) == "TX_MALFORMED"


HEADERS = {
    "alg none": with_header(alg="none"),
    "alg HS256": with_header(alg="HS256"),
    "alg Ed448": with_header(alg="Ed448"),
    "alg list": with_header(alg=["EdDSA"]),
    "no alg": with_header(alg=None),
    "no kid": with_header(kid=None),
    "no typ": with_header(typ=None),
    "typ JWT": with_header(typ="JWT"),
    "typ in capitals": with_header(typ="Muniment+JWT"),
    "kid number": with_header(kid=1),
    "kid short": with_header(kid=KID[:-1]),
    "kid long": with_header(kid=KID + "A"),
    "kid with spare bits": with_header(kid="A" * 42 + "B"),
    "kid newline": with_header(kid="A" * 42 + "A\n"),
    "jwk": with_header(jwk={"kty": "OKP"}),
    "crit": with_header(crit=["b64"], b64=False),
    "unknown": with_header(x5u="https://example.org"),
    "not an object": compact(b'["alg"]', b"{}"),
    "not JSON": compact(b"{", b"{}"),
    "not UTF-8": compact(b'{"alg":"\xff"}', b"{}"),
    "empty": b"." + P + b"." + S,
    "duplicate": compact(
        b'{"alg":"none","alg":"EdDSA","kid":"%s","typ":"muniment+jwt"}' % KID.encode(), b"{}"
    ),
    "before the payload": compact(b"{}", b"not JSON"),
    "too long to be cached": compact(b"{" + b" " * 300 + b"}", b"{}"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_header_invalid(name: str) -> None:
    for _ in range(2):  # a cached answer is the same answer
        assert reason(HEADERS[name]) == "TX_HEADER_INVALID"


def nested(depth: int) -> bytes:
    """A payload of that depth: claims, ops, operation, then arrays."""
    inner = b"[" * (depth - 3) + b"]" * (depth - 3)
    good = json.dumps({**CLAIMS, "ops": [{"op": "x", "a": 0}]}).encode()
    return with_payload(good.replace(b'"a": 0', b'"a": ' + inner))


ESCAPED = json.dumps(CLAIMS).encode()
PAYLOADS = {
    "not JSON": with_payload(b"{"),
    "array": with_payload(b"[]"),
    "string": with_payload(b'"iss"'),
    "byte-order mark": with_payload(b"\xef\xbb\xbf" + ESCAPED),
    "UTF-16": with_payload(json.dumps(CLAIMS).encode("utf-16")),
    "not UTF-8": with_payload(ESCAPED.replace(b"Z\\u00fcrich", b"Z\xfcrich")),
    "lone surrogate": with_payload(ESCAPED.replace(b"\\u00fc", b"\\ud800")),
    "duplicate claim": with_payload(ESCAPED[:-1] + b',"jti":"other"}'),
    "duplicate deep inside": with_payload(ESCAPED.replace(b'"deep"', b'"deep": 1, "d\\u0065ep"')),
    "float": with_payload(ESCAPED.replace(b"1750003600", b"1750003600.0")),
    "exponent": with_payload(ESCAPED.replace(b"1750003600", b"1e9")),
    "float deep inside": with_payload(ESCAPED.replace(b"[1, [2", b"[1, [2.5")),
    "minus zero": with_payload(ESCAPED.replace(b"[1, [2", b"[1, [-0")),
    "large integer": with_payload(ESCAPED.replace(b"[1, [2", b"[1, [9007199254740992")),
    "NaN": with_payload(ESCAPED.replace(b"[1, [2", b"[1, [NaN")),
    "depth 49": nested(49),
    "iss missing": with_claims(iss=None),
    "iss number": with_claims(iss=7),
    "iss upper case": with_claims(iss="Agency"),
    "iss too long": with_claims(iss="a" * 65),
    "iss newline": with_claims(iss="agency\n"),
    "iss empty": with_claims(iss=""),
    "iss not ASCII": with_claims(iss="zürich"),
    "aud missing": with_claims(aud=None),
    "aud list": with_claims(aud=[AUD]),
    "aud no chain id": with_claims(aud="test"),
    "jti missing": with_claims(jti=None),
    "jti space": with_claims(jti="a b"),
    "jti too long": with_claims(jti="a" * 65),
    "jti other digits": with_claims(jti="\u0661"),
    "exp missing": with_claims(exp=None),
    "exp string": with_claims(exp="1750003600"),
    "exp boolean": with_claims(exp=True),
    "exp negative": with_claims(exp=-1),
    "iat string": with_claims(iat="now"),
    "iat boolean": with_claims(iat=False),
    "nbf": with_claims(nbf=1),
    "ops missing": with_claims(ops=None),
    "ops empty": with_claims(ops=[]),
    "ops object": with_claims(ops={"op": "x"}),
    "operation string": with_claims(ops=["x"]),
    "operation without op": with_claims(ops=[{"type": "x"}]),
    "op number": with_claims(ops=[{"op": 1}]),
    "before the number of operations": with_claims(ops=[{"op": "x"}] * 17 + [1]),
}


@pytest.mark.parametrize("name", PAYLOADS)
def test_payload_invalid(name: str) -> None:
    assert reason(PAYLOADS[name]) == "TX_PAYLOAD_INVALID"


def test_depth_16_is_allowed() -> None:
    assert decode(nested(48)).ops[0]["op"] == "x"


def test_too_many_operations() -> None:
    raw = with_claims(ops=[{"op": "x"}] * 3)
    assert len(decode(raw, operations_max=3).ops) == 3
    assert reason(raw, operations_max=2) == "TX_TOO_MANY_OPERATIONS"


def test_the_reader_agrees_with_a_plain_base64_reader() -> None:
    tx = decode(GOOD)
    payload = base64.urlsafe_b64decode(P + b"=" * (-len(P) % 4))
    assert json.loads(payload)["ops"] == list(tx.ops)
