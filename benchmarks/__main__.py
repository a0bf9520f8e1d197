"""`python -m benchmarks NAME`: each benchmark prints one JSON line last."""

from __future__ import annotations

import runpy
import sys

BENCHMARKS = ("load", "services", "failover", "tree", "stages", "engine")


def main() -> None:
    """Run the named benchmark."""
    name = sys.argv[1] if len(sys.argv) > 1 else "load"
    if name not in BENCHMARKS:
        sys.exit(f"benchmarks: want one of {', '.join(BENCHMARKS)}, got {name}")
    sys.argv = [f"benchmarks.{name}", *sys.argv[2:]]
    runpy.run_module(f"benchmarks.{name}", run_name="__main__")


if __name__ == "__main__":
    main()
