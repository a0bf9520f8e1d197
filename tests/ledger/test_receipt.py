"""Receipts: valid ones say what happened; every change is refused or changes nothing."""

from __future__ import annotations

import ast
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import canonical, receipt, receipt_check, transaction
from ledger.block import header_hash
from ledger.certificate import Phase
from ledger.entry import Status
from ledger.ids import BlockHash, ChainId, Hash, Height
from ledger.receipt import Receipt, ReceiptInvalid
from ledger.receipt_check import Checkpoint, Verdict
from tests.builders import make_genesis, signer
from tests.receipts import REGISTER, PaperChain, grow, next_set

KIT = make_genesis(4)
PIN = KIT.genesis.hash
CHAIN = grow(KIT)
SMALL_KIT = make_genesis(1)
SMALL = grow(SMALL_KIT)
replace = msgspec.structs.replace


def verify(value: Receipt, pin: Hash = PIN) -> Verdict:
    return receipt_check.verify(receipt.decode(value.encode()), genesis_hash=pin)


def reason(value: Receipt, pin: Hash = PIN) -> str:
    with pytest.raises(ReceiptInvalid) as caught:
        receipt_check.verify(value, genesis_hash=pin)
    assert str(caught.value) == f"{caught.value.reason}: {caught.value.detail}"
    return caught.value.reason


def checkpoint(height: int, chain: PaperChain = CHAIN) -> Checkpoint:
    return Checkpoint(chain.kit.chain, Height(height), header_hash(chain.headers[height]))


@pytest.mark.parametrize("height", [1, 2, 3, 6])
def test_every_transaction_at_every_anchor(height: int) -> None:
    for anchor in range(height, 9):
        for index, raw in enumerate(CHAIN.transactions[height]):
            value = CHAIN.receipt(height, index, anchor=anchor)
            data = value.encode()
            assert data == canonical.encode_any(json.loads(data))
            assert receipt.decode(data).encode() == data
            indented = json.dumps(json.loads(data), indent=2).encode()
            verdict = receipt_check.verify(receipt.decode(indented), genesis_hash=PIN)
            assert verdict == Verdict(
                chain=KIT.chain,
                tx=transaction.decode(raw, bytes_max=65536, operations_max=16).id.hex(),
                status=Status.REFUSED if index == 1 else Status.COMMITTED,
                reason="NOT_AUTHORISED" if index == 1 else "",
                operation=0 if index == 1 else -1,
                height=height,
                time_ms=CHAIN.headers[height].time_ms,
                anchor_height=anchor,
                anchor_time_ms=CHAIN.headers[anchor].time_ms,
                epoch=0 if anchor <= 4 else 1,
                signers=3,
                members=4,
                pinned="genesis",
            )


def test_a_checkpoint_is_the_anchor_the_block_or_a_close() -> None:
    value = CHAIN.receipt(2, 0, anchor=7)
    for height in (2, 4, 7):
        verdict = receipt_check.verify(value, checkpoint=checkpoint(height))
        assert verdict.pinned == "checkpoint"
        assert verdict == receipt_check.verify(
            value, checkpoint=checkpoint(height), genesis_hash=PIN
        )


def test_a_checkpoint_elsewhere_is_not_taken_on_trust() -> None:
    value = CHAIN.receipt(2, 0, anchor=7)
    cases = [
        (checkpoint(6), "CHECKPOINT_NOT_COVERED"),
        (checkpoint(8), "CHECKPOINT_NOT_COVERED"),
        (replace(checkpoint(7), block_hash=BlockHash(bytes(32))), "CHECKPOINT_MISMATCH"),
        (replace(checkpoint(2), block_hash=BlockHash(bytes(32))), "CHECKPOINT_MISMATCH"),
        (replace(checkpoint(4), block_hash=BlockHash(bytes(32))), "CHECKPOINT_MISMATCH"),
        (replace(checkpoint(7), chain=ChainId("test:" + "0" * 32)), "GENESIS_MISMATCH"),
    ]
    for pin, want in cases:
        with pytest.raises(ReceiptInvalid) as caught:
            receipt_check.verify(value, checkpoint=pin)
        assert caught.value.reason == want
    with pytest.raises(AssertionError):
        receipt_check.verify(value)


def test_another_chains_receipt() -> None:
    assert reason(CHAIN.receipt(1, 0, anchor=1), make_genesis(4, name="prod").genesis.hash) == (
        "GENESIS_MISMATCH"
    )


