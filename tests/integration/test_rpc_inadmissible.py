"""Every inadmissible reason through the RPC door, in the order of formats section 3."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ledger import base64url, transaction
from ledger.crypto import Ed25519Signer
from ledger.parameters import Parameters
from tests.builders import kid_of, signer
from tests.integration.network import AGENCIES, Net, client_operation, document, network

pytestmark = pytest.mark.process
HEALTH, LAND = AGENCIES[:2]


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    """A network whose limits are within a test's reach."""
    parameters = Parameters(
        transaction_bytes_max=4096,
        operations_max=2,
        marks_per_party_max=16,
        keys_per_party_max=2,
        checkpoint_interval=4,
    )
    with network(tmp_path_factory.mktemp("limits"), parameters=parameters) as running:
        yield running


def compact(header: Any, payload: Any, key: Ed25519Signer) -> str:
    """A JWS of any header and payload; bytes are taken as they are."""
    parts = [
        part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)
    ]
    text = ".".join(base64url.encode(part) for part in parts)
    return f"{text}.{base64url.encode(key.sign(text.encode()))}"


def cases(net: Net) -> dict[str, list[str]]:
    """Transactions by the reason that each must be refused with."""
    key = net.signer(HEALTH)
    header = {"alg": "Ed25519", "kid": kid_of(key), "typ": "muniment+jwt"}
    good = net.claims(HEALTH, [document(1)])
    whole = compact(header, good, key)
    now = int(time.time())
    return {
        "TX_TOO_LARGE": ["A" * 4097, whole + "A" * 4096],
        "TX_MALFORMED": [
            "a",
            "a.b",
            whole + ".",
            whole + "=",
            whole[:-4],
            whole.replace(".", " ", 1),
            "Zürich",
            whole.replace("e", "é", 1),
        ],
        "TX_HEADER_INVALID": [
            compact({**header, "alg": "none"}, good, key),
            compact({**header, "alg": "ES256"}, good, key),
            compact({**header, "typ": "JWT"}, good, key),
            compact({**header, "crit": []}, good, key),
            compact({**header, "kid": "short"}, good, key),
            compact({name: header[name] for name in ("alg", "kid")}, good, key),
            compact(b"{", good, key),
        ],
        "TX_PAYLOAD_INVALID": [
            compact(header, b'{"iss":1,"iss":2}', key),
            compact(header, {**good, "exp": now + 60.5}, key),
            compact(header, {**good, "exp": str(now)}, key),
            compact(header, {**good, "nbf": now}, key),
            compact(header, {**good, "ops": []}, key),
            compact(header, {**good, "iss": "Health"}, key),
            compact(header, {**good, "jti": "Zürich"}, key),
            compact(header, {**good, "iat": 2**53}, key),
            compact(header, {**good, "ops": [json.loads("[" * 20 + "]" * 20)]}, key),
            compact(header, b"\xef\xbb\xbf" + json.dumps(good).encode(), key),
            compact(header, b"\xff", key),
        ],
        **operation_cases(net),
        **state_cases(net),
    }


def operation_cases(net: Net) -> dict[str, list[str]]:
    """Signed transactions whose operations are not as they must be, or of another chain."""
    other = "other:" + "0" * 32
    return {
        "TX_TOO_MANY_OPERATIONS": [net.sign(HEALTH, *[document(i) for i in range(3)])],
        "TX_UNKNOWN_OPERATION": [net.sign(HEALTH, {"op": "document.burn"})],
        "TX_SCHEMA_INVALID": [
            net.sign(HEALTH, {**document(), "title": "x"}),
            net.sign(HEALTH, {**document(), "commitment": "AB" * 32}),
            net.sign(HEALTH, {"op": "document.register"}),
            net.sign(HEALTH, {**document(), "title_code": "Zürich"}),
        ],
        "TX_WRONG_CHAIN": [net.sign(HEALTH, document(), aud=other)],
    }


