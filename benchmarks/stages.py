"""Where a transaction's CPU time goes on one node: each stage alone, microseconds per transaction.

No network and no consensus messages: admission, gossip coding, execution, commit, sync.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.load import document, sign
from ledger.admission import Admitted, parse
from ledger.crypto import Ed25519Verifier
from ledger.leveldb import LevelStore
from node.chain import Candidate, Chain
from node.intake import Intake
from node.mempool import Limits, Mempool
from p2p import wire
from tests.builders import GenesisKit, make_genesis


class Stages:
    """Accumulates CPU time by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def measure(self, name: str, work: Callable[[], Any]) -> Any:
        """Run `work` and add its CPU time to `name`."""
        started = time.process_time()
        result = work()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - started
        return result


def _one_block(
    stages: Stages, chain: Chain, intake: Intake, kit: GenesisKit, raws: list[bytes]
) -> None:
    mempool, verifier = intake.mempool, Ed25519Verifier()
    key = kit.agency_signers["agency-0"].public_key
    now = time.time_ns() // 1_000_000

    def parse_all() -> list[Admitted]:
        return [parse(raw, chain.parameters, chain.id) for raw in raws]

    def verify_all() -> None:
        for item in parsed:
            transaction = item.transaction
            verifier.verify(key, transaction.signing_input, transaction.signature)

    def admit_all() -> None:
        for raw in raws:
            intake.admit(raw, 0, now)

    def build() -> Candidate:
        waiting = mempool.candidates(1 << 23, len(raws))
        return chain.build(0, 0, [item.admitted for item in waiting], (), mempool)

    payload = stages.measure("gossip encode", lambda: wire.encode(wire.Transactions(tuple(raws))))
    stages.measure("gossip decode", lambda: wire.decode_gossip(payload))
    parsed = stages.measure("parse (again in admission)", parse_all)
    stages.measure("signature (again in admission)", verify_all)
    stages.measure("admission", admit_all)
    candidate = stages.measure("execute", build)
    certificate = kit.certify(candidate.header.height, candidate.block_hash)
    stages.measure("commit", lambda: chain.commit(candidate, certificate))
    stages.measure("forget", lambda: intake.committed(candidate.transactions, False))
    assert len(candidate.transactions) == len(raws)


def run(folder: Path, blocks: int, size: int) -> dict[str, float]:
    """CPU microseconds per transaction of each stage."""
    kit = make_genesis(1, time_ms=time.time_ns() // 1_000_000)
    store = LevelStore(folder, create_if_missing=True)
    chain = Chain(store, kit.genesis, Ed25519Verifier())
    store.flush()
    mempool = Mempool(Limits())
    intake = Intake(chain, mempool, Ed25519Verifier())
    stages = Stages()
    party, signer = "agency-0", kit.agency_signers["agency-0"]
    for number in range(blocks):
        raws = [
            sign(
                chain.id,
                party,
                signer,
                f"application-for-a-permit-2026-{number:06d}-{i:06d}-of-the-district",
                [document(number * size + i)],
            ).encode()
            for i in range(size)
        ]
        _one_block(stages, chain, intake, kit, raws)
        stages.measure("flush", store.flush)
    store.close()
    return {name: round(value / blocks / size * 1e6, 1) for name, value in stages.seconds.items()}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="benchmarks stages")
    parser.add_argument("--blocks", type=int, default=40)
    parser.add_argument("--size", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="muniment-bench-") as folder:
        result = run(Path(folder) / "db", options.blocks, options.size)
    sys.stdout.write(json.dumps({"benchmark": "stages", "us_per_tx": result}) + "\n")


if __name__ == "__main__":
    main()
