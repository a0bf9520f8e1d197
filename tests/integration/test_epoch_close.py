"""A validator that lost its vote store gets back in with a new key, by agreement of a quorum.

Everything goes through the commands that the agencies' officials would type.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BIN = Path(__file__).parent.parent.parent / ".venv" / "bin"


class Network:
    """Four validators and a client home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "net"
        self.environment = {**os.environ, "MUNIMENT_CLIENT_HOME": str(folder / "client")}

    def run(self, *words: str) -> Any:
        command = [str(BIN / words[0]), *words[1:], "--json"]
        done = subprocess.run(
            command,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)["data"]

    def statuses(self) -> list[dict[str, Any]]:
        nodes = self.run("munimentd", "testnet", "status", "--home", str(self.home))["nodes"]
        return [node["status"] for node in nodes]

    def until(self, what: str, true: Any, seconds: float = 40) -> list[dict[str, Any]]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.statuses()
            if all(found) and true(found):
                return found
            time.sleep(0.3)
        raise AssertionError(f"{what}: {self.statuses()}")


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Network]:
    network = Network(tmp_path)
    home = str(network.home)
    network.run("munimentd", "testnet", "up", "--validators", "4", "--home", home, "--detach")
    try:
        info = str(network.home / "net.json")
        for party in ("health-agency", "land-registry", "treasury"):
            network.run("muniment", "profile", "add", party, "--info-file", info, "--party", party)
        yield network
    finally:
        network.run("munimentd", "testnet", "clean", "--home", home)


@pytest.mark.process
def test_a_wiped_validator_votes_again_with_a_new_key(net: Network, tmp_path: Path) -> None:
    home = str(net.home)
    net.run("munimentd", "testnet", "kill", "3", "--home", home)
    shutil.rmtree(net.home / "node-3" / "data")
    net.run("munimentd", "testnet", "start", "3", "--home", home)
    found = net.until("caught up", lambda rows: rows[3]["height"] == rows[0]["height"])
    assert "VOTE_STORE_LOST" in found[3]["not_voting_reason"]

    # A new home for the same member: new keys, and a vote store made by init.
    net.run("munimentd", "testnet", "kill", "3", "--home", home)
    node = net.home / "node-3"
    kept = {name: (node / name).read_bytes() for name in ("config.toml", "genesis.json")}
    shutil.rmtree(node)
    made = net.run(
        *("munimentd", "init", "--name", "val-3", "--chain-name", "demo", "--home", str(node))
    )
    for name, data in kept.items():
        (node / name).write_bytes(data)

    validators = net.run("muniment", "validators", "--profile", "treasury")
    fields = ("agency", "name", "vote_key", "transport_certificate", "address")
    members = [{name: item[name] for name in fields} for item in validators["members"]]
    for name in ("vote_key", "transport_certificate"):
        members[3][name] = made["member"][name]
    chain = net.statuses()[0]["chain_id"]
    proof = net.run("munimentd", "prove-vote-key", "--home", str(node), "--chain-id", chain)[
        "vote_key_proof"
    ]
    operation = tmp_path / "close.json"
    operation.write_text(
        json.dumps(
            {
                "op": "sys.epoch_close",
                "epoch": 0,
                "members": members,
                "proofs": {"val-3": proof},
                "approvals": [],
            }
        )
    )
    for party in ("health-agency", "land-registry", "treasury"):
        net.run(
            *("muniment", "approve", str(operation), "--jti", "close-0", "--iss", "treasury"),
            *("--add", "--profile", party),
        )
    net.run("muniment", "submit", str(operation), "--jti", "close-0", "--profile", "treasury")
    net.run("munimentd", "testnet", "start", "3", "--home", home)
    net.until(
        "epoch 1, all four vote",
        lambda rows: all(row["epoch"] == 1 and row["voting"] for row in rows),
    )
    document = tmp_path / "deed.txt"
    document.write_text("a deed")
    net.run("muniment", "document", "register", str(document), "--profile", "treasury")
    verdict = net.run("muniment", "receipt", "verify", str(document), "--profile", "treasury")
    assert verdict["epoch"] == 1

    _commit_needs_the_new_key(net, tmp_path)


def _commit_needs_the_new_key(net: Network, tmp_path: Path) -> None:
    """With one of the others dead, a commit needs the new key's vote."""
    home = str(net.home)
    net.run("munimentd", "testnet", "kill", "1", "--home", home)
    another = tmp_path / "another.txt"
    another.write_text("another deed")
    net.run("muniment", "document", "register", str(another), "--profile", "treasury")
    height = net.run("muniment", "block", "show", "--profile", "treasury")["height"]
    certificate = net.run(
        "muniment", "rpc", "chain_getCertificate", f"height={height}", "--profile", "treasury"
    )["certificate"]
    assert [member for member, _ in certificate["signatures"]] == [0, 2, 3]
