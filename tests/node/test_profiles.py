"""Profiles: pinned trust, private files, keys that others must not read."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from ledger.jwk import PrivateJwk
from node.answers import KEY, NOT_FOUND, USAGE, CommandError
from node.profiles import Profile, Profiles, client_home, read_private_jwk
from tests.builders import make_genesis, seed


@pytest.fixture
def profiles(tmp_path: Path) -> Profiles:
    return Profiles(tmp_path / "home")


def profile(name: str = "demo", url: str = "http://127.0.0.1:1") -> Profile:
    genesis = make_genesis(4).genesis
    return Profile(
        name=name,
        rpc=(url,),
        chain_id=genesis.chain,
        genesis_hash=genesis.hash.hex(),
        genesis=genesis.to_json(),
    )


def code(caught: pytest.ExceptionInfo[CommandError]) -> tuple[int, str]:
    return caught.value.code, caught.value.reason


def test_saved_loaded_used_and_listed(profiles: Profiles, tmp_path: Path) -> None:
    assert profiles.names() == []
    for name in ("b", "a"):
        profiles.save(profile(name))
    assert profiles.names() == ["a", "b"]
    assert profiles.load("a") == profile("a")
    path = tmp_path / "home" / "profiles" / "a.json"
    assert path.stat().st_mode & 0o777 == 0o600
    profiles.use("b")
    assert profiles.load().name == "b"


def test_the_environment_names_a_profile(
    profiles: Profiles, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    profiles.save(profile("a"))
    monkeypatch.setenv("MUNIMENT_PROFILE", "a")
    assert profiles.load().name == "a"
    monkeypatch.setenv("MUNIMENT_CLIENT_HOME", str(tmp_path))
    assert client_home() == tmp_path
    monkeypatch.delenv("MUNIMENT_CLIENT_HOME")
    assert client_home().name == "muniment"


def test_what_is_missing(profiles: Profiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUNIMENT_PROFILE", raising=False)
    with pytest.raises(CommandError) as caught:
        profiles.load()
    assert code(caught) == (USAGE, "NO_PROFILE")
    with pytest.raises(CommandError) as caught:
        profiles.use("nobody")
    assert code(caught) == (NOT_FOUND, "PROFILE_UNKNOWN")


@pytest.mark.parametrize("name", ["../x", "", "A", "a/b", "a" * 33, "-a", "é", "a\n"])
def test_names_are_no_paths(profiles: Profiles, name: str) -> None:
    with pytest.raises(CommandError) as caught:
        profiles.save(profile(name))
    assert code(caught) == (USAGE, "PROFILE_NAME")


@pytest.mark.parametrize("url", ["ftp://x", "x", "http://", "file:///etc/passwd", "http:// x"])
def test_addresses_are_urls(profiles: Profiles, url: str) -> None:
    with pytest.raises(CommandError) as caught:
        profiles.save(profile(url=url))
    assert code(caught) == (USAGE, "URL_INVALID")


def test_a_profile_whose_genesis_is_not_the_pinned_one(profiles: Profiles, tmp_path: Path) -> None:
    profiles.save(profile())
    path = tmp_path / "home" / "profiles" / "demo.json"
    value = json.loads(path.read_bytes())
    value["genesis"]["time_ms"] += 1
    for data in (json.dumps(value).encode(), b"{}", b"\xff", b"[" * 5000):
        path.write_bytes(data)
        with pytest.raises(CommandError) as caught:
            profiles.load("demo")
        assert code(caught) == (USAGE, "PROFILE_INVALID")


def test_keys(tmp_path: Path) -> None:
    path = tmp_path / "k.jwk"
    key = PrivateJwk.signing(seed("k"))
    path.write_bytes(msgspec.json.encode(key.to_json()))
    path.chmod(0o600)
    assert read_private_jwk(path).public == key.public
    path.chmod(0o640)
    with pytest.raises(CommandError) as caught:
        read_private_jwk(path)
    assert code(caught) == (KEY, "KEY_FILE_MODE")
    path.chmod(0o600)
    for data in (b"", b"{}", b"\xff", b"7", b"[" * 5000, b'{"kty":"RSA"}'):
        path.write_bytes(data)
        with pytest.raises(CommandError) as caught:
            read_private_jwk(path)
        assert code(caught) == (KEY, "KEY_FILE")
    with pytest.raises(CommandError) as caught:
        profile().key()
    assert code(caught) == (KEY, "NO_KEY")
