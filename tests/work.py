"""How much Python an action runs: lines, not time, so that a slow machine changes nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

Result = TypeVar("Result")


def lines_run(action: Callable[[], Result]) -> tuple[Result, int]:
    """What `action` returns, and how many lines of Python it ran, each turn of a loop counted."""
    count = 0

    def trace(_frame: FrameType, _event: str, _argument: Any) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        result = action()
    finally:
        sys.settrace(before)
    return result, count
