"""Every method of docs/spec/rpc.md answers, says where it stands, and agrees with the others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ledger import receipt as receipts
from ledger import receipt_check
from ledger.ids import hash_from_hex
from ledger.parameters import Parameters
from ledger.state_proof import Proof, verify
from node.client import RpcRefusal
from node.methods import document as openrpc_document
from tests.integration.network import AGENCIES, Net, document, network, rpc_bytes

pytestmark = pytest.mark.process
PLAUSIBLE = {
    "unit": "funds.eur",
    "account": "party:treasury#own",
    "service": "permits",
    "proposal": "p-1",
    "party": "treasury",
    "record": f"permits-permit/{'0' * 32}",
    "pending": "0" * 16,
}
"""Values of required parameters for methods that need nothing from this chain."""
SUBSCRIPTION = {"subscribe": {"topic": "blocks"}, "unsubscribe": {"subscription": "s"}}
"""Parameters of methods that live on a WebSocket only."""
STANDING = (
    "chain_getBlock",
    "chain_getHeader",
    "chain_getCertificate",
    "chain_getEpochs",
    "chain_getValidators",
    "chain_getCheckpoint",
    "chain_listBlocks",
)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A network with frequent checkpoints and some documents."""
    parameters = Parameters(checkpoint_interval=2, block_interval_max_ms=1_000)
    with network(tmp_path_factory.mktemp("methods"), parameters=parameters) as running:
        for number in range(5):
            running.commit(running.sign(AGENCIES[number % 4], document(number)))
        running.wait_equal()
        yield running


def test_every_method_answers(net: Net) -> None:
    fate = net.commit(net.sign("treasury", document(50)))
    record = net.call(0, "tx_get", id=fate["id"])["entry"]["results"][0]["record"]
    by_height = {"height": fate["height"]}
    parameters: dict[str, dict[str, Any]] = {
        "tx_submit": {"tx": net.sign("treasury", document(51))},
        "tx_submitMany": {"txs": [net.sign("treasury", document(52))]},
        "tx_check": {"tx": net.sign("treasury", document(53))},
        **{key: {"id": fate["id"]} for key in ("tx_get", "tx_wait", "tx_receipt")},
        **dict.fromkeys(
            (
                "chain_getBlock",
                "chain_getHeader",
                "chain_getCertificate",
                "chain_getValidators",
            ),
            by_height,
        ),
        **{key: {"key": "party/treasury"} for key in ("state_get", "state_getProof")},
        **{key: {"id": record} for key in ("record_get", "record_history", "record_getProof")},
        "record_list": {"type": "permit", "limit": 2},
        "party_get": {"party": "treasury"},
    }
    methods = openrpc_document()["methods"]
    assert set(parameters) <= {method["name"] for method in methods}
    for method in methods:
        name = method["name"]
        required = [item["name"] for item in method["params"] if item["required"]]
        if name in ("subscribe", "unsubscribe"):
            assert net.refusal(1, name, **SUBSCRIPTION[name]).code == -32601, name
            continue
        params = parameters.get(name) or {key: PLAUSIBLE[key] for key in required}
        try:
            answer = net.call(1, name, **params)
        except RpcRefusal as error:  # no service was installed here: there is none of that name
            assert (error.code, name in parameters) == (-32001, False), name  # noqa: PT017
            continue
        assert answer
        if name.split("_")[0] in ("state", "record", "party") or name in STANDING:
            assert set(answer["at"]) == {"height", "block_hash"}, name


