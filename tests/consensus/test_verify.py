"""Untrusted messages: whatever a correct peer would not send is a remote fault."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from consensus import messages
from consensus.messages import (
    VIEW_MAX,
    Checkpoint,
    Decided,
    Heartbeat,
    Message,
    NewView,
    Propose,
    Status,
    ViewChange,
    Vote,
)
from consensus.verify import (
    CACHE_ENTRIES_MAX,
    EVIDENCE_MAX,
    Authenticator,
    CachedVerifier,
    RemoteFault,
    StaleEpoch,
)
from ledger import note
from ledger.certificate import Certificate, Phase, genesis_certificate
from ledger.ids import Epoch, Hash, Height
from ledger.validators import ValidatorSet
from tests.consensus.bench import (
    GENESIS,
    KIT,
    certify,
    header,
    propose,
    sign,
    signer,
    view_change,
    vote,
)
from tests.sim.stand_in import StandInVerifier

A = b"a" * 32
COMMIT = certify(Phase.COMMIT, A)
PREPARE = certify(Phase.PREPARE, A)
FIRST = genesis_certificate(GENESIS)


def authenticator() -> Authenticator:
    sets = {Epoch(0): KIT.validators}
    return Authenticator(KIT.chain, GENESIS, sets, StandInVerifier())


def checkpoint(height: int = 64, root: bytes = A, index: int = 1) -> Checkpoint:
    text = note.note_text(KIT.chain, Height(height), Hash(root))
    return Checkpoint(0, height, root, index, signer(index).sign(text))


def new_view(*changes: ViewChange, view: int = 1, index: int = 1) -> Message:
    return sign(NewView(0, view, changes, index, b""))


CHANGES = tuple(view_change(index, 1) for index in range(3))
GOOD: dict[str, Message] = {
    "propose": propose(header(1, GENESIS), 0),
    "prepare": vote(Phase.PREPARE, A, 3),
    "commit": vote(Phase.COMMIT, A, 3),
    "view-change": view_change(2, 1, committed=COMMIT, highest=COMMIT),
    "view-change with a prepare": view_change(2, 1, highest=PREPARE),
    "new-view": new_view(*CHANGES),
    "checkpoint": checkpoint(),
    "status": sign(Status(0, 3, False, 9, True, 2, b"")),
    "heartbeat": sign(Heartbeat(0, 3, 9, 2, b"")),
    "decided": Decided(COMMIT),
}


@pytest.mark.parametrize("name", sorted(GOOD))
def test_good_messages_pass_and_have_one_encoding(name: str) -> None:
    message = GOOD[name]
    authenticator().check(message)
    assert messages.decode(messages.encode(message)) == message


def _propose(**changes: object) -> Callable[[], Message]:
    good = GOOD["propose"]
    assert isinstance(good, Propose)
    return lambda: sign(msgspec.structs.replace(good, **changes))


def _vote(**changes: object) -> Callable[[], Message]:
    return lambda: sign(msgspec.structs.replace(vote(Phase.PREPARE, A, 3), **changes))


def _change(**changes: object) -> Callable[[], Message]:
    return lambda: sign(msgspec.structs.replace(view_change(2, 1), **changes))


def _shortened(certificate: Certificate, count: int) -> Certificate:
    return msgspec.structs.replace(certificate, signatures=certificate.signatures[:count])


FAULTS: dict[str, Callable[[], Message]] = {
    "signer is no member": lambda: msgspec.structs.replace(vote(Phase.PREPARE, A, 3), signer=4),
    "signer is negative": lambda: msgspec.structs.replace(vote(Phase.PREPARE, A, 3), signer=-1),
    "signature of another": lambda: sign(vote(Phase.PREPARE, A, 3), index=2),
    "propose: view": _propose(view=VIEW_MAX),
    "propose: height": _propose(height=0),
    "propose: hash": _propose(block_hash=A),
    "propose: id": _propose(transaction_ids=(b"short",)),
    "propose: evidence": _propose(evidence=(b"",) * (EVIDENCE_MAX + 1)),
    "propose: commit is a prepare": _propose(commit=PREPARE),
    "propose: commit lacks votes": _propose(commit=_shortened(COMMIT, 2)),
    "vote: a proposal": _vote(phase=Phase.PROPOSE),
    "vote: view": _vote(view=-1),
    "vote: height": _vote(height=2**53),
    "vote: hash": _vote(block_hash=b"short"),
    "view change: view 0": _change(view=0),
    "view change: committed is a prepare": _change(committed=PREPARE, highest=PREPARE),
    "view change: highest below committed": _change(committed=COMMIT, highest=FIRST),
    "view change: highest is a proposal": _change(highest=certify(Phase.PROPOSE, A)),
    "view change: certificate not below": _change(highest=certify(Phase.PREPARE, A, view=1)),
    "view change: a later epoch": _change(highest=certify(Phase.PREPARE, A, epoch=1)),
    "view change: votes lacking": _change(highest=_shortened(PREPARE, 2)),
    "new view: too few": lambda: new_view(*CHANGES[:2]),
    "new view: too many": lambda: new_view(*CHANGES, view_change(3, 1)),
    "new view: order": lambda: new_view(CHANGES[1], CHANGES[0], CHANGES[2]),
    "new view: twice": lambda: new_view(CHANGES[0], CHANGES[0], CHANGES[1]),
    "new view: another view": lambda: new_view(*CHANGES[:2], view_change(2, 2)),
    "new view: forged": lambda: new_view(
        *CHANGES[:2], msgspec.structs.replace(CHANGES[2], signature=b"x" * 64)
    ),
    "new view: stranger": lambda: new_view(
        *CHANGES[:2], msgspec.structs.replace(CHANGES[2], signer=7)
    ),
    "new view: bad change": lambda: new_view(
        *CHANGES[:2], view_change(2, 1, highest=_shortened(PREPARE, 1))
    ),
    "new view: sender": lambda: new_view(*CHANGES, index=2),
    "checkpoint: root": lambda: msgspec.structs.replace(checkpoint(), root=b"short"),
    "checkpoint: height": lambda: msgspec.structs.replace(checkpoint(), height=-1),
    "checkpoint: signature": lambda: msgspec.structs.replace(checkpoint(), height=128),
    "decided: a prepare": lambda: Decided(PREPARE),
    "decided: votes lacking": lambda: Decided(_shortened(COMMIT, 2)),
    "decided: a vote twice": lambda: Decided(
        msgspec.structs.replace(
            COMMIT, signatures=(COMMIT.signatures[0], COMMIT.signatures[0], COMMIT.signatures[1])
        )
    ),
    "decided: another genesis": lambda: Decided(
        msgspec.structs.replace(FIRST, block_hash=A, signatures=())
    ),
}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_remote_faults(name: str) -> None:
    with pytest.raises(RemoteFault):
        authenticator().check(FAULTS[name]())


@pytest.mark.parametrize(
    "message",
    [
        vote(Phase.PREPARE, A, 3, epoch=7),
        Decided(certify(Phase.COMMIT, A, epoch=7)),
    ],
)
def test_an_epoch_not_in_force_is_nobodys_fault(message: Message) -> None:
    with pytest.raises(StaleEpoch):
        authenticator().check(message)


def test_the_anchor_of_an_epoch_is_a_commit_of_the_one_before() -> None:
    sets = {
        Epoch(0): KIT.validators,
        Epoch(1): ValidatorSet(Epoch(1), KIT.validators.members),
    }
    both = Authenticator(KIT.chain, GENESIS, sets, StandInVerifier())
    both.check(view_change(2, 1, committed=COMMIT, epoch=1))
    with pytest.raises(RemoteFault, match="old epoch"):
        both.check(view_change(2, 1, committed=COMMIT, highest=PREPARE, epoch=1))


@pytest.mark.parametrize("name", sorted(GOOD))
def test_every_byte_of_a_signed_message_is_bound(name: str) -> None:
    data = messages.encode(GOOD[name])
    check = authenticator()
    for index in range(0, len(data), max(1, len(data) // 60)):
        changed = bytearray(data)
        changed[index] ^= 1
        try:
            message = messages.decode(bytes(changed))
        except ValueError:
            continue
        if name in ("propose", "prepare", "commit"):
            continue  # what a vote text leaves out is checked against the header
        with pytest.raises((RemoteFault, StaleEpoch)):
            check.check(message)


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x90", b"\x91\xa4vote", messages.encode(Decided(COMMIT)) + b"\x00"]
)
def test_bytes_that_are_no_message(data: bytes) -> None:
    with pytest.raises(ValueError, match="consensus message"):
        messages.decode(data)


def test_another_encoding_of_a_message_is_refused() -> None:
    data = messages.encode(GOOD["status"])
    assert data[-3 - 64 : -66] or True
    wide = data.replace(b"\x03", b"\xcc\x03", 1)  # view 3 in two bytes
    with pytest.raises(ValueError, match="one encoding"):
        messages.decode(wide)


class _Counting:
    def __init__(self) -> None:
        self.count = 0

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        self.count += 1
        return signature == b"good"


def test_valid_signatures_are_verified_once_and_bad_ones_each_time() -> None:
    inner = _Counting()
    cached = CachedVerifier(inner)
    for _ in range(3):
        assert cached.verify(b"k", b"m", b"good")
        assert not cached.verify(b"k", b"m", b"bad")
    assert inner.count == 4


def test_the_cache_is_bounded() -> None:
    inner = _Counting()
    cached = CachedVerifier(inner)
    for number in range(CACHE_ENTRIES_MAX + 1):
        cached.verify(b"k", str(number).encode(), b"good")
    cached.verify(b"k", b"0", b"good")
    assert inner.count == CACHE_ENTRIES_MAX + 2


def test_votes_are_votes(  # the two statements of a slot have two texts
) -> None:
    one, two = vote(Phase.PREPARE, A, 1), vote(Phase.COMMIT, A, 1)
    assert isinstance(one, Vote)
    assert messages.signed_text(one, KIT.chain) != messages.signed_text(two, KIT.chain)
