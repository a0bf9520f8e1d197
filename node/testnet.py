"""A whole network on one machine: what `munimentd testnet` does."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ledger.parameters import Parameters
from node.answers import NEGATIVE, TEMPORARY, TIMEOUT, USAGE, CommandError
from node.client import RpcRefusal, Unreachable, call_once
from node.home import write_replacing
from node.provision import Ports, init_test_network

VALIDATORS_MAX = 25
START_SECONDS = 60
STOP_SECONDS = 15
HOST = "127.0.0.1"


class NodeInfo(msgspec.Struct):
    """One node of the info file."""

    name: str
    home: str
    pid: int | None
    rpc: str
    metrics: str
    p2p: str


class ClientInfo(msgspec.Struct):
    """One agency's client of the info file."""

    party: str
    kid: str
    jwk_file: str


class Info(msgspec.Struct):
    """The info file (docs/spec/files.md)."""

    chain_id: str
    genesis_hash: str
    nodes: list[NodeInfo]
    clients: list[ClientInfo]
    info_files: list[str] = []
    """Other places where this file is kept up to date."""


def _free_ports(count: int) -> list[int]:
    """Distinct ports that are free now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind((HOST, 0))
        return [item.getsockname()[1] for item in sockets]
    finally:
        for item in sockets:
            item.close()


def _places(count: int, hostnames: str) -> tuple[Ports, ...]:
    """Free ports of this machine, or the default ports of hosts of their own."""
    if hostnames:
        return tuple(
            Ports("0.0.0.0", 26656, 26657, 26660, f"{hostnames}{index}")  # noqa: S104 - asked for
            for index in range(count)
        )
    numbers = _free_ports(3 * count)
    return tuple(
        Ports(HOST, numbers[i], numbers[i + 1], numbers[i + 2]) for i in range(0, 3 * count, 3)
    )


@dataclass(slots=True)
class TestNet:
    """The network under one folder."""

    folder: Path

    @property
    def info_path(self) -> Path:
        """Where the info file lives."""
        return self.folder / "net.json"

    # ----- the info file

    def load(self) -> Info:
        """Read the info file. Raises CommandError when there is no network here."""
        try:
            return msgspec.json.decode(self.info_path.read_bytes(), type=Info)
        except FileNotFoundError:
            raise CommandError(
                USAGE,
                "NO_NETWORK",
                f"no test network in {self.folder}",
                f"make one: munimentd testnet up --validators 4 --home {self.folder} --detach",
            ) from None
        except msgspec.DecodeError as error:
            raise CommandError(NEGATIVE, "INFO_INVALID", f"{self.info_path}: {error}") from None

    def save(self, info: Info) -> None:
        """Write the info file, atomically, everywhere it is kept."""
        data = msgspec.json.format(msgspec.json.encode(info)) + b"\n"
        for path in (self.info_path, *(Path(item) for item in info.info_files)):
            write_replacing(path, data)

    # ----- commands

    def create(self, validators: int, info_file: Path | None, hostnames: str = "") -> Info:
        """Provision homes, keys and genesis. Raises CommandError when one is there already."""
        if self.info_path.exists():
            raise CommandError(USAGE, "NETWORK_EXISTS", f"{self.folder} holds a network already")
        self._check_empty()
        if not 1 <= validators <= VALIDATORS_MAX:
            detail = f"want 1 to {VALIDATORS_MAX} validators, got {validators}"
            raise CommandError(USAGE, "VALIDATORS_OUT_OF_RANGE", detail)
        ports = _places(validators, hostnames)
        made = init_test_network(self.folder, "demo", ports, Parameters())
        info = Info(
            chain_id=made.genesis.chain,
            genesis_hash=made.genesis.hash.hex(),
            nodes=[
                NodeInfo(
                    name=f"val-{index}",
                    home=str(home.path.resolve()),
                    pid=None,
                    rpc=f"http://{place.advertised or HOST}:{place.rpc}",
                    metrics=f"http://{place.advertised or HOST}:{place.metrics}/metrics",
                    p2p=place.address,
                )
                for index, (home, place) in enumerate(zip(made.homes, ports, strict=True))
            ],
            clients=[
                ClientInfo(client.party, client.kid, str(client.jwk_file))
                for client in made.clients
            ],
            info_files=[] if info_file is None else [str(info_file.resolve())],
        )
        self.save(info)
        return info

    def _check_empty(self) -> None:
        """A folder of somebody else's stays as it is. Raises CommandError."""
        if not self.folder.exists():
            return
        found = sorted(self.folder.iterdir()) if self.folder.is_dir() else [self.folder]
        if found:
            what = "is not empty" if self.folder.is_dir() else "is a file"
            detail = f"{self.folder} {what} and holds no test network ({found[0].name}"
            detail += f" and {len(found) - 1} more); nothing was touched"
            hint = "name a folder that is empty or not there yet: --home FOLDER"
            raise CommandError(USAGE, "FOLDER_NOT_EMPTY", detail, hint)

    def up(self, validators: int, info_file: Path | None) -> Info:
        """Provision unless it was done before, start every node, wait until all agree."""
        if self.info_path.exists():
            info = self.load()
            if len(info.nodes) != validators:
                raise CommandError(
                    USAGE,
                    "NETWORK_EXISTS",
                    f"{self.folder} holds a network of {len(info.nodes)} validators",
                    f"remove it: munimentd testnet clean --home {self.folder}",
                )
            if info_file is not None and str(info_file.resolve()) not in info.info_files:
                info.info_files.append(str(info_file.resolve()))
        else:
            info = self.create(validators, info_file)
        for index in range(len(info.nodes)):
            self._spawn(info, index)
        self.save(info)
        self.wait_agreed(info, 1)
        return info

    def _spawn(self, info: Info, index: int) -> None:
        node = info.nodes[index]
        if self._alive(node):
            return
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        with (logs / f"node-{index}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own command, no shell
                [sys.executable, "-m", "node.daemon_cli", "start", "--home", node.home],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        node.pid = process.pid

    @staticmethod
    def _alive(node: NodeInfo) -> bool:
        """Whether the pid is still this node's daemon, and not somebody else's process."""
        if node.pid is None:
            return False
        try:
            command = Path(f"/proc/{node.pid}/cmdline").read_bytes().split(b"\0")
            state = Path(f"/proc/{node.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return False
        return node.home.encode() in command and state != "Z"

    def _node(self, info: Info, index: int) -> NodeInfo:
        if not 0 <= index < len(info.nodes):
            detail = f"want a node from 0 to {len(info.nodes) - 1}, got {index}"
            raise CommandError(USAGE, "NODE_UNKNOWN", detail)
        return info.nodes[index]

    def start(self, index: int) -> Info:
        """Start a node that is down, on the same ports, and wait until it serves."""
        info = self.load()
        node = self._node(info, index)
        self._spawn(info, index)
        self.save(info)
        self._wait_serving(node, time.monotonic() + START_SECONDS, index)
        return info

    def signal(self, index: int, number: signal.Signals) -> Info:
        """Send a signal to a node that this network started."""
        info = self.load()
        node = self._node(info, index)
        if not self._alive(node):
            raise CommandError(
                NEGATIVE,
                "NODE_DOWN",
                f"node {index} is not running",
                f"start it: munimentd testnet start {index} --home {self.folder}",
            )
        assert node.pid is not None
        os.kill(node.pid, number)
        if number == signal.SIGKILL:
            self._wait_gone(node, STOP_SECONDS)
            node.pid = None
            self.save(info)
        return info

    def stop(self) -> Info:
        """SIGTERM to all; SIGKILL to what does not end in time."""
        info = self.load()
        alive = [node for node in info.nodes if self._alive(node)]
        for node in alive:
            assert node.pid is not None
            os.kill(node.pid, signal.SIGCONT)
            os.kill(node.pid, signal.SIGTERM)
        for node in alive:
            if not self._wait_gone(node, STOP_SECONDS):
                assert node.pid is not None
                os.kill(node.pid, signal.SIGKILL)
                self._wait_gone(node, STOP_SECONDS)
        for node in info.nodes:
            node.pid = None
        self.save(info)
        return info

    def clean(self) -> None:
        """Stop all nodes and remove what `up` made; nothing else in the folder is touched."""
        info = self.stop()
        for node in info.nodes:
            shutil.rmtree(node.home, ignore_errors=True)
        for name in ("clients", "logs"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self.info_path.unlink(missing_ok=True)
        if self.folder.exists() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def status(self) -> list[dict[str, Any]]:
        """What each node says of itself, or that it is down."""
        info = self.load()
        rows: list[dict[str, Any]] = []
        for index, node in enumerate(info.nodes):
            row: dict[str, Any] = {"index": index, "name": node.name, "pid": node.pid}
            row["running"] = self._alive(node)
            try:
                row["status"] = (
                    call_once(node.rpc, "node_status", {}, 3) if row["running"] else None
                )
            except (Unreachable, RpcRefusal) as error:
                row["status"] = None
                row["error"] = str(error)
            rows.append(row)
        return rows

    # ----- waiting

    def _wait_gone(self, node: NodeInfo, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if node.pid is not None:
                with suppress(ChildProcessError):  # it is ours only when this command made it
                    os.waitpid(node.pid, os.WNOHANG)
            if not self._alive(node):
                return True
            time.sleep(0.02)
        return False

    def _wait_serving(self, node: NodeInfo, deadline: float, index: int) -> dict[str, Any]:
        while time.monotonic() < deadline:
            if not self._alive(node):
                raise CommandError(
                    TEMPORARY,
                    "NODE_ENDED",
                    f"node {index} ended while starting",
                    f"see {self.folder}/logs/node-{index}.log",
                )
            try:
                status: dict[str, Any] = call_once(node.rpc, "node_status", {}, 3)
                return status
            except (Unreachable, RpcRefusal):
                time.sleep(0.05)
        raise CommandError(
            TIMEOUT,
            "NODE_SILENT",
            f"node {index} does not serve after {START_SECONDS} s",
            f"see {self.folder}/logs/node-{index}.log",
        )

    def wait_agreed(self, info: Info, height: int) -> None:
        """Until every node serves and all have the same block at `height`."""
        deadline = time.monotonic() + START_SECONDS
        for index, node in enumerate(info.nodes):
            self._wait_serving(node, deadline, index)
        while time.monotonic() < deadline:
            hashes = set()
            for node in info.nodes:
                try:
                    answer = call_once(node.rpc, "chain_getHeader", {"height": height}, 3)
                    hashes.add(answer["block_hash"])
                except (Unreachable, RpcRefusal):
                    hashes.add("")
            if len(hashes) == 1 and "" not in hashes:
                return
            time.sleep(0.05)
        raise CommandError(
            TIMEOUT,
            "NO_AGREEMENT",
            f"the nodes do not agree on height {height} after {START_SECONDS} s",
            f"see {self.folder}/logs",
        )
