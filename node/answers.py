"""What commands print: one JSON object with --json, text for people otherwise (files.md)."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import msgspec

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
        sys.stdout.write(_json({"ok": True, "data": data}))
    elif text:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


def fail(error: CommandError, program: str, *, as_json: bool) -> NoReturn:
    """Print a failure and leave with its code: JSON on standard output, text on standard error."""
    if as_json:
        body = {
            "code": error.code,
            "reason": error.reason,
            "message": error.message,
            "hint": error.hint,
        }
        sys.stdout.write(_json({"ok": False, "error": body}))
        sys.stdout.flush()
    else:
        sys.stderr.write(f"{program}: {error.message} ({error.reason})\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
    raise SystemExit(error.code)


def progress(text: str) -> None:
    """A line for people on standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode("utf-8") + "\n"
