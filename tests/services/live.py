"""Networks whose clock a test moves: four daemons under Debian's libfaketime."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.authoring.live import LiveGround
from node.authoring.stage import START_MS
from node.client import call_once
from tests.integration.network import AGENCIES, Net

ROOT = Path(__file__).parent.parent.parent

LIBRARIES = ("libfaketimeMT.so.1", "libfaketime.so.1")


def library() -> Path | None:
    """libfaketime, when Debian's package is there."""
    for name in LIBRARIES:
        for found in sorted(Path("/usr/lib").glob(f"*/faketime/{name}")):
            return found
    return None


@dataclass
class Clock:
    """An offset from the machine's clock that all daemons read from one file."""

    file: Path
    offset: int = 0
    """Seconds."""

    def move(self, seconds: int) -> None:
        """Let all clocks jump, at once."""
        self.offset += seconds
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{self.offset:+d}\n")
        os.replace(fresh, self.file)

    def environment(self) -> dict[str, str]:
        """For the daemons; only the wall clock is faked."""
        found = library()
        assert found is not None
        return {
            "LD_PRELOAD": str(found),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_NO_CACHE": "1",
            "NO_FAKE_STAT": "1",
        }


def shared_files(pids: Iterable[int]) -> list[Path]:
    """What libfaketime made in shared memory for these processes; a killed one leaves it behind."""
    names = ("faketime_shm_{}", "sem.faketime_sem_{}")
    places = [Path("/dev/shm") / name.format(pid) for pid in pids for name in names]
    return [place for place in places if place.exists()]


def daemons(net: Net) -> set[int]:
    """Processes of the nodes as the info file has them, dead ones too."""
    if not (net.folder / "net.json").exists():
        return set()
    return {node.pid for node in net.info.nodes if node.pid is not None}


PROVISION = """
import sys
from pathlib import Path
from ledger.parameters import Parameters
from tests.integration.network import Net
Net(Path(sys.argv[1])).provision(Parameters())
"""
START = """
import json, os, sys
from pathlib import Path
from node.testnet import TestNet
os.environ.update(json.loads(sys.argv[2]))
TestNet(Path(sys.argv[1])).up(4, None)
"""


def _python(script: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
    command = [sys.executable, "-c", script, *arguments]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **(environment or {})}, check=True)


@contextlib.contextmanager
def live_network(folder: Path) -> Iterator[tuple[Net, LiveGround]]:
    """A running network whose time begins when the one of scenarios in memory does."""
    clock = Clock(folder / "clock")
    clock.move(START_MS // 1000 - int(time.time()))
    net = Net(folder / "net")
    try:
        # The genesis document must be of that time too. What starts the daemons is not faked
        # itself: libfaketime spoils clock_nanosleep, which time.sleep is made of.
        faked = clock.environment()
        _python(PROVISION, str(net.folder), environment=faked)
        _python(START, str(net.folder), json.dumps(faked))
        url = net.info.nodes[0].rpc

        def call(method: str, params: dict[str, Any]) -> Any:
            return call_once(url, method, params, 60)

        keys = {agency: net.signer(agency) for agency in AGENCIES}
        yield net, LiveGround(call, keys, clock.move)
        assert '"internal error"' not in net.logs()
    finally:
        pids = daemons(net)
        net.clean()
        for file in shared_files(pids):
            file.unlink()
