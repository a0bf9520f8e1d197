"""What commands print: one JSON object with --json, text for people otherwise (files.md)."""

from __future__ import annotations

import os
import re
import sys
from typing import Any, NoReturn, TextIO

import msgspec

from node.forms import in_words

OK = 0
NEGATIVE = 1
USAGE = 2
NOT_FOUND = 3
REJECTED = 4
TIMEOUT = 5
UNREACHABLE = 6
KEY = 7
CONFIG = 64
INTERNAL = 70
TEMPORARY = 75
CLOSED = 141
"""The output was closed: what a shell says of a program that SIGPIPE ended."""


class CommandError(Exception):
    """A command failed: exit code, stable reason, what failed and why, what to type next."""

    def __init__(self, code: int, reason: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.hint = hint


def succeed(data: Any, text: str, *, as_json: bool) -> None:
    """Print a result on standard output."""
    if as_json:
        _write(sys.stdout, _json({"ok": True, "data": data}))
    elif text:
        _write(sys.stdout, text if text.endswith("\n") else text + "\n")


def fail(error: CommandError, program: str, *, as_json: bool) -> NoReturn:
    """Print a failure and leave with its code: JSON on standard output, text on standard error."""
    message = in_words(error.message)
    if as_json:
        body = {
            "code": error.code,
            "reason": error.reason,
            "message": message,
            "hint": error.hint,
        }
        _write(sys.stdout, _json({"ok": False, "error": body}))
    else:
        named = re.search(rf"\b{re.escape(error.reason)}\b", message) is not None
        told = message if named else f"{message} ({error.reason})"
        hint = f"hint: {error.hint}\n" if error.hint else ""
        _write(sys.stderr, f"{program}: {told}\n{hint}")
    raise SystemExit(error.code)


def progress(text: str) -> None:
    """A line for people on standard error."""
    _write(sys.stderr, text + "\n")


def _write(stream: TextIO, text: str) -> None:
    """Write and flush; a reader that has gone, as `head` does, ends the command without a word."""
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        # Python flushes once more at its end: that goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise SystemExit(CLOSED) from None


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode("utf-8") + "\n"
