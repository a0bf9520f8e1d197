"""Four real daemons at default settings in a folder of their own, and what /proc says of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ledger import base64url
from ledger.crypto import Ed25519Signer
from ledger.ids import ChainId
from ledger.parameters import Parameters
from node.provision import Ports, TestNetwork, init_test_network

CHAIN_NAME = "bench-of-the-northern-provinces"
TICKS = os.sysconf("SC_CLK_TCK")


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    for item in sockets:
        item.bind(("127.0.0.1", 0))
    ports: list[int] = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


@dataclass
class Network:
    """Running daemons."""

    folder: Path
    made: TestNetwork
    processes: list[subprocess.Popen[bytes] | None] = field(default_factory=list)

    def start(self, index: int) -> None:
        """Start one daemon."""
        log = (self.folder / f"node-{index}.log").open("ab")
        command = [sys.executable, "-m", "node.daemon_cli"]
        command += ["start", "--home", str(self.made.homes[index].path)]
        process = subprocess.Popen(command, stderr=log, stdin=subprocess.DEVNULL)
        log.close()
        while len(self.processes) <= index:
            self.processes.append(None)
        self.processes[index] = process

    def kill(self, index: int) -> None:
        """SIGKILL one daemon that this object started."""
        process = self.processes[index]
        assert process is not None
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.processes[index] = None

    def url(self, index: int) -> str:
        """Where a daemon serves JSON-RPC."""
        return f"http://127.0.0.1:{self.made.ports[index].rpc}/"

    def call(self, index: int, method: str, **params: Any) -> Any:
        """One JSON-RPC call; raises RuntimeError on an error answer."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        request = urllib.request.Request(
            self.url(index), body.encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=70) as response:
            answer = json.loads(response.read())
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def wait_ready(self, seconds: float = 30) -> None:
        """Until every daemon says that it is ready."""
        deadline = time.monotonic() + seconds
        waiting = [i for i, process in enumerate(self.processes) if process is not None]
        while waiting and time.monotonic() < deadline:
            try:
                if self.call(waiting[0], "node_health")["ready"]:
                    waiting.pop(0)
                    continue
            except (OSError, RuntimeError):
                pass
            time.sleep(0.1)
        if waiting:
            raise RuntimeError(f"node {waiting[0]} is not ready after {seconds} s")

    def cpu_seconds(self) -> float:
        """User and system time of all daemons so far."""
        total = 0
        for process in self.processes:
            if process is not None:
                fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
                total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def rss_mb(self) -> float:
        """Largest resident set of a daemon."""
        sizes = []
        for process in self.processes:
            if process is not None:
                pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
                sizes.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
        return max(sizes)

    def metric(self, index: int, name: str) -> float:
        """A metric without labels."""
        url = f"http://127.0.0.1:{self.made.ports[index].metrics}/metrics"
        with urllib.request.urlopen(url, timeout=10) as response:
            for line in response.read().decode().splitlines():
                if line.startswith(name + " "):
                    return float(line.split()[1])
        raise RuntimeError(f"no metric {name}")

    def disk_bytes(self) -> int:
        """Bytes under all data folders."""
        return sum(
            path.stat().st_size
            for home in self.made.homes
            for path in home.data.rglob("*")
            if path.is_file()
        )

    @property
    def chain(self) -> ChainId:
        """The chain's id."""
        return self.made.genesis.chain

    def agencies(self) -> list[tuple[str, Ed25519Signer]]:
        """(party, key) of each agency's client."""
        signers = []
        for client in self.made.clients:
            jwk = json.loads(client.jwk_file.read_text())
            signers.append((client.party, Ed25519Signer(base64url.decode(jwk["d"]))))
        return signers

    def stop(self) -> None:
        """SIGTERM, then SIGKILL, to what this object started."""
        alive = [process for process in self.processes if process is not None]
        for process in alive:
            process.terminate()
        for process in alive:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def network(validators: int = 4, parameters: Parameters | None = None) -> Iterator[Network]:
    """A network that is ready; ended and removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="muniment-bench-"))
    numbers = free_ports(3 * validators)
    ports = tuple(
        Ports("127.0.0.1", numbers[i], numbers[i + 1], numbers[i + 2])
        for i in range(0, 3 * validators, 3)
    )
    made = init_test_network(folder, CHAIN_NAME, ports, parameters or Parameters())
    running = Network(folder, made)
    try:
        for index in range(validators):
            running.start(index)
        running.wait_ready()
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)
