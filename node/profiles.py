"""Profiles of the client: which nodes to ask, whose key signs, and what is trusted (files.md)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import msgspec

from ledger.genesis import Genesis
from ledger.jwk import PrivateJwk
from node.answers import KEY, NEGATIVE, NOT_FOUND, USAGE, CommandError
from node.client import Client, is_local
from node.home import write_replacing

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
INFO_NAME = "net.json"
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
        folder = self._network()
        if folder is None:
            other = "of a node of its own: munimentd status --home HOME"
            return f"a test network: munimentd testnet status --home FOLDER; {other}"
        return self._lost(folder) or (
            f"munimentd testnet status --home {folder}; to start it again: {self._up(folder)}"
        )

    def _network(self) -> Path | None:
        """Folder of the test network that the profile is of, whether it is still there or not."""
        # A test network keeps its clients' keys in a folder beside its info file.
        file = Path(self.jwk_file or "")
        here = all(is_local(url) for url in self.rpc)
        return file.parent.parent if here and file.parent.name == "clients" else None

    def _info(self, folder: Path) -> dict[str, Any]:
        """What the info file says of the network there; empty when there is none to read."""
        try:
            info = msgspec.json.decode((folder / INFO_NAME).read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return info if isinstance(info, dict) else {}

    def _up(self, folder: Path) -> str:
        count = len(self.genesis["members"])
        return f"munimentd testnet up --validators {count} --home {folder} --detach"

    def _lost(self, folder: Path) -> str:
        """What to type when the test network is gone or another is in its place; else empty."""
        again = f"muniment profile add {self.name} --info-file {folder / INFO_NAME}"
        again += f" --party {self.party} --replace"
        if not (folder / INFO_NAME).exists():
            new = f"{self._up(folder)} && {again}"
            return f"the profile's test network in {folder} is gone; to make another: {new}"
        if self._info(folder).get("genesis_hash", self.genesis_hash) != self.genesis_hash:
            return f"another test network is in {folder} by now; to trust it: {again}"
        return ""

    def node_names(self) -> dict[str, str]:
        """URL -> name of the nodes of a test network that is still there; others have none."""
        folder = self._network()
        info = {} if folder is None else self._info(folder)
        try:
            named = {str(node["rpc"]): str(node["name"]) for node in info["nodes"]}
        except (KeyError, TypeError):
            return {}
        return named if info.get("genesis_hash") == self.genesis_hash else {}

    def key(self) -> PrivateJwk:
        """The signing key. Raises CommandError with exit code 7."""
        if self.jwk_file is None:
            raise CommandError(
                KEY, "NO_KEY", f"profile {self.name} has no key", "add one: --jwk FILE --party ID"
            )
        path = Path(self.jwk_file)
        try:
            return read_private_jwk(path)
        except CommandError as error:
            folder = self._network()
            if folder is not None and not path.exists():
                error.hint = self._lost(folder)
            raise


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

    def pins_another(self, name: str, genesis_hash: str) -> bool:
        """Whether there is a profile of that name which pins another genesis, or is damaged."""
        if not self._path(name).exists():
            return False
        try:
            return self.load(name).genesis_hash != genesis_hash
        except CommandError:
            return True

    def save(self, profile: Profile, *, replace: bool = False) -> None:
        """Write a profile. Raises CommandError when its addresses are not URLs, and unless
        `replace` when one of its name pins another genesis: trust does not change silently."""
        for url in profile.rpc:
            if _URL.fullmatch(url) is None:
                raise CommandError(USAGE, "URL_INVALID", f"{url!r} is not an http(s) URL")
        path = self._path(profile.name)
        if not replace and self.pins_another(profile.name, profile.genesis_hash):
            detail = f"profile {profile.name} is there already and pins another genesis than that"
            detail += f" of {profile.chain_id}; it was left as it is"
            hint = "to let the old one go: --replace; to keep both, choose another name"
            raise CommandError(NEGATIVE, "PROFILE_EXISTS", detail, hint)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        data = msgspec.json.format(msgspec.json.encode(profile)) + b"\n"
        write_replacing(path, data, 0o600)