def state_cases(net: Net) -> dict[str, list[str]]:
    """Transactions that the keys or the clock do not admit."""
    key, stranger = net.signer(HEALTH), signer("stranger")
    good, now = net.claims(HEALTH, [document(1)]), int(time.time())
    whole = net.sign(HEALTH, document(1))
    return {
        "TX_UNKNOWN_KEY": [
            net.sign(HEALTH, document(), key=stranger),
            net.sign(LAND, document(), key=key),
            net.sign("nobody", document(), key=key),
        ],
        "TX_SIGNATURE_INVALID": [
            transaction.sign(good, stranger, kid_of(key)).decode(),
            whole[:-86] + base64url.encode(bytes(64)),
        ],
        "TX_EXPIRED": [net.sign(HEALTH, document(), exp=now), net.sign(HEALTH, document(), exp=0)],
        "TX_EXPIRY_TOO_FAR": [net.sign(HEALTH, document(), exp=now + 86_400 + 60)],
    }


def test_each_reason_is_said_by_submit_submit_many_and_check(net: Net) -> None:
    everything = cases(net)
    for reason, transactions in everything.items():
        for tx in transactions:
            error = net.refusal(0, "tx_submit", tx=tx)
            assert (error.code, error.reason) == (-32003, reason), tx[:80]
            assert error.data["retryable"] is False
            checked = net.call(1, "tx_check", tx=tx)
            assert (checked["admissible"], checked["reason"]) == (False, reason)
    good = net.sign(HEALTH, document(7))
    flat = [(reason, tx) for reason, many in everything.items() for tx in many]
    answer = net.call(2, "tx_submitMany", txs=[good, *(tx for _, tx in flat)])
    first, *others = answer["results"]
    assert first["status"] == "accepted"
    assert [item["error"]["data"]["reason"] for item in others] == [reason for reason, _ in flat]
    assert net.call(2, "tx_wait", id=first["id"])["status"] == "committed"


def test_a_retired_key_is_revoked_and_its_waiting_transactions_go(net: Net) -> None:
    old, new = signer("first key"), signer("second key")
    assert (
        net.commit(net.sign(LAND, client_operation(net.chain, "clinic", old)))["status"]
        == "committed"
    )
    assert net.commit(net.sign("clinic", document(20), key=old))["status"] == "committed"
    rotate = {
        **client_operation(net.chain, "clinic", new),
        "op": "party.rotate",
        "retire": [kid_of(old)],
    }
    del rotate["kind"]
    assert net.commit(net.sign("clinic", rotate, key=old))["status"] == "committed"
    error = net.refusal(0, "tx_submit", tx=net.sign("clinic", document(21), key=old))
    assert (error.code, error.reason) == (-32003, "TX_KEY_REVOKED")
    assert net.commit(net.sign("clinic", document(21), key=new))["status"] == "committed"


def test_a_replay_names_the_first_transaction_wherever_it_stands(net: Net) -> None:
    first = net.sign("treasury", document(30), jti="same")
    again = net.sign("treasury", document(31), jti="same")
    fate = net.commit(first)
    for index in range(4):
        net.call(index, "tx_wait", id=fate["id"])
        error = net.refusal(index, "tx_submit", tx=again)
        assert (error.reason, error.data["id"]) == ("TX_REPLAYED", fate["id"])
    assert net.call(0, "tx_submit", tx=first) == {"id": fate["id"], "status": "known"}


def test_an_agency_with_all_its_marks_taken_waits_and_others_do_not(net: Net) -> None:
    party = AGENCIES[3]
    for number in range(16):
        net.commit(net.sign(party, document(100 + number)))
    error = net.refusal(0, "tx_submit", tx=net.sign(party, document(116)))
    assert (error.code, error.reason) == (-32003, "PARTY_MARKS_FULL")
    assert net.commit(net.sign("treasury", document(40)))["status"] == "committed"


def test_a_transaction_that_expires_unseen_says_so_at_once(net: Net) -> None:
    # Two of four are down, so nothing commits; the waiter hears of the expiry, not of its timeout.
    net.kill(2, 3)
    tx = net.sign("treasury", document(50), exp=int(time.time()) + 3)
    txid = net.call(0, "tx_submit", tx=tx)["id"]
    started = time.monotonic()
    fate = net.call(0, "tx_wait", 40, id=txid, timeout_ms=30_000)
    assert fate["status"] == "expired"
    assert time.monotonic() - started < 10
    net.start(2, 3)
    assert net.commit(net.sign("treasury", document(51)), seconds=40)["status"] == "committed"
    net.wait_equal()
