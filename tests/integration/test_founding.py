"""docs/operations/founding.md, typed for four agencies whose nodes are on this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ledger.genesis import Genesis
from node import daemon_cli
from node.client import RpcRefusal, Unreachable, call_once
from tests.integration.guide import Block, blocks
from tests.integration.network import AGENCIES, BIN, free_ports, until

pytestmark = pytest.mark.process
PAGE = Path(__file__).parent.parent.parent / "docs" / "operations" / "founding.md"
STEPS = [block for block in blocks(PAGE) if block.kind == "sh"]
SECONDS = 60
_runner = CliRunner()


@dataclass
class Agency:
    """One operator: a folder, names, ports, and the daemon once it runs."""

    folder: Path
    index: int
    ports: list[int]
    process: subprocess.Popen[bytes] | None = None
    shown: str = field(default="")

    @property
    def name(self) -> str:
        return AGENCIES[self.index]

    @property
    def node(self) -> Path:
        return self.folder / f"val-{self.index}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """What the page lets the operator set, and ports that four on one machine do not share."""
        return {
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "MUNIMENT_CLIENT_HOME": str(self.folder / "client"),
            "MUNIMENT_RPC__LISTEN": f"127.0.0.1:{self.ports[1]}",
            "MUNIMENT_METRICS__LISTEN": f"127.0.0.1:{self.ports[2]}",
            "CHAIN": "city",
            "AGENCY": self.name,
            "VALIDATOR": f"val-{self.index}",
            "ADDRESS": f"127.0.0.1:{self.ports[0]}",
            "NODE": str(self.node),
            "RPC": self.url,
        }

    def type(self, block: Block) -> None:
        """Type a block; its output is kept."""
        done = subprocess.run(
            ["sh", "-eu", "-c", block.text],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (block.where, self.name, done.stdout, done.stderr)
        self.shown += done.stdout

    def start(self) -> None:
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [str(BIN / "munimentd"), "start", "--home", str(self.node)],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def height(self) -> int:
        """Its head's height; -1 until it serves."""
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()[-3_000:]
        try:
            return int(call_once(self.url, "node_status", {}, 5)["height"])
        except (Unreachable, RpcRefusal):
            return -1


@pytest.fixture(scope="module")
def agencies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Agency]]:
    """Four operators who followed the page to its end."""
    root = tmp_path_factory.mktemp("founding")
    ports = free_ports(12)
    made = [Agency(root / name, i, ports[3 * i : 3 * i + 3]) for i, name in enumerate(AGENCIES)]
    try:
        for agency in made:
            agency.folder.mkdir()
        for block in STEPS:
            follow(block, made)
        yield made
    finally:
        for agency in made:
            if agency.process is not None:
                agency.process.kill()
                agency.process.wait(30)


def follow(block: Block, made: list[Agency]) -> None:
    """A block of the page, by those for whom it is, and what they mail to one another."""
    if block.file == "one":
        for agency in made[1:]:
            shutil.copytree(agency.folder / agency.name, made[0].folder / agency.name)
        made[0].type(block)
        for agency in made[1:]:
            shutil.copy(made[0].folder / "genesis.json", agency.folder)
        return
    if block.file == "started":
        for agency in made:
            agency.start()
        until(lambda: all(agency.height() >= 0 for agency in made), "all serve", SECONDS)
    for agency in made:
        agency.type(block)


def test_four_operators_found_a_network(agencies: list[Agency]) -> None:
    assert {block.file for block in STEPS} == {"each", "one", "started"}
    genesis = Genesis.decode((agencies[0].node / "genesis.json").read_bytes())
    for agency in agencies:
        assert (agency.node / "genesis.json").read_bytes() == genesis.encode()
        for shown in (genesis.hash.hex(), "voting  yes", "quorum 3, tolerates 1", "VALID"):
            assert shown in agency.shown, (agency.name, shown, agency.shown)
        mode = (agency.node / "keys" / "vote_key.json").stat().st_mode & 0o777
        assert mode == 0o600
    head = until(
        lambda: len({agency.height() for agency in agencies}) == 1 and agencies[0].height(),
        "equal heads",
    )
    hashes = {
        call_once(agency.url, "chain_getHeader", {"height": head})["block_hash"]
        for agency in agencies
    }
    assert len(hashes) == 1


# ----- what can be wrong