def test_an_epoch_chain_with_a_gap_or_a_stranger() -> None:
    value = CHAIN.receipt(1, 0, anchor=7)
    close = value.epochs[0]
    members = close.validators.members
    taken_over = next_set(KIT.validators)
    taken_over = type(taken_over)(
        taken_over.epoch, (replace(members[0], address="evil.example:1"), *members[1:])
    )
    strangers = {i: signer(f"stranger {i}") for i in range(3)}
    forged = KIT.certify(4, header_hash(close.header), signers=strangers)
    prepared = KIT.certify(4, header_hash(close.header), phase=Phase.PREPARE)
    changes = [
        (),
        (close, close),
        (replace(close, validators=taken_over),),
        (replace(close, validators=KIT.validators),),
        (replace(close, header=CHAIN.headers[3], certificate=CHAIN.certificates[3]),),
        (replace(close, certificate=forged),),
        (replace(close, certificate=prepared),),
        (replace(close, certificate=CHAIN.certificates[3]),),
        (replace(close, header=CHAIN.headers[0], certificate=CHAIN.certificates[0]),),
    ]
    for epochs in changes:
        want = "EPOCH_CHAIN_INVALID" if epochs else "CERTIFICATE_INVALID"
        assert reason(replace(value, epochs=epochs)) == want


def test_an_anchor_that_no_quorum_signed() -> None:
    value = CHAIN.receipt(1, 0, anchor=3)
    anchor = value.anchor
    block_hash = header_hash(anchor.header)
    few = {i: KIT.vote_signers[i] for i in range(2)}
    later = replace(anchor.header, time_ms=anchor.header.time_ms + 1)
    other_chain = replace(anchor.header, chain="test:" + "0" * 32)
    changes = [
        replace(anchor, certificate=KIT.certify(3, block_hash, signers=few)),
        replace(anchor, certificate=KIT.certify(3, block_hash, phase=Phase.PREPARE)),
        replace(anchor, certificate=CHAIN.certificates[2]),
        replace(anchor, header=later),
        replace(anchor, header=CHAIN.headers[5], certificate=CHAIN.certificates[5]),
        replace(anchor, header=CHAIN.headers[0], certificate=CHAIN.certificates[0]),
        replace(anchor, header=other_chain, certificate=KIT.certify(3, header_hash(other_chain))),
    ]
    for changed in changes:
        assert reason(replace(value, anchor=changed)) == "CERTIFICATE_INVALID"
    # A set that was replaced cannot anchor anything after its close.
    stale = replace(CHAIN.headers[3], epoch=1, validators_hash=CHAIN.validators.hash.hex())
    stale_anchor = replace(
        anchor, header=stale, certificate=KIT.certify(3, header_hash(stale), epoch=1)
    )
    assert reason(replace(value, anchor=stale_anchor, epochs=tuple(CHAIN.closes))) == (
        "CERTIFICATE_INVALID"
    )


def test_a_history_proof_for_something_else() -> None:
    value = CHAIN.receipt(2, 0, anchor=7)
    proof = value.anchor.history_proof
    assert proof is not None
    for history_proof in (
        None,
        replace(proof, index=1),
        replace(proof, size=8),
        replace(proof, path=proof.path[:-1]),
        replace(proof, path=(Hash(bytes(32)), *proof.path[1:])),
    ):
        changed = replace(value, anchor=replace(value.anchor, history_proof=history_proof))
        assert reason(changed) == "HISTORY_PROOF_INVALID"
    for header in (
        CHAIN.headers[3],
        replace(value.header, time_ms=1),
        replace(value.header, chain="test:" + "0" * 32),
    ):
        assert reason(replace(value, header=header)) == "HISTORY_PROOF_INVALID"


def test_an_entry_that_is_not_in_the_block() -> None:
    value = CHAIN.receipt(3, 1, anchor=3)
    for changed in (
        replace(value, entry=replace(value.entry, reason="QUORUM_NOT_REACHED")),
        replace(value, entry=replace(value.entry, height=2)),
        replace(value, entry=replace(value.entry, index=0)),
        replace(value, entry=CHAIN.receipt(3, 0, anchor=3).entry),
        replace(value, entry_proof=replace(value.entry_proof, index=2)),
        replace(value, entry_proof=replace(value.entry_proof, path=())),
    ):
        assert reason(changed) == "ENTRY_PROOF_INVALID"


def test_another_transaction() -> None:
    value = CHAIN.receipt(3, 1, anchor=3)
    assert reason(replace(value, tx=CHAIN.transactions[3][0])) == "TRANSACTION_MISMATCH"


def test_a_quorum_that_committed_what_is_no_transaction() -> None:
    elsewhere = make_genesis(4, name="prod").sign("agency-0", "j", [REGISTER])
    for raw in (b"junk", elsewhere):
        chain = PaperChain.start(KIT)
        chain.append([raw])
        assert reason(chain.receipt(1, 0, anchor=1)) == "TRANSACTION_MALFORMED"


