"""Unmodified JOSE libraries make transactions: PyJWT, joserfc and npm's jose."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from joserfc import jwt as joserfc_jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import OKPKey

from ledger import receipt as receipts
from ledger import receipt_check
from node.authoring.compiler import compile_source
from node.authoring.source import parse
from node.client import RpcRefusal
from tests.builders import signer
from tests.integration.network import Net, client_operation, document

pytestmark = pytest.mark.process
PARTY = "treasury"
TYP = "muniment+jwt"
Sign = Callable[[dict[str, Any], dict[str, Any], str], str]
"""(claims, private JWK, alg) -> compact JWS."""

SCRIPT = """
import { SignJWT, importJWK } from 'jose'
let text = ''
for await (const chunk of process.stdin) text += chunk
const { claims, jwk, alg } = JSON.parse(text)
const header = { alg, kid: jwk.kid, typ: 'muniment+jwt' }
const key = await importJWK(jwk, alg)
process.stdout.write(await new SignJWT(claims).setProtectedHeader(header).sign(key))
"""


def with_pyjwt(claims: dict[str, Any], jwk: dict[str, Any], alg: str) -> str:
    """PyJWT names the algorithm EdDSA only (RFC 8037)."""
    key = jwt.PyJWK.from_dict(jwk, algorithm="EdDSA").key
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": jwk["kid"], "typ": TYP})


def with_joserfc(claims: dict[str, Any], jwk: dict[str, Any], alg: str) -> str:
    """joserfc knows both names."""
    header = {"alg": alg, "kid": jwk["kid"], "typ": TYP}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # it calls the name EdDSA deprecated
        return joserfc_jwt.encode(header, claims, OKPKey.import_key(jwk), algorithms=[alg])


@pytest.fixture(scope="module")
def with_jose(tmp_path_factory: pytest.TempPathFactory) -> Sign:
    """npm's jose in node, installed for this test alone."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("npm is not installed: type as root: apt-get install -y npm")
    folder = tmp_path_factory.mktemp("jose")
    (folder / "package.json").write_text('{"private":true,"type":"module"}')
    (folder / "sign.js").write_text(SCRIPT)
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "jose@6"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
    if done.returncode != 0:
        pytest.skip(f"npm could not install jose: {done.stderr.decode()[-300:]}")

    def sign(claims: dict[str, Any], jwk: dict[str, Any], alg: str) -> str:
        text = json.dumps({"claims": claims, "jwk": jwk, "alg": alg})
        made = subprocess.run(
            [node, "sign.js"],
            input=text.encode(),
            cwd=folder,
            capture_output=True,
            timeout=30,
            check=True,
        )
        return made.stdout.decode()

    return sign


@pytest.fixture(params=["PyJWT", "joserfc", "jose"])
def sign(request: pytest.FixtureRequest) -> Sign:
    """Each library in turn."""
    if request.param == "jose":
        made: Sign = request.getfixturevalue("with_jose")
        return made
    return with_pyjwt if request.param == "PyJWT" else with_joserfc


def private_jwk(net: Net) -> dict[str, Any]:
    """The party's key file."""
    path = Path(net.folder / "clients" / f"{PARTY}.jwk")
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519"])
def test_nested_operations_commit(
    net: Net, sign: Sign, alg: str, request: pytest.FixtureRequest
) -> None:
    name = request.node.name
    party = "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-")
    keys = [signer(f"{name} {number}") for number in range(3)]
    operations = [client_operation(net.chain, party, *keys), document(1), document(2)]
    fate = net.commit(sign(net.claims(PARTY, operations), private_jwk(net), alg))
    assert fate["status"] == "committed"
    for index in range(4):
        net.call(index, "tx_wait", id=fate["id"])
        held = net.call(index, "party_get", party=party)["party"]
        assert len(held["keys"]) == 3
    entry = net.call(0, "tx_get", id=fate["id"])["entry"]
    assert [set(result) for result in entry["results"]] == [{"party"}, *[{"record", "seq"}] * 2]


