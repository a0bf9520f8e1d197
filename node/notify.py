"""sd_notify: tells systemd that the node is ready, alive, stopping (sd_notify(3))."""

from __future__ import annotations

import asyncio
import os
import socket


def _send(text: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        try:
            channel.sendto(text.encode("utf-8"), address)
        except OSError:
            return  # a supervisor that does not listen is no reason to stop


def ready(height: int) -> None:
    """Ports are open and the store is whole."""
    _send(f"READY=1\nSTATUS=height {height}")


def stopping() -> None:
    """Stopping in order."""
    _send("STOPPING=1")


async def watchdog() -> None:
    """Tell the watchdog, at half its interval, that the loop still turns."""
    interval_us = int(os.environ.get("WATCHDOG_USEC", "0") or 0)
    if interval_us <= 0:
        return
    while True:
        _send("WATCHDOG=1")
        await asyncio.sleep(interval_us / 2_000_000)
