"""How long nothing commits after the leader dies by SIGKILL, at default settings.

A client of another node submits a transaction every 20 ms; the gap runs from the kill to the first
transaction, submitted after it, that a client sees committed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time

from benchmarks.load import document, say, sign
from benchmarks.network import Network, network

LIMIT_SECONDS = 60


def leader_of(running: Network, ask: int) -> int:
    """Index of the member that proposes next, once the network has settled on one."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        leader = running.call(ask, "node_status")["leader"]
        if leader is not None:
            return int(leader.removeprefix("val-"))
        time.sleep(0.1)
    raise RuntimeError("no leader")


def gap(running: Network, run: int) -> float:
    """Seconds without a commit after the leader is killed; the node is back afterwards."""
    count = len(running.made.homes)
    leader = leader_of(running, 0)
    ask = (leader + 1) % count
    party, signer = running.agencies()[ask]
    chain = running.chain
    running.kill(leader)
    killed = time.monotonic()
    sent: list[str] = []
    number = 0
    while time.monotonic() - killed < LIMIT_SECONDS:
        operation = document(run * 1_000_000 + number)
        compact = sign(chain, party, signer, f"failover-{run}-{number}", [operation])
        number += 1
        sent.append(running.call(ask, "tx_submit", tx=compact)["id"])
        if running.call(ask, "tx_get", id=sent[0])["status"] == "committed":
            took = time.monotonic() - killed
            running.start(leader)
            running.wait_ready()
            return took
        time.sleep(0.02)
    raise RuntimeError(f"nothing committed within {LIMIT_SECONDS} s")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="benchmarks failover")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    gaps: list[float] = []
    with network() as running:
        for run in range(options.runs):
            time.sleep(2)
            gaps.append(gap(running, run))
            say(f"run {run}: {gaps[-1]:.2f} s")
    result = {
        "benchmark": "failover",
        "validators": 4,
        "gaps_seconds": [round(item, 2) for item in gaps],
        "median_seconds": round(statistics.median(gaps), 2),
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
