"""Headers: one spelling, one hash; blocks and their ids."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ledger import canonical
from ledger.block import (
    Block,
    Header,
    body_matches,
    commit_hash,
    header_hash,
    transaction_ids,
)
from ledger.crypto import sha256
from tests.builders import make_genesis
from tests.receipts import grow

KIT = make_genesis(4)
CHAIN = grow(KIT)
HEADER = CHAIN.headers[3]
DOCUMENT: dict[str, Any] = msgspec.to_builtins(HEADER)
HASHES = [name for name, value in DOCUMENT.items() if isinstance(value, str) and len(value) == 64]
NUMBERS = ["epoch", "height", "proposer", "time_ms"]


def test_round_trip_and_hash() -> None:
    data = HEADER.encode()
    assert data == canonical.encode_any(DOCUMENT)
    assert Header.decode(data) == Header.from_json(DOCUMENT) == HEADER
    assert header_hash(HEADER).hex() == sha256(data).hex()
    assert len(DOCUMENT) == 15
    assert len(HASHES) == 9


def test_other_spellings_are_refused() -> None:
    data = HEADER.encode()
    duplicate = data[:-1] + b',"type":"muniment-header-v1"}'
    for spelling in (data + b" ", data.replace(b'":', b'": ', 1), duplicate, b"", b"[]"):
        with pytest.raises(ValueError):
            Header.decode(spelling)
    reordered = dict(sorted(DOCUMENT.items(), reverse=True))
    with pytest.raises(ValueError, match="canonical"):
        Header.decode(msgspec.json.encode(reordered))


@pytest.mark.parametrize("name", HASHES)
def test_hashes_are_64_digits(name: str) -> None:
    for text in ("", "0" * 63, "0" * 65, "A" * 64, "g" * 64, "0" * 64 + "\n"):
        refused({**DOCUMENT, name: text})


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_in_range(name: str) -> None:
    for number in (-1, 2**53, True, "1", None, 1.5):
        refused({**DOCUMENT, name: number})
    assert getattr(Header.from_json({**DOCUMENT, name: 2**53 - 1}), name) == 2**53 - 1


@pytest.mark.parametrize("name", DOCUMENT)
def test_a_missing_member_is_refused(name: str) -> None:
    refused({key: value for key, value in DOCUMENT.items() if key != name})


def test_an_unknown_member_or_type_is_refused() -> None:
    refused({**DOCUMENT, "view": 0})
    refused({**DOCUMENT, "type": "muniment-header-v2"})


def refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Header.from_json(document)
    with pytest.raises(ValueError):
        Header.decode(canonical.encode_any(document))


def test_an_epochs_close_shows_in_its_header() -> None:
    assert [header.closes_epoch for header in CHAIN.headers] == [h == 4 for h in range(9)]


def test_blocks_travel_in_one_encoding() -> None:
    block = Block(
        header=HEADER.encode(),
        commit=CHAIN.certificates[2],
        transactions=tuple(CHAIN.transactions[3]),
    )
    data = msgspec.msgpack.encode(block)
    assert msgspec.msgpack.decode(data, type=Block) == block
    want = [sha256(raw).hex() for raw in CHAIN.transactions[3]]
    assert [tx.hex() for tx in transaction_ids(block)] == want
    assert commit_hash(block.commit) == sha256(canonical.encode_any(block.commit.to_json()))


def test_a_header_commits_to_its_body() -> None:
    body = Block(b"", CHAIN.certificates[2], tuple(CHAIN.transactions[3]))
    header = msgspec.structs.replace(HEADER, commit_hash=commit_hash(body.commit).hex())
    assert body_matches(body, header)
    for changed in (
        msgspec.structs.replace(body, transactions=body.transactions[::-1]),
        msgspec.structs.replace(body, evidence=(b"{}",)),
        msgspec.structs.replace(body, commit=CHAIN.certificates[1]),
    ):
        assert not body_matches(changed, header)
