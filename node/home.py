"""A node's home folder: what is where, and key files (docs/spec/files.md)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ledger import base64url
from ledger.crypto import Ed25519Signer

KEY_FILE_VERSION = 1


class KeyFileError(ValueError):
    """A key file is missing, readable by others, or not one of ours. Exit code 7."""


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Envelope of a private key. Version 1 holds it in clear; encryption will be a later `kdf`."""

    v: int
    type: str
    """vote-ed25519, transport-ed25519 or party-ed25519."""
    kdf: str
    """none in version 1."""
    public: str
    """base64url."""
    secret: str
    """32-byte seed, base64url."""
    created: str
    """RFC 3339, UTC."""


@dataclass(frozen=True, slots=True)
class Home:
    """Paths under one home folder."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def genesis(self) -> Path:
        return self.path / "genesis.json"

    @property
    def member(self) -> Path:
        return self.path / "member.json"

    @property
    def keys(self) -> Path:
        return self.path / "keys"

    @property
    def vote_key(self) -> Path:
        return self.keys / "vote_key.json"

    @property
    def transport_key(self) -> Path:
        return self.keys / "transport_key.json"

    @property
    def transport_certificate(self) -> Path:
        return self.keys / "transport_certificate.der"

    @property
    def vote_mark(self) -> Path:
        return self.keys / "vote_mark"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def database(self) -> Path:
        return self.data / "ledger"

    @property
    def lock(self) -> Path:
        return self.data / "lock"


def write_private(path: Path, data: bytes) -> None:
    """Write a new file of mode 0600, synced. Raises FileExistsError: keys are never replaced."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    _write_synced(descriptor, data)


def write_replacing(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace a file atomically: readers see the old one or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    _write_synced(descriptor, data)
    os.replace(temporary, path)


def _write_synced(descriptor: int, data: bytes) -> None:
    """All of `data`, however little a single write takes, and the descriptor closed."""
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def make_key_file(kind: str, seed: bytes, created: str) -> bytes:
    """The file of a new key, JSON."""
    signer = Ed25519Signer(seed)
    return msgspec.json.format(
        msgspec.json.encode(
            KeyFile(
                v=KEY_FILE_VERSION,
                type=kind,
                kdf="none",
                public=base64url.encode(signer.public_key),
                secret=base64url.encode(seed),
                created=created,
            )
        )
    )


def read_key_seed(path: Path, kind: str) -> bytes:
    """The 32-byte seed of a key file. Raises KeyFileError."""
    try:
        mode = path.stat().st_mode & 0o777
        data = path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    if mode & 0o077:
        raise KeyFileError(f"{path} is open to others (mode {mode:04o}); type: chmod 600 {path}")
    try:
        key = msgspec.json.decode(data, type=KeyFile)
        seed = base64url.decode(key.secret)
        public = base64url.encode(Ed25519Signer(seed).public_key)
    except (msgspec.DecodeError, ValueError) as error:
        raise KeyFileError(f"{path} is not a key file: {error}") from None
    if (key.v, key.type, key.kdf) != (KEY_FILE_VERSION, kind, "none"):
        raise KeyFileError(f"{path}: want a version 1 {kind} key, got {key.v} {key.type} {key.kdf}")
    if public != key.public:
        raise KeyFileError(f"{path}: the public key does not belong to the secret one")
    return seed
