"""CPU per changed key and memory of the state tree: `python -m benchmarks.tree [keys]`.

The last line of output is one JSON object. CPU time, not wall time, so that a busy machine
disturbs it less.
"""

from __future__ import annotations

import json
import random
import sys
import time
from hashlib import sha256

from ledger.tree import Tree

CHANGES = 1_000
BLOCKS = 20


def _rss_mb() -> int:
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


def _hash(number: int) -> bytes:
    return sha256(number.to_bytes(8, "big")).digest()


def _block(rng: random.Random, keys: int, block: int) -> dict[bytes, bytes | None]:
    """80 % existing keys, 20 % new ones."""
    changes: dict[bytes, bytes | None] = {}
    for index in range(CHANGES):
        new = index % 5 == 0
        number = keys + block * CHANGES + index if new else rng.randrange(keys)
        changes[_hash(number)] = rng.randbytes(32)
    return changes


def main(keys: int) -> None:
    """Build a tree of `keys` entries, change it block by block, print the figures."""
    rng = random.Random(1)
    before = _rss_mb()
    start = time.process_time()
    tree = Tree.build((_hash(number), _hash(number)) for number in range(keys))
    build_seconds = time.process_time() - start
    rss = _rss_mb() - before
    costs = []
    for block in range(BLOCKS):
        changes = _block(rng, keys, block)
        start = time.process_time()
        tree = tree.update(changes)
        costs.append((time.process_time() - start) / CHANGES * 1e6)
    costs.sort()
    proofs = [tree.prove(_hash(rng.randrange(keys))).to_json() for _ in range(200)]
    size = sum(len(json.dumps(proof, separators=(",", ":"))) for proof in proofs) // len(proofs)
    print(f"build {build_seconds:.2f} s CPU; best block {costs[0]:.1f} us per changed key")
    print(
        json.dumps(
            {
                "keys": keys,
                "changes": CHANGES,
                "us_per_key": round(costs[len(costs) // 2], 2),
                "rss_mb": rss,
                "proof_bytes": size,
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
