"""How a daemon ends: exit codes, a clear line on standard error, and whole after a restart."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ledger.parameters import Parameters
from node.client import RpcRefusal, Unreachable
from tests.integration.network import BIN, Net, document, run, until

pytestmark = pytest.mark.process
PARTY = "health-agency"


class Daemon:
    """One `munimentd start` that belongs to the test."""

    def __init__(self, net: Net, index: int = 0) -> None:
        self.net, self.index = net, index
        self._errors: str | None = None
        self.process = subprocess.Popen(
            [str(BIN / "munimentd"), "start", "--home", str(net.home(index))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.end()

    def wait_serving(self) -> dict[str, Any]:
        """Its status as soon as it answers."""

        def status() -> dict[str, Any] | None:
            assert self.process.poll() is None, self.end()
            with contextlib.suppress(Unreachable, RpcRefusal):
                return self.net.status(self.index)
            return None

        found: dict[str, Any] = until(status, "the daemon serves")
        return found

    def end(self, seconds: float = 30) -> tuple[int, str]:
        """Exit code and standard error, once it has ended."""
        if self._errors is None:
            self._errors = self.process.communicate(timeout=seconds)[1].decode()
        return self.process.returncode, self._errors


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Net:
    """The home of a chain of one validator with some blocks in tables, its daemon stopped."""
    net = Net(tmp_path_factory.mktemp("one") / "net")
    net.provision(Parameters(checkpoint_interval=1), validators=1)
    with Daemon(net) as daemon:
        daemon.wait_serving()
        for number in range(20):
            net.commit(net.sign(PARTY, document(number)))
        daemon.process.send_signal(signal.SIGTERM)
        code, errors = daemon.end()
        assert code == 0, errors
        assert json.loads(errors.strip().split("\n")[-1])["event"] == "stopped"
    with Daemon(net) as daemon:  # opening turns the log into a table
        daemon.wait_serving()
        daemon.process.send_signal(signal.SIGINT)
        assert daemon.end()[0] == 0
    return net


@pytest.fixture
def net(whole: Net, tmp_path: Path) -> Net:
    """A copy to break."""
    folder = tmp_path / "net"
    shutil.copytree(whole.folder, folder)
    text = (folder / "net.json").read_text()
    (folder / "net.json").write_text(text.replace(str(whole.folder), str(folder)))
    return Net(folder)


def start(net: Net) -> tuple[int, str]:
    """Exit code and standard error of a daemon that must end by itself."""
    with Daemon(net) as daemon:
        return daemon.end()


def flip(path: Path, position: int) -> None:
    """Damage one byte."""
    data = bytearray(path.read_bytes())
    data[position] ^= 0xFF
    path.write_bytes(data)


def only(net: Net, pattern: str) -> Path:
    """The one file of the database with such a name."""
    found = sorted((net.home(0) / "data" / "ledger").glob(pattern))
    assert found, pattern
    return found[-1]


DAMAGE: dict[str, Callable[[Net], object]] = {
    "manifest flipped": lambda net: flip(only(net, "MANIFEST-*"), 20),
    "manifest emptied": lambda net: only(net, "MANIFEST-*").write_bytes(b""),
    "manifest missing": lambda net: only(net, "MANIFEST-*").unlink(),
    "CURRENT garbage": lambda net: _write(only(net, "CURRENT"), b"no such thing"),
    "CURRENT elsewhere": lambda net: _write(only(net, "CURRENT"), b"MANIFEST-999999\n"),
    "table missing": lambda net: only(net, "*.ldb").unlink(),
    "table cut": lambda net: _write(only(net, "*.ldb"), only(net, "*.ldb").read_bytes()[:-100]),
    "table index flipped": lambda net: flip(only(net, "*.ldb"), -60),
}


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_store_is_74_and_named(net: Net, damage: str) -> None:
    DAMAGE[damage](net)
    code, errors = start(net)
    assert code == 74, errors
    last = json.loads(errors.strip().split("\n")[-1])
    assert last["event"] in ("the store is damaged", "input or output failed")
    assert "/data/ledger" in last["error"]


def _blocks(net: Net) -> list[Any]:
    """Every block as the node shows it; None where it could not, also because it ended."""
    shown: list[Any] = []
    for height in range(21):
        try:
            block = net.call(0, "chain_getBlock", height=height)
            del block["at"]
            shown.append(block)
        except RpcRefusal as error:
            shown.append(None if error.code == -32603 else error.code)
        except Unreachable:
            shown.append(None)
    return shown


@pytest.mark.parametrize("part", [1, 2, 3, 4])
def test_a_flipped_bit_of_a_table_is_never_served(net: Net, part: int) -> None:
    with Daemon(net) as daemon:
        daemon.wait_serving()
        right = _blocks(net)
        daemon.process.kill()
        daemon.end()
    table = max(net.home(0).glob("data/ledger/*.ldb"), key=lambda path: path.stat().st_size)
    flip(table, table.stat().st_size * part // 6)
    with Daemon(net) as daemon:
        try:
            daemon.wait_serving()
        except AssertionError:
            assert daemon.process.returncode == 74
            return
        shown = _blocks(net)
        code, errors = daemon.end()  # it read what is damaged, and ended by itself
    assert code == 74, errors
    assert None in shown
    assert all(block in (None, good) for block, good in zip(shown, right, strict=True))


def test_another_chains_genesis_is_damage_and_none_is_configuration(net: Net) -> None:
    path = net.home(0) / "genesis.json"
    other = json.loads(path.read_bytes())
    other["time_ms"] += 1
    path.write_text(json.dumps(other, separators=(",", ":"), sort_keys=True))
    code, errors = start(net)
    assert (code, "genesis" in errors) == (74, True)
    path.write_bytes(b"{}")
    assert start(net)[0] == 64
    path.unlink()
    assert start(net)[0] == 64


@pytest.mark.parametrize("what", ["rpc", "p2p", "metrics"])
def test_a_taken_port_is_75(net: Net, what: str) -> None:
    node = net.info.nodes[0]
    address = {"rpc": node.rpc, "p2p": node.p2p, "metrics": node.metrics.removesuffix("/metrics")}
    port = int(address[what].rpartition(":")[2])
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        code, errors = start(net)
    assert code == 75, errors
    assert "address" in errors.lower()
    assert "Traceback" not in errors


def test_one_home_has_one_daemon(net: Net) -> None:
    with Daemon(net) as first:
        first.wait_serving()
        code, errors = start(net)
        assert (code, "another munimentd" in errors) == (75, True)
        assert first.process.poll() is None


def _edit(net: Net, old: str, new: str) -> None:
    path = net.home(0) / "config.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


BAD_CONFIGURATIONS: dict[str, tuple[str, str]] = {
    "unknown key": ("[rpc]", "[rpc]\nlistn = 1"),
    "not TOML": ("[rpc]", "[rpc"),
    "port too high": ("", ""),
    "wrong type": ("[mempool]", '[mempool]\ntransactions_max = "many"'),
    "version": ("config_version = 1", "config_version = 2"),
}


@pytest.mark.parametrize("case", BAD_CONFIGURATIONS)
def test_a_bad_configuration_is_64(net: Net, case: str) -> None:
    if case == "port too high":
        port = net.port(0)
        _edit(net, f":{port}", ":99999")
    else:
        _edit(net, *BAD_CONFIGURATIONS[case])
    code, errors = start(net)
    assert code == 64, errors
    assert "Traceback" not in errors
    done = run("config", "validate", "--home", net.home(0), "--json")
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (64, 64)


def test_without_a_configuration_or_with_python_o_it_is_64(net: Net) -> None:
    command = [sys.executable, "-O", "-m", "node.daemon_cli", "start", "--home", str(net.home(0))]
    done = subprocess.run(command, capture_output=True, check=False, timeout=20)
    assert done.returncode == 64
    path = net.home(0) / "config.toml"
    path.unlink()
    assert start(net)[0] == 64
    path.mkdir()
    assert start(net)[0] == 64


KEY_FAULTS: dict[str, Callable[[Path], object]] = {
    "vote key open to others": lambda keys: (keys / "vote_key.json").chmod(0o640),
    "transport key open to others": lambda keys: (keys / "transport_key.json").chmod(0o604),
    "vote key missing": lambda keys: (keys / "vote_key.json").unlink(),
    "transport key missing": lambda keys: (keys / "transport_key.json").unlink(),
    "certificate missing": lambda keys: (keys / "transport_certificate.der").unlink(),
    "certificate garbage": lambda keys: (keys / "transport_certificate.der").write_bytes(b"x"),
    "vote key is no JSON": lambda keys: (keys / "vote_key.json").write_bytes(b"\xff"),
    "keys exchanged": lambda keys: shutil.copy(keys / "transport_key.json", keys / "vote_key.json"),
}


@pytest.mark.parametrize("case", KEY_FAULTS)
def test_a_key_that_cannot_be_used_is_7(net: Net, case: str) -> None:
    KEY_FAULTS[case](net.home(0) / "keys")
    code, errors = start(net)
    assert code == 7, errors
    assert "Traceback" not in errors
    assert "keys/" in errors


def test_a_full_disk_is_75_and_with_room_the_node_is_whole(net: Net) -> None:
    data = net.home(0) / "data"
    kept = data.with_name("kept")
    data.rename(kept)
    data.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(data)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"mount is not permitted: {mounted.stderr.decode().strip()}")
    try:
        shutil.copytree(kept, data, dirs_exist_ok=True)
        committed = _fill(net, data / "ballast")
        code, errors = start(net)  # there is still no room
        assert (code, "Traceback" in errors) == (75, False)
        (data / "ballast").unlink()
        with Daemon(net) as daemon:
            status = daemon.wait_serving()
            assert status["voting"], status
            for txid in committed:
                assert net.call(0, "tx_get", id=txid)["status"] == "committed"
            net.commit(net.sign(PARTY, document("b2")))
    finally:
        subprocess.run(["umount", str(data)], check=True)


def _fill(net: Net, ballast: Path) -> list[str]:
    """Commit until the disk is full; ids that a client saw committed."""
    committed: list[str] = []
    with Daemon(net) as daemon:
        daemon.wait_serving()
        free = os.statvfs(ballast.parent).f_bavail * os.statvfs(ballast.parent).f_frsize
        ballast.write_bytes(bytes(free - 150_000))
        number = 0
        while daemon.process.poll() is None and number < 2_000:
            number += 1
            with contextlib.suppress(Unreachable, RpcRefusal):
                fate = net.commit(net.sign(PARTY, document(1_000 + number), jti=f"fill-{number}"))
                committed.append(fate["id"])
        code, errors = daemon.end()
    assert code == 75, errors[-2000:]
    last = json.loads(errors.strip().split("\n")[-1])
    assert "No space left" in last["error"] + last["cause"]
    assert "Traceback" not in errors
    assert committed
    return committed
