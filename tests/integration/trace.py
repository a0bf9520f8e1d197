"""System calls of one node, in order and with their times, and the LevelDB log they wrote."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

BLOCK_BYTES = 32_768
"""A LevelDB log is cut into blocks; each fragment of a record begins with 7 bytes: CRC32C (4),
length (2, little-endian), type (1 whole, 2 first, 3 middle, 4 last)."""
HEADER_BYTES = 7

_CALL = re.compile(
    r"^(?P<pid>\d+) +(?P<start>\d+\.\d+) (?P<name>\w+)\((?P<fd>\d+)<(?P<what>.*?)>[,)]"
    r".* = (?P<result>-?\d+).* <(?P<took>\d+\.\d+)>$"
)


@dataclass(frozen=True)
class Call:
    """One completed system call on a descriptor."""

    name: str
    what: str
    """Path of the file, or TCP:[...]."""
    result: int
    start: float
    """Seconds of the wall clock."""
    end: float

    @property
    def is_send(self) -> bool:
        """Whether bytes went to a TCP socket."""
        return self.what.startswith("TCP") and self.result > 0


@dataclass
class Trace:
    """What strace saw."""

    path: Path
    calls: list[Call] = field(default_factory=list)

    def read(self) -> None:
        """Parse the output; calls cut in two by another thread are of no interest here."""
        for line in self.path.read_text(errors="replace").split("\n"):
            found = _CALL.match(line)
            if found is not None:
                start = float(found["start"])
                self.calls.append(
                    Call(
                        found["name"],
                        found["what"],
                        int(found["result"]),
                        start,
                        start + float(found["took"]),
                    )
                )


@contextlib.contextmanager
def traced(pid: int, output: Path, sync_delay_ms: int) -> Iterator[Trace]:
    """strace attached to a process; each fdatasync takes `sync_delay_ms` longer.

    Raises PermissionError when it may not attach.
    """
    calls = "write,writev,pwrite64,fdatasync,fsync,sendto,sendmsg"
    command = ["strace", "-f", "-yy", "-ttt", "-T", "-s", "0", "-o", str(output)]
    inject = f"inject=fdatasync:delay_enter={sync_delay_ms * 1000}"
    process = subprocess.Popen(
        [*command, "-e", f"trace={calls}", "-e", inject, "-p", str(pid)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    trace = Trace(output)
    try:
        deadline = time.monotonic() + 5
        while "TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise PermissionError("strace could not attach")
            time.sleep(0.05)
        yield trace
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    trace.read()


def log_records(data: bytes) -> list[tuple[int, bytes]]:
    """(offset of its end, payload) of each whole record of a LevelDB log."""
    records: list[tuple[int, bytes]] = []
    position, parts = 0, b""
    while position + HEADER_BYTES <= len(data):
        left = BLOCK_BYTES - position % BLOCK_BYTES
        if left < HEADER_BYTES:
            position += left
            continue
        length = int.from_bytes(data[position + 4 : position + 6], "little")
        kind = data[position + 6]
        if kind == 0 or position + HEADER_BYTES + length > len(data):
            break
        parts += data[position + HEADER_BYTES : position + HEADER_BYTES + length]
        position += HEADER_BYTES + length
        if kind in (1, 4):
            records.append((position, parts))
            parts = b""
    return records