def daemon(*command: str | Path) -> dict[str, Any]:
    """`munimentd … --json` in this process: its exit code, and its data or error."""
    done = _runner.invoke(daemon_cli.app, [*map(str, command), "--json"], input="")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    answer = json.loads(done.stdout)
    found: dict[str, Any] = answer["data"] if answer["ok"] else answer["error"]
    return {**found, "exit": done.exit_code}


def parts(agencies: list[Agency]) -> list[str]:
    """Options of `genesis new` for these agencies, whose public files lie with the first."""
    folder = agencies[0].folder
    options: list[str] = []
    for name in (agency.name for agency in agencies):
        options += ["--agency", f"{name}={name}", "--key", f"{name}={folder / name}/key.jwk"]
        options += ["--recovery-key", f"{name}={folder / name}/recovery.jwk"]
        options += ["--member", f"{name}={folder / name}/member.json"]
    return options


def test_a_document_says_what_is_wrong_with_it(agencies: list[Agency], tmp_path: Path) -> None:
    options, file = parts(agencies), tmp_path / "g.json"
    new = ("genesis", "new", "--name", "city", "-o", file)
    made = daemon(*new, *options, "--parameter", "effects_max=96", "--time", "2026-01-31T12:00:00Z")
    assert (made["exit"], made["parameters"], made["faults"]) == (0, {"effects_max": 96}, 1)
    assert made["time_ms"] == 1_769_860_800_000
    assert daemon("genesis", "show", file)["genesis_hash"] == made["genesis_hash"]
    assert daemon("genesis", "hash", file)["genesis_hash"] == made["genesis_hash"]
    assert (daemon(*new, *options)["exit"], daemon(*new, *options)["reason"]) == (1, "FILE_EXISTS")
    other = tmp_path / "other.json"
    private = f"treasury={agencies[2].folder}/treasury.jwk"
    junk = tmp_path / "junk"
    junk.write_text("{}")
    for change, code, reason in (
        (("--parameter", "effects=96"), 2, "PARAMETER_UNKNOWN"),
        (("--parameter", "effects_max=1"), 1, "GENESIS_INVALID"),
        (("--parameter", "effects_max=x"), 2, "OPTION"),
        (("--time", "yesterday"), 2, "OPTION"),
        (("--time", "2026-01-31T12:00:00"), 2, "OPTION"),
        (("--key", private), 7, "KEY_PRIVATE"),
        (("--key", f"treasury={junk}"), 2, "FILE_INVALID"),
        (("--key", f"treasury={tmp_path}/none"), 3, "FILE_UNREADABLE"),
        (("--member", f"treasury={junk}"), 2, "FILE_INVALID"),
        (("--member", f"city-hall={junk}"), 2, "AGENCY_UNKNOWN"),
        (("--agency", "city-hall=city-hall"), 2, "KEY_MISSING"),
        (("--agency", "city-hall"), 2, "OPTION"),
        (("--agency", "treasury=other"), 2, "OPTION"),
        (("--name", "town"), 1, "GENESIS_INVALID"),
    ):
        error = daemon("genesis", "new", "--name", "city", "-o", other, *options, *change)
        assert (error["exit"], error["reason"]) == (code, reason), (change, error)
        assert not other.exists()
    error = daemon("genesis", "new", *options, "--name", "town", "-o", other)
    assert "--chain-name town" in error["hint"]


def test_a_home_is_checked_against_the_document(agencies: list[Agency], tmp_path: Path) -> None:
    file = agencies[0].folder / "genesis.json"
    made = daemon("genesis", "check", file, "--home", agencies[1].node)
    assert (made["exit"], made["member"], made["valid"]) == (0, "val-1", True)
    assert any("cannot be reached from other machines" in line for line in made["warnings"])
    pinned = daemon("genesis", "check", file, "--hash", "0" * 64)
    assert (pinned["exit"], pinned["reason"]) == (1, "GENESIS_MISMATCH")
    for name, reason in (("val-9", "MEMBER_UNKNOWN"), ("val-0", "KEY_MISMATCH")):
        home = tmp_path / name
        assert daemon("init", "--name", name, "--chain-name", "city", "--home", home)["exit"] == 0
        error = daemon("genesis", "check", file, "--home", home)
        assert (error["exit"], error["reason"]) == (1, reason)
    assert daemon("genesis", "check", file, "--home", tmp_path / "none")["exit"] == 64
    changed = tmp_path / "changed.json"
    changed.write_bytes(file.read_bytes() + b"\n")
    for command in ("check", "show", "hash"):
        assert daemon("genesis", command, changed)["reason"] == "GENESIS_INVALID"
        assert daemon("genesis", command, tmp_path / "none")["exit"] == 3
    few = daemon("genesis", "new", "--name", "city", "-o", tmp_path / "2", *parts(agencies[:2]))
    assert any("none may fail" in line for line in few["warnings"])


