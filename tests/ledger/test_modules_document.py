"""document.*: every result and every refusal of docs/spec/operations.md."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest

from ledger import canonical
from ledger.modules.document import ATTESTATIONS_MAX
from node.authoring.stage import Stage
from tests.builders import make_genesis, signer
from tests.chain import Chain, document
from tests.services.hostile import Play, plain


@pytest.fixture
def chain() -> Chain:
    chain = Chain()
    assert chain.run("agency-0", chain.client("clerk", signer("clerk")))["status"] == "committed"
    return chain


def _register(chain: Chain, party: str = "clerk") -> str:
    key = signer("clerk") if party == "clerk" else None
    record: str = chain.run(party, document(), key=key)["results"][0]["record"]
    return record


def _attest(record: str) -> dict[str, Any]:
    return {"op": "document.attest", "id": record}


def _revoke(record: str) -> dict[str, Any]:
    return {"op": "document.revoke", "id": record, "reason_code": "error"}


def test_a_registered_document_is_the_record_of_the_specification(chain: Chain) -> None:
    entry = chain.run("clerk", document(), key=signer("clerk"), jti="x1")
    text = f"muniment-record-v1\n{chain.kit.chain}\nclerk\nx1\n0\n"
    record = "deed/" + sha256(text.encode()).hexdigest()[:32]
    assert entry["results"] == [{"record": record, "seq": 0}]
    value = chain.value(f"record/{record}")
    assert value == {
        "id": record,
        "type": "deed",
        "def": "document@1",
        "state": "registered",
        "party": "clerk",
        "agency": "agency-0",
        "data": {"title_code": "title", "commitment": "ab" * 32},
        "attestations": [],
        "tx": entry["tx"],
        "height": chain.height,
        "seq": 0,
        "prev": "0" * 64,
    }
    assert chain.state.get(f"record/{record}".encode()) == canonical.encode_any(value)


def test_attestations_and_revocation_make_versions(chain: Chain) -> None:
    record = _register(chain)
    key = f"record/{record}".encode()
    first = chain.state.get(key)
    assert first is not None
    entry = chain.run("agency-1", _attest(record))
    assert entry["results"] == [{"record": record, "seq": 1}]
    second = chain.state.get(key)
    assert second is not None
    assert json.loads(second)["prev"] == sha256(first).hexdigest()
    assert json.loads(second)["attestations"] == [
        {"agency": "agency-1", "tx": entry["tx"], "height": chain.height}
    ]
    assert chain.state.read(b"v" + key + b"\x00" + bytes(8)) == first
    assert chain.run("agency-0", _revoke(record))["results"] == [{"record": record, "seq": 2}]
    value = chain.value(f"record/{record}")
    assert value["state"] == "revoked"
    assert value["data"]["reason_code"] == "error"
    assert chain.state.read(b"v" + key + b"\x00" + (1).to_bytes(8, "big")) == second


def test_the_registrant_may_revoke(chain: Chain) -> None:
    entry = chain.run("clerk", _revoke(_register(chain)), key=signer("clerk"))
    assert entry["status"] == "committed"


def test_refusals(chain: Chain) -> None:
    record = _register(chain)
    unknown = "deed/" + "0" * 32
    assert chain.run("agency-1", _attest(unknown))["reason"] == "RECORD_UNKNOWN"
    assert chain.run("agency-1", _revoke(unknown))["reason"] == "RECORD_UNKNOWN"
    assert chain.run("agency-0", _attest(record))["reason"] == "NOT_AUTHORISED"
    assert chain.run("clerk", _attest(record), key=signer("clerk"))["reason"] == "NOT_AUTHORISED"
    assert chain.run("agency-1", _revoke(record))["reason"] == "NOT_AUTHORISED"
    assert chain.run("agency-1", _attest(record))["status"] == "committed"
    assert chain.run("agency-1", _attest(record))["reason"] == "ALREADY_ATTESTED"
    assert chain.run("agency-0", _revoke(record))["status"] == "committed"
    assert chain.run("agency-2", _attest(record))["reason"] == "RECORD_REVOKED"
    assert chain.run("agency-0", _revoke(record))["reason"] == "RECORD_REVOKED"


def test_sixty_four_attestations_are_enough() -> None:
    chain = Chain(make_genesis(ATTESTATIONS_MAX + 2))
    record = chain.run("agency-0", document())["results"][0]["record"]
    ops = [_attest(record)]
    entries = chain.block(
        *(chain.kit.sign(f"agency-{n}", "x", ops) for n in range(1, ATTESTATIONS_MAX + 2))
    )
    assert [e["status"] for e in entries[:-1]] == ["committed"] * ATTESTATIONS_MAX
    assert entries[-1]["reason"] == "ATTESTATIONS_FULL"


@pytest.mark.parametrize("op", [document(), _attest("deed/" + "0" * 32), _revoke("a/" + "0" * 32)])
def test_a_party_that_revoked_itself_may_do_nothing_more(chain: Chain, op: dict[str, Any]) -> None:
    revocation = {"op": "party.revoke", "party": "clerk", "kids": [], "reason_code": "left"}
    entry = chain.run("clerk", revocation, op, key=signer("clerk"))
    assert (entry["reason"], entry["operation"]) == ("PARTY_REVOKED", 1)
    assert chain.value("party/clerk")["status"] == "active"


def test_a_record_of_another_definition_is_no_document(chain: Chain) -> None:
    record = _register(chain)
    key = f"record/{record}".encode()
    draft = chain.state.draft()
    draft.put(key, canonical.encode({**chain.value(f"record/{record}"), "def": "permit@1"}))
    chain.state = draft.seal()
    assert chain.run("agency-1", _attest(record))["reason"] == "RECORD_UNKNOWN"


FORGED = {"op": "document.register", "title_code": "x", "commitment": "0" * 64}


def test_no_document_is_of_a_services_type() -> None:
    play = Play()
    for name in ("odd-box", "odd-slip"):
        assert play.do({**FORGED, "type": name}) == "TYPE_RESERVED"
    assert play.do({**FORGED, "type": "odd-lid"}) == ""
    made = {**plain(), "version": 2}
    made["types"]["lid"] = made["types"].pop("slip")
    made["types"]["box"]["aggregates"] = {}
    made["types"]["box"]["fields"]["other"]["types"] = ["odd-box"]
    made["types"]["lid"]["fields"]["box"]["types"] = ["odd-box"]
    assert play.stage.govern("activate", {"definition": made})["reason"] == ""
    assert play.do({**FORGED, "type": "odd-lid"}) == "TYPE_RESERVED"
    assert play.do({**FORGED, "type": "odd-slip"}) == "TYPE_RESERVED", "records of it may live on"


def test_a_document_does_not_pass_for_a_record_of_a_service() -> None:
    """One that was registered before the service came."""
    stage = Stage()
    stage.add_party("ann", "town")
    entry = stage.run("ann", [{**FORGED, "type": "odd-box"}])
    other = entry["results"][0]["record"]
    play = Play(stage=stage)
    assert play.do(play.create({"owner": "ann", "other": other})) == "DATA_INVALID"
    assert play.do(play.act(other)) == "RECORD_UNKNOWN"
