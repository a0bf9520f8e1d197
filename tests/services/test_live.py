"""Each service on four real validators: voted in, its scenario through JSON-RPC, replayed after."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ledger.crypto import Ed25519Verifier
from ledger.leveldb import LevelStore
from node.chain import Chain
from tests.integration.network import Net, until
from tests.services.checks import accounts, check_balances, check_feed
from tests.services.folders import FOLDER, NAMES, Service
from tests.services.live import daemons, library, live_network, shared_files
from tests.services.replay import record

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        library() is None,
        reason="no libfaketime: type as root: apt-get install -y faketime",
    ),
]


@pytest.mark.parametrize("name", NAMES)
def test_scenario_on_a_network(name: str, tmp_path: Path) -> None:
    service = Service.load(name)
    with live_network(tmp_path) as (net, ground):
        ground.activate(service.definition)
        coverage = service.play(ground)
        height = net.wait_equal()
        roots = {net.status(index)["state_root"] for index in range(4)}
        assert len(roots) == 1
        pids = daemons(net)
        assert len(pids) == 4
        killed = net.pid(3)
        net.kill(3)
        assert shared_files([killed]), "libfaketime tidies up only behind those that end"
        store = until(lambda: released(net.home(3)), "the killed node's threads are gone")
        chain = Chain(store, net.genesis, Ed25519Verifier())
        assert chain.height >= height
        check_balances(chain, store)
        check_statements(net, store)
        check_feed(chain, store)
        check_replay(chain, tmp_path / "chain")
        store.close()
        print(f"{name}: {coverage.steps} steps, {chain.height} blocks")
    assert shared_files(pids) == []


def released(home: Path) -> LevelStore | None:
    """A killed node's store, as soon as nobody holds it."""
    try:
        return LevelStore(home / "data" / "ledger")
    except OSError:
        return None


def check_statements(net: Net, store: LevelStore) -> None:
    """The same through JSON-RPC, page by page."""
    for unit, account in accounts(store):
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            found = net.call(
                0, "balance_statement", unit=unit, account=account, limit=3, cursor=cursor
            )
            items += found["items"]
            cursor = found["next_cursor"]
            if cursor is None:
                break
        amount = net.call(0, "balance_get", unit=unit, account=account)["amount"]
        assert sum(item["delta"] for item in items) == amount == items[0]["balance"]
        for item in items:
            assert (item["tx"] is None) != (item["timer"] is None)


def check_replay(chain: Chain, file: Path) -> None:
    """The chain replayed from genesis by a fresh process: the same roots."""
    head = record(chain.genesis, chain.archive, file)
    command = [sys.executable, "-m", "tests.services.replay", str(file)]
    done = subprocess.run(command, cwd=FOLDER.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == head - 1
    for line in lines:
        number, root, _ = line.split()
        header = chain.archive.header(int(number))
        assert header is not None
        assert header.state_root == root
