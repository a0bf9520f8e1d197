"""Checkpoint notes: the text of C2SP tlog-checkpoint, signatures of C2SP signed-note."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import merkle, note
from ledger.crypto import Ed25519Verifier
from ledger.history import HistoryTree
from ledger.ids import ChainId, Epoch, Height
from ledger.note import Note, NoteSignature
from ledger.validators import ValidatorSet
from tests.builders import make_genesis, signer
from tests.receipts import grow

KIT = make_genesis(4)
CHAIN = grow(KIT)
ROOT = merkle.root(CHAIN.hashes(9))
VERIFIER = Ed25519Verifier()


def signature(index: int) -> NoteSignature:
    return note.sign(KIT.chain, Height(8), ROOT, f"member-{index}", KIT.vote_signers[index])


def made(*lines: NoteSignature) -> Note:
    return Note(KIT.chain, Height(8), ROOT, lines)


GOOD = made(signature(0), signature(2), signature(3))


def verify(value: Note) -> tuple[int, ...]:
    return note.verify(note.parse(value.encode()), KIT.chain, KIT.validators, VERIFIER)


def test_the_text_line_by_line() -> None:
    lines = GOOD.encode().decode().split("\n")
    assert lines[0] == f"muniment.ledger/{KIT.chain}"
    assert lines[1] == "9"
    assert lines[2] == base64.b64encode(ROOT).decode()
    assert lines[3] == ""
    name = f"muniment.ledger/{KIT.chain}/member-0"
    dash, key, encoded = lines[4].split(" ")
    assert (dash, key) == ("\u2014", name)
    data = base64.b64decode(encoded)
    public_key = KIT.vote_signers[0].public_key
    assert data[:4] == sha256(name.encode() + b"\n\x01" + public_key).digest()[:4]
    text = GOOD.encode().split(b"\n\n")[0] + b"\n"
    assert text == note.note_text(KIT.chain, Height(8), ROOT)
    assert VERIFIER.verify(public_key, text, data[4:])


def test_the_root_is_that_of_the_history() -> None:
    tree = HistoryTree()
    for block_hash in CHAIN.hashes(9):
        tree.append(block_hash)
    assert tree.root() == ROOT


def test_a_quorum_is_enough() -> None:
    assert verify(GOOD) == (0, 2, 3)
    assert verify(made(signature(3), signature(1), signature(0), signature(2))) == (0, 1, 2, 3)
    assert note.parse(GOOD.encode()) == GOOD


def test_less_than_a_quorum_is_refused() -> None:
    twice = made(signature(0), signature(0), signature(2))
    for value in (made(signature(0), signature(2)), twice):
        with pytest.raises(ValueError, match="want 3 signatures"):
            verify(value)


def test_lines_of_strangers_are_passed_over() -> None:
    stranger = note.sign(KIT.chain, Height(8), ROOT, "member-0", signer("stranger"))
    witness = NoteSignature("witness.example/w1", b"\0\1\2\3", bytes(72))
    assert verify(made(stranger, witness, *GOOD.signatures)) == (0, 2, 3)
    with pytest.raises(ValueError):
        verify(made(stranger, witness, signature(1), signature(2)))


def test_a_members_line_that_does_not_verify_spoils_the_note() -> None:
    bad = NoteSignature(signature(1).name, signature(1).key_id, signature(2).signature)
    short = NoteSignature(signature(1).name, signature(1).key_id, bytes(63))
    for line in (bad, short):
        with pytest.raises(ValueError, match="not valid"):
            verify(made(*GOOD.signatures, line))


def test_another_chain_height_root_or_set() -> None:
    with pytest.raises(ValueError, match="want chain"):
        note.verify(GOOD, ChainId("x:" + "0" * 32), KIT.validators, VERIFIER)
    for value in (
        Note(KIT.chain, Height(9), ROOT, GOOD.signatures),
        Note(KIT.chain, Height(8), merkle.EMPTY_ROOT, GOOD.signatures),
    ):
        with pytest.raises(ValueError, match="not valid"):
            verify(value)
    others = ValidatorSet(Epoch(1), make_genesis(4, name="prod").validators.members)
    with pytest.raises(ValueError, match="want 3"):
        note.verify(GOOD, KIT.chain, others, VERIFIER)


LINES = GOOD.encode().decode()
SPARE = "A" * 42 + "B="
FORMS = {
    "empty": "",
    "no signature": LINES.split("\n\n")[0] + "\n\n",
    "no empty line": LINES.replace("\n\n", "\n"),
    "no newline at the end": LINES[:-1],
    "empty line at the end": LINES + "\n",
    "another log": LINES.replace("muniment.ledger/", "example.org/", 1),
    "chain name only": LINES.replace(f"/{KIT.chain}\n", "/test\n", 1),
    "size zero": LINES.replace("\n9\n", "\n0\n", 1),
    "size with a zero": LINES.replace("\n9\n", "\n09\n", 1),
    "size signed": LINES.replace("\n9\n", "\n+9\n", 1),
    "size too large": LINES.replace("\n9\n", f"\n{2**53}\n", 1),
    "root short": LINES.replace(base64.b64encode(ROOT).decode(), "AAAA", 1),
    "root base64url": LINES.replace(base64.b64encode(ROOT).decode(), "-" * 43 + "=", 1),
    "root with spare bits": LINES.replace(base64.b64encode(ROOT).decode(), SPARE, 1),
    "extension line": LINES.replace("\n\n", "\nextra\n\n", 1),
    "hyphen": LINES.replace("\u2014", "-", 1),
    "signature without base64": LINES.replace(" ", "", 2),
    "signature too short": LINES + "\u2014 x AAAA\n",
    "key name with plus": LINES + "\u2014 x+y AAAAAAAA\n",
    "carriage returns": LINES.replace("\n", "\r\n"),
    "too many lines": LINES + "\u2014 x AAAAAAAA\n" * 254,
    "too large": LINES + "\u2014 x " + "AAAA" * 40_000 + "\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_other_forms_are_refused(form: str) -> None:
    with pytest.raises(ValueError):
        note.parse(FORMS[form].encode())


def test_not_utf_8_is_refused() -> None:
    with pytest.raises(ValueError):
        note.parse(b"\xff" + GOOD.encode())


@given(st.integers(0, len(GOOD.encode()) - 1), st.integers(0, 255))
@settings(deadline=None, max_examples=300)
def test_any_changed_byte_is_refused_or_changes_no_signed_word(at: int, byte: int) -> None:
    data = bytearray(GOOD.encode())
    data[at] = byte
    try:
        parsed = note.parse(bytes(data))
        note.verify(parsed, KIT.chain, KIT.validators, VERIFIER)
    except ValueError:
        return
    assert parsed == GOOD