def test_an_address_is_of_a_host_and_a_port(tmp_path: Path) -> None:
    init = ("init", "--name", "val-0", "--chain-name", "city", "--home", tmp_path / "h")
    for address in ("nowhere", "host:", "host:0", "host:99999", ":5", "::1:5"):
        error = daemon(*init, "--address", address)
        assert (error["exit"], error["reason"]) == (2, "ADDRESS_INVALID"), address
    made = daemon(*init, "--address", "val-0.example.org:26700")
    assert made["member"]["address"] == "val-0.example.org:26700"
    assert json.loads(Path(made["member_file"]).read_bytes()) == made["member"]
    shown = daemon("config", "show", "--home", tmp_path / "h")
    assert shown["p2p"]["listen"] == "0.0.0.0:26700"
    assert shown["rpc"]["listen"] == "127.0.0.1:26657"


def test_only_peers_are_listened_for_unless_asked(tmp_path: Path) -> None:
    def made(*options: str) -> dict[str, Any]:
        home = tmp_path / "-".join(("h", *options)).replace("/", "")
        init = ("init", "--name", "val-0", "--chain-name", "city", "--home", home)
        told = daemon(*init, *options)
        assert told["exit"] == 0, told
        shown = daemon("config", "show", "--home", home)
        listen = [shown[part]["listen"].rpartition(":")[0] for part in ("p2p", "rpc", "metrics")]
        return {
            "listen": listen,
            "address": told["member"]["address"],
            "names": shown["rpc"]["allowed_hosts"],
        }

    here, own = "127.0.0.1", ["127.0.0.1", "localhost", "[::1]"]
    address = ("--address", "val-0.example.org:26656")
    for options, listen, names in (
        ((), [here, here, here], own),
        (("--host", "10.0.0.5"), ["10.0.0.5", here, here], own),
        (("--host", "::"), ["[::]", here, here], own),
        (address, ["0.0.0.0", here, here], own),
        ((*address, "--host", "10.0.0.5"), ["10.0.0.5", here, here], own),
        (("--rpc-host", "10.0.0.6"), [here, "10.0.0.6", here], [*own, "10.0.0.6"]),
        (("--rpc-host", "[fd00::6]"), [here, "[fd00::6]", here], [*own, "[fd00::6]"]),
        (("--rpc-host", "0.0.0.0"), [here, "0.0.0.0", here], own),
        (
            (*address, "--rpc-host", "0.0.0.0"),
            ["0.0.0.0", "0.0.0.0", here],
            [*own, "val-0.example.org"],
        ),
        (("--metrics-host", "10.0.0.7"), [here, here, "10.0.0.7"], own),
    ):
        found = made(*options)
        assert (found["listen"], found["names"]) == (listen, names), options
    assert made("--host", "10.0.0.5", "--p2p-port", "5")["address"] == "10.0.0.5:5"
    init = ("init", "--name", "val-0", "--chain-name", "city", "--home", tmp_path / "bad")
    for option in ("--host", "--rpc-host", "--metrics-host"):
        for host in ("", "a b", "host:5", "1:2", "0.0.0.0:5"):
            error = daemon(*init, option, host)
            assert (error["exit"], error["reason"]) == (2, "HOST_INVALID"), (option, host)
    assert not (tmp_path / "bad").exists()


def test_status_of_a_node_that_listens_on_all_addresses(
    agencies: list[Agency], monkeypatch: pytest.MonkeyPatch
) -> None:
    for listen in ("0.0.0.0", "127.0.0.1"):
        monkeypatch.setenv("MUNIMENT_RPC__LISTEN", f"{listen}:{agencies[0].ports[1]}")
        told = daemon("status", "--home", agencies[0].node)
        assert (told["exit"], told.get("name")) == (0, "val-0"), told
