"""What subscribers are told of committed blocks, read from the archive when its turn comes.

A subscription is a place in the chain, not a queue: replaying old blocks and following new ones are
one loop, so nothing can fall between them and nothing piles up for a slow reader.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from ledger import base64url, canonical
from node.chain import Chain

Topic = Literal["blocks", "transactions", "records"]
CACHED_MAX = 16
"""Blocks, each under one topic, that many subscribers share."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One push of a topic, encoded once for all who get it."""

    result: bytes
    """JSON."""
    id: str
    """Transaction id in hex, or record id; empty for a block."""
    group: str
    """Issuer, or record type; empty for a block."""


class Feed:
    """Notices of one chain, and who waits for its next block."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._cached: OrderedDict[tuple[int, Topic], tuple[Notice, ...]] = OrderedDict()
        self.listeners: set[Callable[[], None]] = set()
        """Called when a block has become the durable head; must be quick and must not raise."""
        self.subscriptions = 0
        """Open subscriptions of all listeners, for the metrics."""

    @property
    def head(self) -> int:
        """Height of the newest block that can be read."""
        return self._chain.height

    def wake(self) -> None:
        """A block is durable."""
        for listener in tuple(self.listeners):
            listener()

    def notices(self, height: int, topic: Topic) -> tuple[Notice, ...]:
        """What a committed block means to a topic, in order."""
        key = (height, topic)
        found = self._cached.get(key)
        if found is None:
            make = {"blocks": self._block, "transactions": self._transactions}
            found = tuple(make.get(topic, self._records)(height))
            self._cached[key] = found
            if len(self._cached) > CACHED_MAX:
                self._cached.popitem(last=False)
        return found

    def _entries(self, height: int) -> list[dict[str, Any]]:
        return [canonical.decode(item) for item in self._chain.archive.entries(height)]

    def _block(self, height: int) -> Iterator[Notice]:
        archive = self._chain.archive
        header, block_hash = archive.header(height), archive.block_hash(height)
        assert header is not None
        assert block_hash is not None
        count = sum(1 for item in archive.entries(height) if b'"kind":"tx"' in item)
        result = {
            "height": height,
            "block_hash": block_hash.hex(),
            "header": header,
            "transactions": count,
        }
        yield Notice(msgspec.json.encode(result), "", "")

    def _transactions(self, height: int) -> Iterator[Notice]:
        block = self._chain.archive.block(height)
        if block is None:
            return
        # Transactions come first among the entries, in the order of the body.
        for raw, entry in zip(block.transactions, self._entries(height), strict=False):
            issuer = _issuer(raw)
            result = {
                "id": entry["tx"],
                "iss": issuer,
                "height": height,
                "index": entry["index"],
                "status": entry["status"],
                "reason": entry["reason"],
                "results": entry["results"],
            }
            yield Notice(msgspec.json.encode(result), entry["tx"], issuer)

    def _records(self, height: int) -> Iterator[Notice]:
        for entry in self._entries(height):
            if entry["kind"] == "epoch":
                continue
            timer = entry["kind"] == "timer"
            if timer and entry["status"] == "refused":
                versions: list[dict[str, Any]] = [{"record": entry["record"]}]
            elif entry["status"] == "refused":
                continue
            else:
                versions = list(_versions(entry["results"]))
            for version in versions:
                record: str = version["record"]
                kind = record.partition("/")[0]
                result = {
                    "record": record,
                    "type": kind,
                    "seq": version.get("seq"),
                    "state": version.get("state"),
                    "height": height,
                    "index": entry["index"],
                    "tx": None if timer else entry["tx"],
                    "timer": entry["name"] if timer else None,
                    "status": entry["status"],
                    "reason": entry["reason"],
                }
                yield Notice(msgspec.json.encode(result), record, kind)


def _versions(results: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Record versions that an entry names, in the order in which they were written."""
    for result in results:
        # A result without seq names a record that only waits for more signatures.
        if "record" in result and "seq" in result:
            yield from result.get("others", ())
            yield result


class _Claims(msgspec.Struct, frozen=True):
    iss: str


_claims = msgspec.json.Decoder(_Claims)


def _issuer(raw: bytes) -> str:
    """`iss` of a committed compact transaction."""
    return _claims.decode(base64url.decode(raw.split(b".")[1].decode("ascii"))).iss
