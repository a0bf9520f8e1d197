"""JWKs: one form each, strict, with the thumbprints of RFC 7638 and RFC 8037."""

from __future__ import annotations

from typing import Any

import pytest

from ledger import base64url
from ledger.jwk import Jwk, PrivateJwk, Use
from tests.builders import seed, signer

RFC8037_X = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
RFC8037_D = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
RFC8037_KID = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
SIGNING = {"kty": "OKP", "crv": "Ed25519", "x": RFC8037_X}
RECEIVER = PrivateJwk.encryption(seed("receiver"))
ENCRYPTION = RECEIVER.public.to_json()


def test_rfc_8037_example() -> None:
    jwk = Jwk.from_json(SIGNING)
    assert jwk.kid == RFC8037_KID
    assert jwk.use is Use.SIGNING
    assert jwk.is_valid
    pair = PrivateJwk.from_json({**SIGNING, "d": RFC8037_D})
    assert pair.signer().public_key == jwk.key


@pytest.mark.parametrize(
    "extra", [{}, {"use": "sig"}, {"kid": RFC8037_KID}, {"use": "sig", "kid": RFC8037_KID}]
)
def test_optional_members(extra: dict[str, str]) -> None:
    assert Jwk.from_json({**SIGNING, **extra}) == Jwk.from_json(SIGNING)


def test_json_round_trip_has_one_form() -> None:
    signing = Jwk.signing(signer("a").public_key)
    assert Jwk.from_json(signing.to_json()) == signing
    assert set(signing.to_json()) == {"kty", "crv", "x", "use"}
    assert Jwk.from_json(ENCRYPTION) == RECEIVER.public
    assert RECEIVER.public.use is Use.ENCRYPTION
    assert RECEIVER.public.is_valid


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "x",
        {},
        {**SIGNING, "kty": "EC"},
        {**SIGNING, "crv": "Ed448"},
        {**SIGNING, "crv": "P-256"},
        {**SIGNING, "x": RFC8037_X[:-1]},
        {**SIGNING, "x": RFC8037_X + "="},
        {**SIGNING, "x": RFC8037_X[:-1] + "p"},
        {**SIGNING, "x": base64url.encode(bytes(31))},
        {**SIGNING, "x": 1},
        {**SIGNING, "use": "enc"},
        {**SIGNING, "use": None, "kid": "A" * 43},
        {**SIGNING, "kid": "A" * 43},
        {**SIGNING, "d": RFC8037_D},
        {**SIGNING, "alg": "EdDSA"},
        {"kty": "OKP", "crv": "Ed25519"},
        {**ENCRYPTION, "use": "sig"},
        {name: part for name, part in ENCRYPTION.items() if name != "use"},
    ],
    ids=repr,
)
def test_other_shapes_are_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        Jwk.from_json(value)


def test_points_are_judged_apart_from_the_shape() -> None:
    small_order = Jwk.signing(bytes(32))
    assert not small_order.is_valid
    assert not Jwk.signing(b"\xff" * 32).is_valid
    with pytest.raises(ValueError):
        Jwk.signing(bytes(31))
    with pytest.raises(ValueError):
        Jwk.encryption(bytes(33))


def test_key_files() -> None:
    pair = PrivateJwk.signing(seed("a"))
    assert pair.public == Jwk.signing(signer("a").public_key)
    for each in (pair, RECEIVER):
        document = each.to_json()
        assert PrivateJwk.from_json(document) == each
        assert document["kid"] == each.public.kid
        assert document["d"] not in repr(each)
    with pytest.raises(ValueError):
        RECEIVER.signer()
    with pytest.raises(ValueError):
        PrivateJwk.signing(bytes(31))


@pytest.mark.parametrize("d", [None, 1, "", "AA", base64url.encode(seed("other"))], ids=repr)
def test_key_files_that_contradict_themselves(d: Any) -> None:
    for pair in (PrivateJwk.signing(seed("a")), RECEIVER):
        with pytest.raises(ValueError):
            PrivateJwk.from_json({**pair.to_json(), "d": d})
    with pytest.raises(ValueError):
        PrivateJwk.from_json([])
