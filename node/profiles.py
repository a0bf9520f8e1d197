"""Profiles of the client: which nodes to ask, whose key signs, and what is trusted (files.md)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import msgspec

from ledger.genesis import Genesis
from ledger.jwk import PrivateJwk
from node.answers import KEY, NOT_FOUND, USAGE, CommandError
from node.client import Client, is_local
from node.home import write_replacing

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
_URL = re.compile(r"https?://[^\s/]+(/.*)?", re.ASCII)


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One chain as one client sees it."""

    name: str
    rpc: tuple[str, ...]
    chain_id: str
    genesis_hash: str
    """Pinned: everything that is verified starts from it."""
    genesis: dict[str, Any]
    party: str | None = None
    jwk_file: str | None = None

    def client(self) -> Client:
        """Calls the profile's nodes in order."""
        return Client(self.rpc, self._remedy())

    def _remedy(self) -> str:
        """What to type when no node answers: test networks are this user's to start."""
        if not all(is_local(url) for url in self.rpc):
            name, urls = self.name, " ".join(f"--rpc {url}" for url in self.rpc)
            other = f"muniment profile add {name} --rpc URL --genesis FILE"
            return f"asked were {urls}; to ask another node: {other}"
        # A test network keeps its clients' keys in a folder beside its info file.
        folder = Path(self.jwk_file).parent.parent if self.jwk_file else Path()
        if not self.jwk_file or not (folder / "net.json").is_file():
            other = "of a node of its own: munimentd status --home HOME"
            return f"a test network: munimentd testnet status --home FOLDER; {other}"
        try:
            count = len(msgspec.json.decode((folder / "net.json").read_bytes())["nodes"])
        except (OSError, ValueError, KeyError, TypeError):
            count = 4
        start = f"munimentd testnet up --validators {count} --home {folder} --detach"
        return f"munimentd testnet status --home {folder}; to start it again: {start}"

    def key(self) -> PrivateJwk:
        """The signing key. Raises CommandError with exit code 7."""
        if self.jwk_file is None:
            raise CommandError(
                KEY, "NO_KEY", f"profile {self.name} has no key", "add one: --jwk FILE --party ID"
            )
        return read_private_jwk(Path(self.jwk_file))


def read_private_jwk(path: Path) -> PrivateJwk:
    """A private JWK file. Raises CommandError with exit code 7."""
    try:
        mode = path.stat().st_mode & 0o777
        data = path.read_bytes()
    except OSError as error:
        raise CommandError(KEY, "KEY_FILE", f"{path}: {error.strerror}") from None
    if mode & 0o077:
        detail = f"{path} is open to others (mode {mode:04o})"
        raise CommandError(KEY, "KEY_FILE_MODE", detail, f"type: chmod 600 {path}")
    try:
        return PrivateJwk.from_json(msgspec.json.decode(data))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise CommandError(KEY, "KEY_FILE", f"{path}: {error}") from None


def client_home() -> Path:
    """MUNIMENT_CLIENT_HOME, or ~/.config/muniment."""
    given = os.environ.get("MUNIMENT_CLIENT_HOME", "")
    return Path(given) if given else Path.home() / ".config" / "muniment"


class Profiles:
    """The profiles of one user."""

    def __init__(self, home: Path | None = None) -> None:
        self._home = home or client_home()

    def _path(self, name: str) -> Path:
        if _NAME.fullmatch(name) is None:
            detail = f"profile name {name!r}: want 1 to 32 of a-z, 0-9 and hyphens"
            raise CommandError(USAGE, "PROFILE_NAME", detail)
        return self._home / "profiles" / f"{name}.json"

    def names(self) -> list[str]:
        """All profiles, sorted."""
        folder = self._home / "profiles"
        return sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []

    def current(self) -> str:
        """Name of the profile in use, or empty."""
        try:
            return (self._home / "current").read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""

    def use(self, name: str) -> None:
        """Make `name` the one in use. Raises CommandError when there is none of that name."""
        self.load(name)
        write_replacing(self._home / "current", (name + "\n").encode("utf-8"))

    def load(self, name: str | None = None) -> Profile:
        """A profile; the one in use when no name is given. Raises CommandError."""
        chosen = name or os.environ.get("MUNIMENT_PROFILE", "") or self.current()
        if not chosen:
            raise CommandError(
                USAGE,
                "NO_PROFILE",
                "no profile is in use",
                "make one: muniment profile add demo --info-file testnet/net.json --use",
            )
        try:
            data = self._path(chosen).read_bytes()
        except FileNotFoundError:
            detail = f"no profile {chosen!r}; there are: {', '.join(self.names()) or 'none'}"
            raise CommandError(NOT_FOUND, "PROFILE_UNKNOWN", detail) from None
        try:
            profile = msgspec.json.decode(data, type=Profile)
            genesis = Genesis.from_json(profile.genesis)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise CommandError(USAGE, "PROFILE_INVALID", f"profile {chosen}: {error}") from None
        if genesis.hash.hex() != profile.genesis_hash:
            detail = f"profile {chosen}: the genesis document is not the pinned one"
            raise CommandError(USAGE, "PROFILE_INVALID", detail)
        return profile

    def save(self, profile: Profile) -> None:
        """Write a profile. Raises CommandError when its addresses are not URLs."""
        for url in profile.rpc:
            if _URL.fullmatch(url) is None:
                raise CommandError(USAGE, "URL_INVALID", f"{url!r} is not an http(s) URL")
        path = self._path(profile.name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        data = msgspec.json.format(msgspec.json.encode(profile)) + b"\n"
        write_replacing(path, data, 0o600)