def test_text_beyond_ascii_is_read_and_refused_by_its_field(net: Net, sign: Sign) -> None:
    # No field of an operation is free text: codes and ids are ASCII. The payload is decoded, so
    # the reason names the field, not the encoding.
    jwk = private_jwk(net)
    for operation, reason in (
        ({**document(), "title_code": "Zürich"}, "TX_SCHEMA_INVALID"),
        ({**document(), "Gemeinde": "Zürich"}, "TX_SCHEMA_INVALID"),
        ({**document(), "op": "Grundbuch.Zürich"}, "TX_UNKNOWN_OPERATION"),
    ):
        compact = sign(net.claims(PARTY, [operation]), jwk, "EdDSA")
        with pytest.raises(RpcRefusal) as caught:
            net.call(0, "tx_submit", tx=compact)
        assert caught.value.reason == reason
    compact = sign(net.claims(PARTY, [document()], jti="Zürich"), jwk, "EdDSA")
    assert net.refusal(0, "tx_submit", tx=compact).reason == "TX_PAYLOAD_INVALID"


PLACES = """
service: places
version: 1
title: places
types:
  town:
    fields:
      name: {kind: string, pattern: ".+", max: 64}
      parts: {kind: list, items: {kind: string, pattern: ".+", max: 64}}
      registrant: party
    states: [listed, gone]
    final: [gone]
    transitions:
      create: {to: listed, by: party(registrant)}
      remove: {from: listed, to: gone, by: party(registrant)}
"""


@pytest.fixture(scope="module")
def places(net: Net) -> str:
    """A service that keeps names of places, voted in by three of the four agencies."""
    definition, problems = compile_source(parse(PLACES))
    assert definition is not None, problems
    proposal = {
        "op": "gov.propose",
        "proposal": "places-1",
        "kind": "activate",
        "body": {"definition": json.loads(definition.encode())},
        "rationale": "0" * 64,
        "effective_height": 0,
        "until": int(time.time()) + 3_600,
    }
    vote = {"op": "gov.vote", "proposal": "places-1", "accept": True}
    for party, operation in (
        ("health-agency", proposal),
        ("land-registry", vote),
        ("interior-ministry", vote),
    ):
        jwk = json.loads((net.folder / "clients" / f"{party}.jwk").read_bytes())
        fate = net.commit(with_pyjwt(net.claims(party, [operation]), jwk, "EdDSA"))
        assert fate["status"] == "committed", fate
    return "places-town"


def test_text_beyond_ascii_commits_unchanged(net: Net, sign: Sign, places: str) -> None:
    data = {"name": "Zürich", "parts": ["Höngg", "Wiedikon 𝄞"], "registrant": PARTY}
    operation = {"op": "record.create", "type": places, "version": 1, "data": data}
    compact = sign(net.claims(PARTY, [operation]), private_jwk(net), "EdDSA")
    fate = net.commit(compact)
    assert fate["status"] == "committed", fate
    entry = net.call(0, "tx_get", id=fate["id"])
    assert entry["tx"] == compact, "the bytes are stored as received"
    record = entry["entry"]["results"][0]["record"]
    for index in range(4):
        net.call(index, "tx_wait", id=fate["id"])
        assert net.call(index, "record_get", id=record)["record"]["data"] == data
    receipt = net.call(0, "tx_receipt", id=fate["id"])
    made = receipts.from_json(receipt)
    assert receipt_check.verify(made, genesis_hash=net.genesis.hash).tx == fate["id"]


def test_a_foreign_signature_with_another_key_is_refused(net: Net, sign: Sign) -> None:
    jwk = private_jwk(net)
    other = json.loads((net.folder / "clients" / "land-registry.jwk").read_bytes())
    forged = {**other, "kid": jwk["kid"]}
    try:
        compact = sign(net.claims(PARTY, [document()]), forged, "EdDSA")
    except ValueError:
        return  # a library that compares the kid itself
    assert net.refusal(0, "tx_submit", tx=compact).reason == "TX_SIGNATURE_INVALID"