def test_bytes_that_are_no_receipt() -> None:
    good = CHAIN.receipt(1, 0, anchor=1).encode()
    for data in (
        b"",
        b"{}",
        b"[]",
        b"null",
        good[:-1],
        good[:-1] + b',"tx":"x"}',
        good.replace(b'"history_proof":null', b'"history_proof":{}'),
        good.replace(b'"epochs":[{', b'"epochs":[],"x":[{'),
        good.replace(b'"tx":"ey', b'"tx":"\xc3\xbc'),
        b" " * (receipt.RECEIPT_BYTES_MAX + 1),
        b"[" * 100_000,
    ):
        with pytest.raises(ReceiptInvalid) as caught:
            receipt.decode(data)
        assert caught.value.reason == "RECEIPT_MALFORMED"


def test_proofs_and_epochs_have_limits() -> None:
    value = CHAIN.receipt(2, 0, anchor=7)
    proof = value.entry_proof
    for entry_proof in (
        replace(proof, index=2, size=2),
        replace(proof, index=-1),
        replace(proof, size=2**53),
        replace(proof, path=(Hash(bytes(32)),) * (receipt.PATH_MAX + 1)),
        replace(proof, path=(Hash(bytes(31)),)),
    ):
        with pytest.raises(ReceiptInvalid, match="RECEIPT_MALFORMED"):
            receipt.decode(replace(value, entry_proof=entry_proof).encode())
    document = value.to_json()
    first, close = document["epochs"]
    for epochs in ([], [close], [close, first], [first, first], [first] + [close] * 10_000):
        with pytest.raises(ReceiptInvalid, match="RECEIPT_MALFORMED"):
            receipt.decode(canonical.encode({**document, "epochs": epochs}))


def outcome(data: bytes, pin: Hash) -> Verdict | None:
    """The verdict, or None when the receipt is refused; anything else escapes."""
    try:
        return receipt_check.verify(receipt.decode(data), genesis_hash=pin)
    except ReceiptInvalid:
        return None


def test_every_flipped_byte_is_refused_or_changes_nothing() -> None:
    pin = SMALL_KIT.genesis.hash
    data = SMALL.receipt(3, 1, anchor=6).encode()
    verdict = outcome(data, pin)
    assert verdict is not None
    accepted = 0
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        got = outcome(bytes(changed), pin)
        assert got in (None, verdict), at
        accepted += got is not None
    # The size of the entry tree is implied by the path only up to its shape.
    assert accepted <= 1


@given(st.integers(0, 2**32), st.integers(0, 255))
@settings(deadline=None, max_examples=150)
def test_any_changed_byte_is_refused_or_changes_nothing(position: int, byte: int) -> None:
    data = bytearray(CHAIN.receipt(2, 1, anchor=7).encode())
    verdict = outcome(bytes(data), PIN)
    data[position % len(data)] = byte
    assert outcome(bytes(data), PIN) in (None, verdict)


def paths(value: Any, prefix: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of everything inside `value`."""
    if isinstance(value, dict):
        items: list[tuple[str | int, Any]] = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    else:
        return
    for step, inner in items:
        yield (*prefix, step)
        yield from paths(inner, (*prefix, step))


def mutations(inner: Any) -> list[Any]:
    """Other values of the same and of other types."""
    if isinstance(inner, bool) or inner is None:
        return [0, {}, "x"]
    if isinstance(inner, int):
        return [inner + 1, inner - 1, str(inner), None, True]
    if isinstance(inner, str):
        return [inner + "0", inner[1:], inner[::-1] + "x", "", 0, None]
    if isinstance(inner, list):
        return [inner + inner[:1] if inner else [0], inner[1:] if inner else {}, None]
    return [{**inner, "extra": 0}, {}, [], None]


def test_every_mutated_field_is_refused_or_changes_nothing() -> None:
    pin = SMALL_KIT.genesis.hash
    document = json.loads(SMALL.receipt(3, 1, anchor=6).encode())
    verdict = outcome(canonical.encode_any(document), pin)
    accepted = set()
    for path in paths(document):
        changed = copy.deepcopy(document)
        holder = changed
        for step in path[:-1]:
            holder = holder[step]
        original = holder[path[-1]]
        for mutation in mutations(original):
            holder[path[-1]] = mutation
            got = outcome(canonical.encode_any(changed), pin)
            assert got in (None, verdict), path
            if got is not None:
                accepted.add(path)
        del holder[path[-1]]
        assert outcome(canonical.encode_any(changed), pin) is None, path
    assert accepted <= {("entry_proof", "size")}


def test_the_check_imports_only_the_ledger_and_no_network() -> None:
    folder = Path(receipt_check.__file__).parent
    seen, waiting = set(), ["receipt_check", "receipt"]
    outside: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in ast.walk(ast.parse((folder / f"{name}.py").read_text())):
            if isinstance(node, ast.Import):
                outside.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                module = str(node.module)
                if module == "ledger":
                    waiting.extend(alias.name for alias in node.names)
                elif module.startswith("ledger."):
                    waiting.append(module.removeprefix("ledger."))
                else:
                    outside.add(module)
    assert outside.isdisjoint({"socket", "asyncio", "http", "urllib", "aiohttp", "plyvel", "os"})
    assert "store" not in seen
