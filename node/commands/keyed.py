"""Keyed hashes: a private value that must be unique, as a number in a `hash` field.

HMAC-SHA-256 (RFC 2104) of a line of text under a secret that agencies share off the ledger. The
same text gives the same 64 digits for everybody who has the secret, so a claim on them collides;
without it nobody can find the text by trying all numbers.
"""

from __future__ import annotations

import hmac
import re
import secrets
import sys
from pathlib import Path
from typing import Final

from ledger.ids import HASH_HEX
from node import answers
from node.answers import CommandError

STANDARD_INPUT: Final = Path("-")
_TEXT: Final = re.compile(rb"[ -~]{1,256}", re.ASCII)
_BYTES_MAX: Final = 1 << 10
"""So much is read; what is as long may go on, and is refused."""


def new_secret() -> bytes:
    """The content of a secret's file: 64 random hex digits and a line feed."""
    return f"{secrets.token_hex(32)}\n".encode("ascii")


def keyed_hash(secret: Path, file: Path) -> str:
    """The 64 hex digits of the line of text in `file`, `-` for standard input.

    Spaces and line ends around it do not count: an editor adds them, and the hash must not differ.
    Raises CommandError.
    """
    key = _read(secret).strip()
    if HASH_HEX.fullmatch(key.decode("latin-1")) is None:
        detail = f"{secret} holds no secret: want 64 lower-case hex digits"
        hint = "have the file sent by an agency that has it; the first one makes it: --new-secret"
        raise CommandError(answers.KEY, "SECRET_INVALID", detail, hint)
    given = _typed() if file == STANDARD_INPUT else _read(file)
    text = given.strip()
    if len(given) == _BYTES_MAX or _TEXT.fullmatch(text) is None:
        detail = "want one line of 1 to 256 printable ASCII characters, as a number"
        raise CommandError(answers.USAGE, "TEXT_INVALID", detail)
    return hmac.digest(bytes.fromhex(key.decode("ascii")), text, "sha256").hex()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as source:
            return source.read(_BYTES_MAX)
    except OSError as error:
        detail = f"{path}: {error.strerror}"
        raise CommandError(answers.NOT_FOUND, "FILE_UNREADABLE", detail) from None


def _typed() -> bytes:
    """What stands on standard input; of a terminal, one line."""
    if not sys.stdin.isatty():
        return sys.stdin.buffer.read(_BYTES_MAX)
    sys.stderr.write("text: ")
    sys.stderr.flush()
    return sys.stdin.readline().encode("utf-8")
