"""Entries: one spelling each, and fields that agree with one another."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ledger import canonical, entry, merkle
from ledger.crypto import sha256
from ledger.entry import Status, TxEntry
from ledger.ids import Epoch, Height, TxId

TX = TxId(sha256(b"tx"))
COMMITTED = entry.committed_entry(Height(7), 0, TX, [{"record": "permit/0", "seq": 0}, {}])
REFUSED = entry.refused_entry(Height(7), 1, TX, "NOT_AUTHORISED", 2)
EPOCH = entry.epoch_entry(Height(7), 2, Epoch(1), sha256(b"set"))


def test_the_three_forms() -> None:
    base = {"type": "muniment-entry-v1", "height": 7}
    tx = {**base, "kind": "tx", "tx": TX.hex()}
    assert json.loads(COMMITTED) == {
        **tx,
        "index": 0,
        "status": "committed",
        "reason": "",
        "operation": -1,
        "results": [{"record": "permit/0", "seq": 0}, {}],
    }
    assert json.loads(REFUSED) == {
        **tx,
        "index": 1,
        "status": "refused",
        "reason": "NOT_AUTHORISED",
        "operation": 2,
        "results": [],
    }
    assert json.loads(EPOCH) == {
        **base,
        "kind": "epoch",
        "index": 2,
        "epoch": 1,
        "validators_hash": sha256(b"set").hex(),
    }
    for data in (COMMITTED, REFUSED, EPOCH):
        assert data == canonical.encode_any(json.loads(data))


def test_receipts_root() -> None:
    assert entry.receipts_root([]) == merkle.EMPTY_ROOT
    assert entry.receipts_root([COMMITTED, EPOCH]) == merkle.node_hash(
        merkle.leaf_hash(COMMITTED), merkle.leaf_hash(EPOCH)
    )


def test_round_trip() -> None:
    for data, status in ((COMMITTED, Status.COMMITTED), (REFUSED, Status.REFUSED)):
        parsed = TxEntry.from_json(json.loads(data))
        assert parsed.status is status
        assert parsed.encode() == data


CHANGES: list[dict[str, Any]] = [
    {"type": "muniment-entry-v2"},
    {"kind": "epoch"},
    {"kind": "timer"},
    {"height": -1},
    {"height": 2**53},
    {"index": -1},
    {"tx": "00"},
    {"status": "pending"},
    {"status": "refused"},
    {"reason": "X"},
    {"operation": 0},
    {"operation": True},
    {"results": {}},
    {"results": [1]},
    {"extra": 1},
]


@pytest.mark.parametrize("changes", CHANGES, ids=repr)
def test_other_shapes_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        TxEntry.from_json({**json.loads(COMMITTED), **changes})


def test_a_refusal_has_a_reason_and_at_most_one_result() -> None:
    good = json.loads(REFUSED)
    changed: list[dict[str, Any]] = [
        {"reason": ""},
        {"operation": -1},
        {"results": [{}, {}]},
        {"status": "committed"},
    ]
    for changes in changed:
        with pytest.raises(ValueError):
            TxEntry.from_json({**good, **changes})
    for name in good:
        with pytest.raises(ValueError):
            TxEntry.from_json({key: part for key, part in good.items() if key != name})
    with pytest.raises(ValueError):
        TxEntry.from_json(json.loads(EPOCH))
    with pytest.raises(ValueError):
        TxEntry.from_json([])