def test_nodes_agree_and_what_is_missing_has_a_reason(net: Net) -> None:
    net.wait_equal()
    blocks = [net.call(index, "chain_getBlock", height=2) for index in range(4)]
    for block in blocks:
        del block["at"]
    assert all(block == blocks[0] for block in blocks)
    missing = "0" * 64
    for method, params, reason in (
        ("tx_receipt", {"id": missing}, "TX_UNKNOWN"),
        ("chain_getBlock", {"height": 10**6}, "BLOCK_UNKNOWN"),
        ("chain_getHeader", {"height": 10**6}, "BLOCK_UNKNOWN"),
        ("chain_getCheckpoint", {"height": 1}, "BLOCK_UNKNOWN"),
        ("record_get", {"id": f"permit/{'0' * 32}"}, "RECORD_UNKNOWN"),
        ("record_history", {"id": f"permit/{'0' * 32}"}, "RECORD_UNKNOWN"),
        ("party_get", {"party": "nobody"}, "PARTY_UNKNOWN"),
    ):
        error = net.refusal(0, method, **params)
        assert (error.code, error.reason) == (-32001, reason)
    assert net.call(0, "tx_get", id=missing)["status"] == "unknown"
    assert net.call(0, "tx_wait", id=missing, timeout_ms=0)["status"] == "unknown"
    assert net.call(0, "state_get", key="nothing")["value"] is None


def test_parameters_are_strict_and_never_echoed(net: Net) -> None:
    secret = "s3cret-value"
    for method, params in (
        ("tx_get", {"id": secret}),
        ("tx_get", {"id": "0" * 64, "extra": secret}),
        ("tx_get", {}),
        ("tx_wait", {"id": "0" * 64, "timeout_ms": 60_001}),
        ("tx_submit", {"tx": 7}),
        ("tx_submitMany", {"txs": []}),
        ("tx_submitMany", {"txs": ["x"] * 101}),
        ("chain_listBlocks", {"limit": 0}),
        ("chain_getBlock", {"height": -1}),
        ("record_list", {"type": "permit", "cursor": "deed/x"}),
        ("party_get", {"party": "Ä"}),
    ):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = rpc_bytes(net.info.nodes[0].rpc, json.dumps(body).encode())
        assert json.loads(answer)["error"]["code"] == -32602, method
        assert secret.encode() not in answer


def test_lists_page_through_everything_once(net: Net) -> None:
    records: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        page = net.call(0, "record_list", type="permit", limit=2, **cursor)
        assert page["complete"] is False
        records += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert records == sorted(set(records))
    assert len(records) >= 5
    heights: list[int] = []
    before: dict[str, Any] = {}
    while True:
        page = net.call(0, "chain_listBlocks", limit=3, **before)
        heights += [item["height"] for item in page["items"]]
        if page["next_before"] is None:
            break
        before = {"before": page["next_before"]}
    assert heights == list(range(heights[0], -1, -1))


def test_receipts_and_proofs_hold_offline(net: Net) -> None:
    pinned = hash_from_hex(net.info.genesis_hash)
    for index in range(4):
        fate = net.commit(net.sign("treasury", document(60 + index)), index=index)
        value = net.call(index, "tx_receipt", id=fate["id"])
        verdict = receipt_check.verify(receipts.from_json(value), genesis_hash=pinned)
        assert (verdict.tx, verdict.height) == (fate["id"], fate["height"])
        proven = net.call(index, "state_getProof", key="party/treasury")
        root = hash_from_hex(proven["header"]["state_root"])
        proof = Proof.from_json(proven["proof"])
        assert verify(root, b"party/treasury", proven["value"].encode(), proof)
        assert not verify(root, b"party/treasury", b"{}", proof)


def test_checkpoints_are_signed_by_a_quorum(net: Net) -> None:
    note = net.call(0, "chain_getCheckpoint")
    assert note["height"] % 2 == 0
    lines = note["note"].split("\n")
    assert lines[0] == f"muniment.ledger/{net.chain}"
    assert int(lines[1]) == note["height"] + 1
    assert sum(line.startswith("— ") for line in lines) >= 3
    again = net.call(1, "chain_getCheckpoint", height=note["height"])
    assert again["note"].split("\n")[:3] == lines[:3]


def test_an_idle_chain_still_makes_blocks(net: Net) -> None:
    before = net.status(0)["height"]
    txid = "0" * 64
    net.call(0, "tx_wait", id=txid, timeout_ms=2_500)
    assert net.status(0)["height"] > before
