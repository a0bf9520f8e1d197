"""Checkpoint notes: C2SP tlog-checkpoint texts in signed-note form, co-signed by the members.

Format: docs/spec/formats.md, section 11. A note commits to every header up to a height, so that
witnesses outside can keep it and see a fork. Signatures are the plain Ed25519 kind (type 0x01).
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

import msgspec

from ledger.crypto import Signer, Verifier, sha256
from ledger.ids import (
    CHAIN_ID,
    CODE,
    HASH_BYTES,
    INTEGER_MAX,
    SIGNATURE_BYTES,
    ChainId,
    Hash,
    Height,
    MemberIndex,
)
from ledger.validators import ValidatorSet

ORIGIN_PREFIX: Final = "muniment.ledger/"
SIGNATURES_MAX: Final = 256
NOTE_BYTES_MAX: Final = 128 * 1024
_KEY_ID_BYTES: Final = 4
_ED25519_TYPE: Final = b"\x01"
_DASH: Final = "\u2014 "
"""Em dash and space: what a signature line begins with."""
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)
_KEY_NAME: Final = re.compile(r"[^\s+]{1,256}")


class NoteSignature(msgspec.Struct, frozen=True):
    """One signature line."""

    name: str
    """Key name: origin, slash, member name; or that of somebody we do not know."""
    key_id: bytes
    """4 bytes."""
    signature: bytes
    """64 bytes when it is an Ed25519 signature; others are kept as they are."""


class Note(msgspec.Struct, frozen=True):
    """A checkpoint and whatever signatures came with it; `verify` says whether they are enough."""

    chain: ChainId
    height: Height
    """Height of the newest header that the root covers; the tree has one leaf more."""
    root: Hash
    signatures: tuple[NoteSignature, ...]

    def encode(self) -> bytes:
        """The signed note, UTF-8."""
        lines = "".join(
            f"{_DASH}{line.name} {_base64(line.key_id + line.signature)}\n"
            for line in self.signatures
        )
        return note_text(self.chain, self.height, self.root) + b"\n" + lines.encode("utf-8")


def origin(chain: ChainId) -> str:
    """The note's first line: the name of the log."""
    return f"{ORIGIN_PREFIX}{chain}"


def key_name(chain: ChainId, member_name: str) -> str:
    """The name under which a member signs notes."""
    return f"{origin(chain)}/{member_name}"


def key_id(name: str, public_key: bytes) -> bytes:
    """First 4 bytes of the key's hash (C2SP signed-note)."""
    return sha256(name.encode("utf-8") + b"\n" + _ED25519_TYPE + public_key)[:_KEY_ID_BYTES]


def note_text(chain: ChainId, height: Height, root: Hash) -> bytes:
    """The text that members sign: three lines, the tree size (height + 1) in the second."""
    return f"{origin(chain)}\n{height + 1}\n{_base64(root)}\n".encode("ascii")


def sign(
    chain: ChainId, height: Height, root: Hash, member_name: str, signer: Signer
) -> NoteSignature:
    """The signature line of one member."""
    return signature_line(
        chain, member_name, signer.public_key, signer.sign(note_text(chain, height, root))
    )


def signature_line(
    chain: ChainId, member_name: str, public_key: bytes, signature: bytes
) -> NoteSignature:
    """The line of a signature over `note_text` that came in a consensus message."""
    assert CODE.fullmatch(member_name) is not None
    name = key_name(chain, member_name)
    return NoteSignature(name, key_id(name, public_key), signature)


def parse(data: bytes) -> Note:
    """Parse a signed note of at most 128 KiB with 1 to 256 signature lines. Raises ValueError."""
    if len(data) > NOTE_BYTES_MAX:
        raise ValueError(f"note: want at most {NOTE_BYTES_MAX} bytes, got {len(data)}")
    text, separator, tail = data.decode("utf-8").partition("\n\n")
    lines = text.split("\n")
    if not separator or len(lines) != 3:
        raise ValueError("note: want three lines, an empty line and signature lines")
    chain = lines[0].removeprefix(ORIGIN_PREFIX)
    if chain == lines[0] or CHAIN_ID.fullmatch(chain) is None:
        raise ValueError("note: the origin names no chain")
    if _NUMBER.fullmatch(lines[1]) is None or int(lines[1]) > INTEGER_MAX:
        raise ValueError("note: the tree size is not a positive decimal")
    root = _from_base64(lines[2])
    if len(root) != HASH_BYTES:
        raise ValueError("note: the root is not 32 bytes")
    signatures = tail.split("\n")
    if signatures.pop() != "" or not 0 < len(signatures) <= SIGNATURES_MAX:
        raise ValueError(f"note: want 1 to {SIGNATURES_MAX} signature lines, newline at the end")
    return Note(
        chain=ChainId(chain),
        height=Height(int(lines[1]) - 1),
        root=Hash(root),
        signatures=tuple(_signature(line) for line in signatures),
    )


def verify(
    note: Note, chain: ChainId, validators: ValidatorSet, verifier: Verifier
) -> tuple[MemberIndex, ...]:
    """The members that signed, rising; at least a quorum. Raises ValueError otherwise.

    Lines of unknown keys and further lines of one key are passed over; a line that names a
    member's key and does not verify makes the whole note invalid (C2SP signed-note).
    """
    if note.chain != chain:
        raise ValueError(f"note: want chain {chain}, got {note.chain}")
    keys: dict[tuple[str, bytes], int] = {}
    for index, member in enumerate(validators.members):
        name = key_name(chain, member.name)
        keys[name, key_id(name, validators.vote_keys[index])] = index
    text = note_text(note.chain, note.height, note.root)
    signed: list[int] = []
    for line in note.signatures:
        known = keys.get((line.name, line.key_id))
        if known is None or known in signed:
            continue
        public_key = validators.vote_keys[known]
        if len(line.signature) != SIGNATURE_BYTES or not verifier.verify(
            public_key, text, line.signature
        ):
            raise ValueError(f"note: the signature of {line.name} is not valid")
        signed.append(known)
    if len(signed) < validators.quorum:
        raise ValueError(f"note: want {validators.quorum} signatures, got {len(signed)}")
    return tuple(MemberIndex(index) for index in sorted(signed))


def _signature(line: str) -> NoteSignature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space or _KEY_NAME.fullmatch(name) is None:
        raise ValueError("note: a signature line is not a dash, a key name and base64")
    data = _from_base64(encoded)
    if len(data) <= _KEY_ID_BYTES:
        raise ValueError("note: a signature line is too short")
    return NoteSignature(name, data[:_KEY_ID_BYTES], data[_KEY_ID_BYTES:])


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _from_base64(text: str) -> bytes:
    try:
        data = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError(f"note: not base64: {error}") from None
    if _base64(data) != text:
        raise ValueError("note: base64 with spare bits")
    return data
