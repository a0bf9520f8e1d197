"""A steady load on a network, and what its clients saw committed."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

from ledger.crypto import Ed25519Signer
from node.client import RpcRefusal, Unreachable
from tests.integration.network import AGENCIES, Net, document, until

BATCH = 20


@dataclass
class Load:
    """Submits `rate` transactions a second round robin and follows the chain; a context."""

    net: Net
    rate: int = 200
    nodes: tuple[int, ...] = (0, 1, 2, 3)
    accepted: set[str] = field(default_factory=set)
    """Ids that some node accepted."""
    seen: set[str] = field(default_factory=set)
    """Ids that some node showed in a committed block."""
    heights: dict[int, str] = field(default_factory=dict)
    """Height -> block hash as it was first shown."""
    faults: list[BaseException] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _keys: dict[str, Ed25519Signer] = field(default_factory=dict)
    _number: int = 0
    _start: int = 0

    def __enter__(self) -> Load:
        self._keys = {agency: self.net.signer(agency) for agency in AGENCIES}
        self._start = int(self.net.status(self.nodes[0])["height"])
        # Each follower is a client of its own, so what any node ever said is remembered.
        targets = [(self._submit, ()), *((self._follow, (index,)) for index in self.nodes)]
        for target, arguments in targets:
            thread = threading.Thread(target=self._guarded, args=(target, arguments))
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if error is None:
            assert self.faults == []

    def _guarded(self, target: object, arguments: tuple[int, ...]) -> None:
        assert callable(target)
        try:
            target(*arguments)
        except BaseException as error:
            self.faults.append(error)

    def _submit(self) -> None:
        due = time.monotonic()
        node = 0
        while not self._stop.is_set():
            batch = [self._next() for _ in range(BATCH)]
            node += 1
            with suppress(Unreachable, RpcRefusal):
                answer = self.net.call(
                    self.nodes[node % len(self.nodes)], "tx_submitMany", 3, txs=batch
                )
                self.accepted |= {item["id"] for item in answer["results"] if "status" in item}
            due = max(due + BATCH / self.rate, time.monotonic() - 1)
            self._stop.wait(max(0, due - time.monotonic()))

    def _next(self) -> str:
        self._number += 1
        party = AGENCIES[self._number % 4]
        return self.net.sign(
            party,
            document(self._number),
            key=self._keys[party],
            jti=f"load-{self._start}-{self._number}",
        )

    def _follow(self, index: int) -> None:
        height = self._start
        while not self._stop.is_set():
            try:
                block = self.net.call(index, "chain_getBlock", 3, height=height + 1)
            except (Unreachable, RpcRefusal):
                self._stop.wait(0.05)
                continue
            height += 1
            known = self.heights.setdefault(height, block["block_hash"])
            assert known == block["block_hash"], f"two blocks at height {height}"
            self.seen |= {entry["tx"] for entry in block["entries"] if entry["kind"] == "tx"}

    def wait_seen(self, count: int, seconds: float = 30) -> None:
        """Until `count` more transactions were seen in blocks."""
        goal = len(self.seen) + count
        until(
            lambda: len(self.seen) >= goal or self.faults,
            f"{count} more commits, {self.net.tails()}",
            seconds,
        )


def assert_nothing_lost(net: Net, load: Load, nodes: tuple[int, ...] = (0, 1, 2, 3)) -> None:
    """Equal heads, and everything that a client saw committed is on every node."""
    height = net.wait_equal(nodes)
    ids = [{"id": txid} for txid in sorted(load.seen)]
    assert ids
    for index in nodes:
        fates = net.batch(index, "tx_get", ids)
        assert {fate["status"] for fate in fates} == {"committed"}
        hashes = net.batch(index, "chain_getHeader", [{"height": h} for h in range(1, height + 1)])
        held = {number: item["block_hash"] for number, item in enumerate(hashes, 1)}
        assert {number: held[number] for number in load.heights} == load.heights
