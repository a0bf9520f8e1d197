"""Real networks on loopback for the tests: started, driven, killed by pid, always cleaned up."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ledger import base64url, transaction
from ledger.crypto import Ed25519Signer, Signer
from ledger.genesis import Genesis
from ledger.ids import ChainId, PartyId
from ledger.jwk import Jwk, PrivateJwk
from ledger.parameters import Parameters
from ledger.signed_text import approval_text, possession_text
from node.client import RpcRefusal, call_once
from node.provision import Ports, init_test_network
from node.testnet import ClientInfo, Info, NodeInfo
from tests.builders import kid_of

BIN = Path(sys.executable).parent
AGENCIES = ("health-agency", "land-registry", "treasury", "interior-ministry")
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def run(
    *command: str | Path,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    seconds: float = 60,
    program: str = "munimentd",
) -> subprocess.CompletedProcess[bytes]:
    """One command to its end, without a terminal."""
    return subprocess.run(
        [str(BIN / program), *map(str, command)],
        input=b"" if stdin is None else stdin,
        capture_output=True,
        timeout=seconds,
        env={**os.environ, **(env or {})},
        check=False,
    )


def until(condition: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    """The first true value of `condition`; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return value


def free_ports(count: int) -> list[int]:
    """Distinct ports that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]


def rpc_bytes(url: str, body: bytes, seconds: float = 20) -> bytes:
    """POST raw bytes as JSON-RPC; the answer's body."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with _direct.open(request, timeout=seconds) as response:
        answer: bytes = response.read()
        return answer


