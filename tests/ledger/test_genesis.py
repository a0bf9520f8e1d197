"""The genesis document: kept byte for byte, and every rule of it refused when broken."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509

from ledger import base64url, canonical
from ledger.crypto import sha256
from ledger.genesis import Genesis
from ledger.ids import Kid, PartyId, chain_id
from ledger.jwk import Jwk, PrivateJwk
from ledger.parameters import BOUNDS
from ledger.signed_text import approval_text, possession_text
from tests.builders import kid_of, make_genesis, seed, signer

KIT = make_genesis(4)
DOCUMENT = KIT.genesis.to_json()
Document = dict[str, Any]


def test_round_trip_keeps_the_bytes() -> None:
    data = KIT.genesis.encode()
    assert data == canonical.encode_any(DOCUMENT)
    genesis = Genesis.decode(data)
    assert genesis == Genesis.from_json(DOCUMENT) == KIT.genesis
    assert genesis.encode() == data
    assert genesis.hash == sha256(data)
    assert genesis.chain == f"test:{sha256(data).hex()[:32]}"
    assert set(DOCUMENT) == {"type", "name", "time_ms", "parameters", "agencies", "members"}
    assert set(DOCUMENT["parameters"]) == set(BOUNDS)


def test_optional_jwk_members_are_kept_as_written() -> None:
    document = copy.deepcopy(DOCUMENT)
    del document["agencies"][0]["keys"][0]["use"]
    kid = kid_of(KIT.agency_signers["agency-1"])
    document["agencies"][1]["keys"][0]["kid"] = kid
    document["agencies"][1]["keys"].append(PrivateJwk.encryption(seed("x")).public.to_json())
    data = canonical.encode_any(document)
    genesis = Genesis.decode(data)
    assert genesis.encode() == data
    assert genesis.agencies[1].jwks()[0].kid == kid


def test_validators_of_epoch_0() -> None:
    validators = KIT.genesis.validators()
    assert (validators.epoch, len(validators), validators.quorum) == (0, 4, 3)
    assert [m.name for m in validators.members] == [f"member-{i}" for i in range(4)]
    assert validators.vote_keys == tuple(key.public_key for key in KIT.vote_signers)
    for member in validators.members:
        x509.load_der_x509_certificate(base64url.decode(member.transport_certificate))


def member(i: int, **changes: Any) -> Callable[[Document], None]:
    return lambda document: document["members"][i].update(changes)


def agency(i: int, **changes: Any) -> Callable[[Document], None]:
    return lambda document: document["agencies"][i].update(changes)


def whole(**changes: Any) -> Callable[[Document], None]:
    return lambda document: document.update(changes)


def parameter(name: str, value: Any) -> Callable[[Document], None]:
    return lambda document: document["parameters"].update({name: value})


def without(*path: str | int) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        inner: Any = document
        for step in path[:-1]:
            inner = inner[step]
        del inner[path[-1]]

    return change


def proof(name: str, chain: str = "test", label: str = "test vote 0") -> str:
    key = signer(label)
    return base64url.encode(key.sign(possession_text(chain, name, kid_of(key))))


FIRST, SECOND = DOCUMENT["members"][0], DOCUMENT["members"][1]
JWK_0 = DOCUMENT["agencies"][0]["keys"][0]
SMALL_ORDER = Jwk.signing(bytes(32)).to_json()
AGENCY_KEY_0 = base64url.encode(signer("test agency 0").public_key)
BROKEN: dict[str, Callable[[Document], None]] = {
    "type": whole(type="muniment-genesis-v2"),
    "no type": without("type"),
    "unknown member": whole(note="x"),
    "name": whole(name="-test"),
    "name not a string": whole(name=1),
    "time negative": whole(time_ms=-1),
    "time too large": whole(time_ms=2**53),
    "time boolean": whole(time_ms=True),
    "no agencies": whole(agencies=[]),
    "no members": whole(members=[]),
    "parameter missing": without("parameters", "window"),
    "parameter unknown": parameter("gas", 1),
    "agency id": agency(0, id="Agency-0"),
    "agency twice": agency(1, id="agency-0"),
    "agency title": agency(0, title_code="A title"),
    "agency without keys": agency(0, keys=[]),
    "agency key twice": agency(0, keys=[JWK_0, JWK_0]),
    "agency with another's key": agency(1, keys=[JWK_0]),
    "agency key of small order": agency(0, keys=[SMALL_ORDER]),
    "agency key not a JWK": agency(0, keys=[{"kty": "OKP"}]),
    "agency with too many keys": agency(
        0, keys=[Jwk.signing(signer(f"k{i}").public_key).to_json() for i in range(9)]
    ),
    "agency that can only receive": agency(
        0, keys=[PrivateJwk.encryption(seed("x")).public.to_json()]
    ),
    "recovery key missing": without("agencies", 0, "recovery_key"),
    "recovery key is a key": agency(0, recovery_key=JWK_0),
    "recovery key cannot sign": agency(
        0, recovery_key=PrivateJwk.encryption(seed("x")).public.to_json()
    ),
    "recovery key of small order": agency(0, recovery_key=SMALL_ORDER),
    "member name": member(0, name="Member 0"),
    "member name twice": member(1, name="member-0"),
    "member of no agency": member(0, agency="nobody"),
    "member key twice": member(
        1,
        vote_key=FIRST["vote_key"],
        vote_key_proof=proof("member-1"),
    ),
    "member key is an agency's": member(
        0, vote_key=AGENCY_KEY_0, vote_key_proof=proof("member-0", label="test agency 0")
    ),
    "member key of small order": member(0, vote_key=base64url.encode(bytes(32))),
    "member key short": member(0, vote_key="AAAA"),
    "member key padded": member(0, vote_key=FIRST["vote_key"] + "="),
    "proof of another member": member(0, vote_key_proof=SECOND["vote_key_proof"]),
    "proof for another name": member(0, vote_key_proof=proof("member-1")),
    "proof for another chain": member(0, vote_key_proof=proof("member-0", chain="prod")),
    "proof empty": member(0, vote_key_proof=""),
    "proof missing": without("members", 0, "vote_key_proof"),
    "certificate empty": member(0, transport_certificate=""),
    "certificate not base64url": member(0, transport_certificate="MII+"),
    "certificate too large": member(0, transport_certificate="AAAA" * 1366),
    "certificate twice": member(1, transport_certificate=FIRST["transport_certificate"]),
    "address without port": member(0, address="example.org"),
    "address with port 0": member(0, address="example.org:0"),
    "address with port 65536": member(0, address="example.org:65536"),
    "address with a path": member(0, address="http://example.org:1"),
    "address empty": member(0, address=":7000"),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_is_refused(rule: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    BROKEN[rule](document)
    with pytest.raises(ValueError):
        Genesis.decode(canonical.encode_any(document))
    with pytest.raises(ValueError):
        Genesis.from_json(document)


@pytest.mark.parametrize("name", BOUNDS)
def test_parameters_have_compiled_bounds(name: str) -> None:
    low, high = BOUNDS[name]
    for value, good in ((low, True), (high, True), (low - 1, False), (high + 1, False)):
        document = copy.deepcopy(DOCUMENT)
        parameter("block_cost_max", BOUNDS["block_cost_max"][1])(document)
        parameter(name, value)(document)
        data = canonical.encode_any(document)
        if good:
            assert getattr(Genesis.decode(data).parameters, name) == value
        else:
            with pytest.raises(ValueError, match=name):
                Genesis.decode(data)


@pytest.mark.parametrize("address", ["[2001:db8::1]:26656", "val-1.gov.example:443", "10.0.0.1:1"])
def test_addresses(address: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    member(0, address=address)(document)
    assert Genesis.from_json(document).members[0].address == address


def test_other_spellings_are_refused() -> None:
    data = KIT.genesis.encode()
    duplicate = data[:-1] + b',"type":"muniment-genesis-v1"}'
    for spelling in (data + b"\n", b" " + data, data.replace(b"test", b"te\\u0073t", 1), duplicate):
        with pytest.raises(ValueError):
            Genesis.decode(spelling)
    with pytest.raises(ValueError, match="bytes"):
        Genesis.decode(b" " * (4 * 1024 * 1024 + 1))


def test_a_document_for_another_name_has_another_chain() -> None:
    assert make_genesis(4, name="prod").chain.startswith("prod:")
    assert make_genesis(1).genesis.validators().quorum == 1
    assert make_genesis(4).genesis.hash == KIT.genesis.hash


def test_a_chain_id_needs_a_chain_name() -> None:
    assert chain_id("a-1", KIT.genesis.hash) == f"a-1:{KIT.genesis.hash.hex()[:32]}"
    for name in ("", "-a", "a-", "A", "a" * 33, "a\n", "a:b"):
        with pytest.raises(ValueError):
            chain_id(name, KIT.genesis.hash)


def test_approval_text_leaves_signatures_out() -> None:
    bare = {"op": "party.rotate", "party": "p", "keys": [{"x": "ü"}]}
    full = {**bare, "approvals": [{"agency": "a"}], "recovery": "AAAA"}
    text = approval_text(KIT.chain, PartyId("agency-0"), "j1", 2, full)
    digest = sha256(canonical.encode_any(bare)).hex()
    assert text == f"muniment-approval-v1\n{KIT.chain}\nagency-0\nj1\n2\n{digest}\n".encode()
    assert possession_text("c", "n", Kid("k")) == b"muniment-possession-v1\nc\nn\nk\n"
