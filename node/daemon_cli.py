"""munimentd: the operator's command."""

from __future__ import annotations

import sys
from pathlib import Path

from node import daemon


def main() -> None:
    """Entry point."""
    sys.exit(daemon.main(Path(sys.argv[1])))
