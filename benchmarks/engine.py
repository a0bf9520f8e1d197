"""CPU of the registry engine alone: what the operations of services cost in one process.

Signatures, replay marks, the state tree and the store are not in it; checks, authority, guards,
effects, and the writes into the block's draft are. A document beside them, for the measure.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec

from benchmarks.load import registrations, workload
from benchmarks.services import Town
from ledger.admission import Admitted, parse
from ledger.operation import Context, Outcome, Refusal
from node.daemon import tune_collector
from tests.services.chain_node import ChainNode

KINDS = ("case", "licence", "parcel", "grant")
ROUNDS = 5
CLIENTS = [f"client-{index}" for index in range(100)]


class Clock:
    """CPU nanoseconds within operations, and how many were refused."""

    def __init__(self) -> None:
        self.spent = 0
        self.refused = 0

    def timed(self, apply: Callable[[Any, Context], Outcome]) -> Callable[[Any, Context], Outcome]:
        """The operation, with its time added."""

        def measured(fields: Any, context: Context) -> Outcome:
            started = time.process_time_ns()
            outcome = apply(fields, context)
            self.spent += time.process_time_ns() - started
            self.refused += isinstance(outcome, Refusal)
            return outcome

        return measured


class Bench:
    """A chain in memory with the four services, their staff and records to act on."""

    def __init__(self, records: int) -> None:
        self._node = ChainNode()
        self._node.time_ms = time.time_ns() // 1_000_000
        agencies = list(self._node.grown.kit.agency_signers.items())
        self.chain = self._node.grown.chain
        for tx in registrations(self.chain.id, agencies, CLIENTS):
            self._node.call("tx_submit", {"tx": tx})
        self._town = Town(self.chain.id, self._node.ground, agencies[0][0], CLIENTS)
        self._town.open()
        pairs = [self._town.create(number) for number in range(2 * records)]
        old = [self._town.sign(pair[0]) for pair in pairs[:records]]
        for first in range(0, records, 1_000):
            raws = [tx.encode() for tx in old[first : first + 1_000]]
            self._node.time_ms += 1_000
            self._node.grown.block(*raws, time_ms=self._node.time_ms)
        self.creations = [self._town.sign(pair[0]) for pair in pairs[records:]]
        self.acts = [self._town.sign(pair[1]) for pair in pairs[:records]]

    def cost(self, transactions: list[str]) -> float:
        """Microseconds of an operation, the best of some rounds of the same block."""
        clock = Clock()
        admitted = []
        for tx in transactions:
            parsed = parse(tx.encode(), self.chain.parameters, self.chain.id)
            operation = parsed.operations[0]
            timed = msgspec.structs.replace(operation, apply=clock.timed(operation.apply))
            admitted.append(Admitted(parsed.transaction, (timed,)))
        verified = {item.transaction.id for item in admitted}
        best = sys.maxsize
        for _ in range(ROUNDS):
            clock.spent = 0
            self.chain.build(0, self._node.time_ms + 1_000, admitted, (), verified)
            best = min(best, clock.spent)
        if clock.refused:
            raise RuntimeError(f"{clock.refused} operations were refused")
        return round(best / len(admitted) / 1_000, 1)


def run(records: int) -> dict[str, Any]:
    """Microseconds by operation."""
    bench = Bench(records)
    tune_collector()
    costs = {"document.register": bench.cost(workload(bench.chain.id, records // 4, CLIENTS))}
    for number, kind in enumerate(KINDS):
        costs[f"create {kind}"] = bench.cost(bench.creations[number :: len(KINDS)])
        costs[f"act on {kind}"] = bench.cost(bench.acts[number :: len(KINDS)])
    services = [value for name, value in costs.items() if " " in name]
    return {"us": costs, "mean_us": round(sum(services) / len(services), 1)}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="benchmarks engine")
    parser.add_argument("--records", type=int, default=4_000)
    options = parser.parse_args()
    result = run(options.records)
    sys.stdout.write(json.dumps({"benchmark": "engine", **result}) + "\n")


if __name__ == "__main__":
    main()