@dataclass
class Net:
    """One test network under a folder."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    _serial: int = 0

    # ----- life

    def provision(self, parameters: Parameters, validators: int = 4) -> None:
        """Homes and info file of a network with other parameters than `testnet up` sets."""
        numbers = free_ports(3 * validators)
        ports = tuple(
            Ports("127.0.0.1", numbers[3 * index], numbers[3 * index + 1], numbers[3 * index + 2])
            for index in range(validators)
        )
        made = init_test_network(self.folder, "demo", ports, parameters)
        info = Info(
            chain_id=made.genesis.chain,
            genesis_hash=made.genesis.hash.hex(),
            nodes=[
                NodeInfo(
                    name=f"val-{index}",
                    home=str(home.path),
                    pid=None,
                    rpc=f"http://127.0.0.1:{place.rpc}",
                    metrics=f"http://127.0.0.1:{place.metrics}/metrics",
                    p2p=f"127.0.0.1:{place.p2p}",
                )
                for index, (home, place) in enumerate(zip(made.homes, ports, strict=True))
            ],
            clients=[ClientInfo(c.party, c.kid, str(c.jwk_file)) for c in made.clients],
        )
        (self.folder / "net.json").write_bytes(msgspec.json.encode(info))

    def up(self, validators: int = 4) -> None:
        """Start all nodes; returns when they agree on block 1."""
        self.testnet("up", "--validators", str(validators), "--detach")

    def testnet(self, *command: str) -> dict[str, Any]:
        """`munimentd testnet ...`, which must succeed; its data."""
        done = run("testnet", *command, "--home", self.folder, "--json", env=self.environment)
        assert done.returncode == 0, (command, done.stdout, done.stderr, self.tails())
        data: dict[str, Any] = json.loads(done.stdout)["data"]
        return data

    def clean(self) -> None:
        """Stop everything by pid and remove it."""
        if not (self.folder / "net.json").exists():
            return
        pids = [node.pid for node in self.info.nodes if node.pid is not None]
        run("testnet", "clean", "--home", self.folder)
        for pid in pids:
            command = Path(f"/proc/{pid}/cmdline")
            if command.exists() and str(self.folder).encode() in command.read_bytes():
                os.kill(pid, signal.SIGKILL)

    @property
    def info(self) -> Info:
        """The info file as it is now."""
        return msgspec.json.decode((self.folder / "net.json").read_bytes(), type=Info)

    @property
    def genesis(self) -> Genesis:
        """The genesis document."""
        return Genesis.decode((self.home(0) / "genesis.json").read_bytes())

    @property
    def chain(self) -> ChainId:
        """The chain's id."""
        return self.genesis.chain

    def home(self, index: int) -> Path:
        """Home of a node."""
        return self.folder / f"node-{index}"

    def pid(self, index: int) -> int:
        """Process of a node."""
        pid = self.info.nodes[index].pid
        assert pid is not None
        return pid

    def port(self, index: int, what: str = "rpc") -> int:
        """Port of a node's rpc or p2p door."""
        node = self.info.nodes[index]
        return int((node.rpc if what == "rpc" else node.p2p).rpartition(":")[2])

    def logs(self) -> str:
        """What all nodes said."""
        return "".join(
            path.read_text(errors="replace") for path in sorted(self.folder.glob("logs/*.log"))
        )

    def tails(self) -> str:
        """The last lines of each node's log, for a failing test."""
        return "\n".join(
            "\n".join([path.name, *path.read_text(errors="replace").split("\n")[-25:]])
            for path in sorted(self.folder.glob("logs/*.log"))
        )

    def kill(self, *indexes: int, number: signal.Signals = signal.SIGKILL) -> None:
        """Signal nodes at once, by pid; after SIGKILL they are gone when this returns."""
        pids = [self.pid(index) for index in indexes]
        for pid in pids:
            os.kill(pid, number)
        if number == signal.SIGKILL:
            until(lambda: not any(_alive(pid) for pid in pids), "killed")

    def start(self, *indexes: int) -> None:
        """Start nodes that are down; returns when each serves."""
        for index in indexes:
            self.testnet("start", str(index))

    # ----- RPC

    def call(self, index: int, method: str, seconds: float = 20, **params: Any) -> Any:
        """One call. Raises RpcRefusal or Unreachable."""
        return call_once(self.info.nodes[index].rpc, method, params, seconds)

    def refusal(self, index: int, method: str, **params: Any) -> RpcRefusal:
        """The error that a call must give."""
        try:
            answer = self.call(index, method, **params)
        except RpcRefusal as error:
            return error
        raise AssertionError(f"{method} answered {answer}")

    def status(self, index: int) -> dict[str, Any]:
        """node_status."""
        answer: dict[str, Any] = self.call(index, "node_status")
        return answer

    def metric(self, index: int, name: str) -> float:
        """Sum of a metric's samples whose line contains `name`."""
        with _direct.open(self.info.nodes[index].metrics, timeout=10) as response:
            text = response.read().decode()
        lines = [line for line in text.split("\n") if name in line and not line.startswith("#")]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def batch(self, index: int, method: str, many: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Results of many calls of one method, in order."""
        url = self.info.nodes[index].rpc
        results: list[Any] = []
        for first in range(0, len(many), 100):
            calls = [
                {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
                for number, params in enumerate(many[first : first + 100])
            ]
            answers = json.loads(rpc_bytes(url, json.dumps(calls).encode()))
            results += [answer["result"] for answer in answers]
        return results

    # ----- transactions

    def signer(self, party: str) -> Ed25519Signer:
        """The signing key of an agency; `<agency>.recovery` gives its recovery key."""
        path = self.folder / "clients" / f"{party}.jwk"
        key = PrivateJwk.from_json(json.loads(path.read_bytes())).signer()
        assert isinstance(key, Ed25519Signer)
        return key

    def claims(self, party: str, ops: Sequence[Any], **changes: Any) -> dict[str, Any]:
        """Claims of a transaction; `changes` replace or add members."""
        self._serial += 1
        return {
            "iss": party,
            "aud": self.chain,
            "jti": f"t{self._serial}",
            "exp": int(time.time()) + 3600,
            "ops": list(ops),
            **changes,
        }

    def sign(
        self, party: str, *ops: Mapping[str, Any], key: Signer | None = None, **changes: Any
    ) -> str:
        """A compact transaction."""
        claims = self.claims(party, ops, **changes)
        return transaction.sign(claims, key or self.signer(party)).decode()

    def approved(
        self, party: str, ops: Sequence[Mapping[str, Any]], agencies: Sequence[str], **changes: Any
    ) -> str:
        """A compact transaction whose every operation these agencies approve."""
        claims = self.claims(party, [], **changes)
        keys = {agency: self.signer(agency) for agency in agencies}
        for index, op in enumerate(ops):
            text = approval_text(self.chain, PartyId(party), claims["jti"], index, dict(op))
            approvals = [
                {
                    "agency": agency,
                    "kid": kid_of(key),
                    "signature": base64url.encode(key.sign(text)),
                }
                for agency, key in keys.items()
            ]
            claims["ops"].append({**op, "approvals": approvals})
        return transaction.sign(claims, self.signer(party)).decode()

    def commit(self, compact: str, index: int = 0, seconds: float = 20) -> dict[str, Any]:
        """Submit and wait until the transaction is in a block; its fate."""
        txid = self.call(index, "tx_submit", tx=compact)["id"]
        fate: dict[str, Any] = self.call(
            index, "tx_wait", seconds + 5, id=txid, timeout_ms=int(seconds * 1000)
        )
        assert fate["status"] in ("committed", "refused"), fate
        return fate

    def heads(self, indexes: Sequence[int] = (0, 1, 2, 3)) -> set[tuple[int, str]]:
        """(height, block hash) of each head."""
        found = [self.status(index) for index in indexes]
        return {(status["height"], status["block_hash"]) for status in found}

    def wait_equal(self, indexes: Sequence[int] = (0, 1, 2, 3), seconds: float = 40) -> int:
        """Until these nodes have one head and nothing waits; its height."""

        def equal() -> bool:
            waiting = sum(self.status(i)["mempool"]["transactions"] for i in indexes)
            return waiting == 0 and len(self.heads(indexes)) == 1

        until(equal, "equal heads", seconds)
        return int(self.status(indexes[0])["height"])


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@contextlib.contextmanager
def network(
    folder: Path,
    *,
    parameters: Parameters | None = None,
    environment: Mapping[str, str] | None = None,
    validators: int = 4,
) -> Iterator[Net]:
    """A running network that is cleaned up whatever happens."""
    net = Net(folder / "net", dict(environment or {}))
    try:
        if parameters is not None:
            net.provision(parameters, validators)
        net.up(validators)
        yield net
        assert '"internal error"' not in net.logs()
    finally:
        net.clean()


def document(number: int | str = 0, kind: str = "permit") -> dict[str, Any]:
    """document.register of some commitment."""
    return {
        "op": "document.register",
        "type": kind,
        "title_code": "building",
        "commitment": f"{number:0>64}",
    }


def client_operation(chain: ChainId, party: str, *keys: Ed25519Signer) -> dict[str, Any]:
    """party.register of a client with these keys."""
    return {
        "op": "party.register",
        "kind": "client",
        "party": party,
        "keys": [Jwk.signing(key.public_key).to_json() for key in keys],
        "proofs": [
            base64url.encode(key.sign(possession_text(chain, party, kid_of(key)))) for key in keys
        ],
    }
